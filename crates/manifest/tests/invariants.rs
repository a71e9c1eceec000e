//! Each invariant of a manifest is checked: a version that breaks one alone is named.

use std::sync::Arc;

use arrow_schema::Schema;
use drift_manifest::{BlobRef, CollectionSchema, Manifest, Numbered, SegmentEntry, TombstoneRef, Violation};
use drift_types::{CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};
use ulid::Ulid;

fn segment(id: u128) -> SegmentEntry {
    SegmentEntry {
        id: SegmentId(Ulid(id)),
        length: 100,
        footer_offset: 80,
        footer_length: 20,
        footer_crc: 7,
        rows: 10,
        live_rows: 10,
        key_min: VectorId(1),
        key_max: VectorId(10),
        seq_max: SeqNo(5),
        tombstones: None,
        conservation: 1 << 63,
    }
}

/// A second version with two segments, whose hashes wrap around.
fn manifest() -> Manifest {
    let schema = CollectionSchema {
        arrow: Arc::new(Schema::empty()),
        key_column: None,
        vector_column: "v".into(),
        dim: None,
        metric: Metric::L2,
        compression: Compression::Auto,
    };
    let mut manifest = Manifest::first(CollectionId(Ulid(1)), schema, 3, Ulid::new()).successor(3, Ulid::new());
    manifest.segments = vec![segment(1), segment(2)];
    manifest.applied = SeqNo(5);
    manifest.next_bucket = 4;
    manifest
}

fn broken_by(change: impl FnOnce(&mut Manifest)) -> Violation {
    let mut manifest = manifest();
    assert_eq!(manifest.check(), Ok(()));
    change(&mut manifest);
    manifest.check().unwrap_err()
}

fn broken_after(change: impl FnOnce(&mut Manifest)) -> Violation {
    let parent = manifest();
    let mut next = parent.successor(3, Ulid::new());
    assert_eq!(next.check_successor(&parent), Ok(()));
    change(&mut next);
    next.check_successor(&parent).unwrap_err()
}

#[test]
fn a_version_alone() {
    use Violation as V;
    assert!(matches!(broken_by(|m| m.stamp.id = 0), V::NotContiguous { .. }));
    assert!(matches!(broken_by(|m| m.stamp.id = 3), V::NotContiguous { .. }));
    assert!(matches!(broken_by(|m| m.stamp.parent = None), V::NotContiguous { .. }));
    assert!(matches!(broken_by(|m| m.segments[1].id = m.segments[0].id), V::SegmentTwice(_)));
    assert!(matches!(broken_by(|m| m.segments[0].length = 99), V::FooterOutside(_)));
    assert!(matches!(broken_by(|m| m.segments[0].footer_offset = u64::MAX), V::FooterOutside(_)));
    assert!(matches!(broken_by(|m| m.segments[0].key_min = VectorId(11)), V::KeysReversed(_)));
    assert!(matches!(broken_by(|m| m.segments[0].live_rows = 9), V::RowsDisagree { .. }));
    assert!(matches!(broken_by(|m| m.segments[0].live_rows = 11), V::RowsDisagree { .. }));
    assert!(matches!(broken_by(|m| m.segments[0].rows = 1 << 32), V::TooManyRows { .. }));
    assert!(matches!(broken_by(|m| m.conservation = 1), V::NotConserved { .. }));
    assert!(matches!(broken_by(|m| m.segments.truncate(1)), V::NotConserved { .. }));
}

#[test]
fn a_version_after_another() {
    use Violation as V;
    assert!(matches!(broken_after(|m| m.collection = CollectionId(Ulid(2))), V::OtherCollection { .. }));
    assert!(matches!(broken_after(|m| m.applied = SeqNo(4)), V::AppliedFell { .. }));
    assert!(matches!(broken_after(|m| m.next_bucket = 3), V::NextBucketFell { .. }));
    assert!(matches!(broken_after(|m| m.segments[0].footer_crc = 8), V::SegmentChanged(_)));
    assert!(matches!(broken_after(|m| m.segments[0].live_rows = 11), V::Resurrected(_)));
}

#[test]
fn rows_may_die_and_segments_come_and_go() {
    let parent = manifest();
    let mut next = parent.successor(4, Ulid::new());
    let blob = BlobRef { path: "c/x/tombstone/y.roar".into(), length: 80, crc32c: 1 };
    next.segments[0].tombstones = Some(TombstoneRef { blob, cardinality: 4 });
    next.segments[0].live_rows = 6;
    next.segments[0].conservation = 99;
    next.segments[1] = segment(3);
    next.conservation = (1 << 63) + 99;
    assert_eq!(next.check(), Ok(()));
    assert_eq!(next.check_successor(&parent), Ok(()));
    assert_eq!(next.live_rows(), 16);
}
