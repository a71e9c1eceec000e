//! What is written comes back; what has changed is noticed.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use drift_manifest::{
    Action, BlobRef, BucketRow, BucketTable, Catalog, CatalogEntry, CollectionSchema, Error, Event, History, Manifest,
    Numbered, RecallSample, SegmentEntry, TombstoneRef,
};
use drift_types::{BucketId, CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};
use proptest::{collection::vec, prelude::*};
use ulid::Ulid;

fn schema(dim: Option<u32>, metric: Metric) -> CollectionSchema {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    let vector = match dim {
        Some(dim) => DataType::FixedSizeList(item, dim as i32),
        None => DataType::List(item),
    };
    let id = Field::new("id", DataType::Int64, false).with_metadata([("drift.field_id".into(), "1".into())].into());
    CollectionSchema {
        arrow: Arc::new(Schema::new(vec![id, Field::new("v", vector, false)])),
        key_column: Some("id".into()),
        vector_column: "v".into(),
        dim,
        metric,
        compression: Compression::Smallest,
    }
}

prop_compose! {
    fn blob()(path in "[a-z/]{1,20}", length: u64, crc32c: u32) -> BlobRef {
        BlobRef { path, length, crc32c }
    }
}

prop_compose! {
    fn segment()(
        id: u128, numbers: [u64; 5], footer_crc: u32, rows in 0..=u64::from(u32::MAX), keys: [u64; 2],
        dead in prop::option::of((blob(), any::<u64>())),
    ) -> SegmentEntry {
        let tombstones = dead.map(|(blob, n)| TombstoneRef { blob, cardinality: n % (rows + 1) });
        let [length, offset, footer_length, seq_max, conservation] = numbers;
        SegmentEntry {
            id: SegmentId(Ulid(id)),
            length,
            footer_offset: offset.min(length),
            footer_length: footer_length.min(length - offset.min(length)),
            footer_crc,
            rows,
            live_rows: rows - tombstones.as_ref().map_or(0, |t| t.cardinality),
            key_min: VectorId(keys[0].min(keys[1])),
            key_max: VectorId(keys[0].max(keys[1])),
            seq_max: SeqNo(seq_max),
            tombstones,
            conservation,
        }
    }
}

prop_compose! {
    fn manifest()(
        collection: u128, dim in prop::option::of(1u32..2_000), applied: u64, next_bucket: u32, epoch: u64,
        metric in prop::sample::select(vec![Metric::L2, Metric::Cosine, Metric::InnerProduct]),
        segments in vec(segment(), 0..5), buckets in prop::option::of(blob()), history in prop::option::of(blob()),
        steps in 0..3,
    ) -> Manifest {
        let writer = Ulid::new();
        let mut manifest = Manifest::first(CollectionId(Ulid(collection)), schema(dim, metric), epoch, writer);
        for _ in 0..steps {
            manifest = manifest.successor(epoch, writer);
        }
        let conservation = segments.iter().fold(0, |sum: u64, segment| sum.wrapping_add(segment.conservation));
        Manifest { applied: SeqNo(applied), next_bucket, segments, buckets, history, conservation, ..manifest }
    }
}

prop_compose! {
    fn bucket(dim: usize)(
        id: u32, counts: [u32; 3], centroid in vec(any::<f32>(), dim), sum in vec(any::<f32>(), dim),
        radius: f32, norm: f32, runs in vec(any::<(u128, u32)>(), 0..4),
    ) -> BucketRow {
        BucketRow {
            id: BucketId(id),
            generation: counts[0],
            n_live: counts[1],
            n_dead: counts[2],
            centroid,
            sum,
            mean_sq_radius: radius,
            max_norm_sq: norm,
            runs: runs.into_iter().map(|(segment, run)| (SegmentId(Ulid(segment)), run)).collect(),
            changed: (counts[0] % 2 == 1).then_some((Action::ALL[counts[1] as usize % 8], u64::from(counts[2]) << 20)),
            changed_manifest: u64::from(counts[1]) << 9,
            rows_changed: counts[2],
            dense_rows: counts[0],
            temperature: radius,
        }
    }
}

fn bucket_table() -> impl Strategy<Value = BucketTable> {
    (1usize..20).prop_flat_map(|dim| vec(bucket(dim), 0..10)).prop_map(|rows| BucketTable { rows })
}

prop_compose! {
    fn event()(
        u64s in any::<[u64; 8]>(), u32s in any::<[u32; 2]>(), drifts in any::<[f32; 2]>(), cause in ".{0,20}",
        action in prop::sample::select(Action::ALL.to_vec()), bucket in prop::option::of(any::<u32>()),
    ) -> Event {
        let [at_ms, manifest, rows_before, rows_after, dead_before, rows_moved, duration_us, bytes] = u64s;
        let ([buckets_before, buckets_after], [drift_before, drift_after]) = (u32s, drifts);
        let bucket = bucket.map(BucketId);
        Event {
            at_ms, manifest, action, cause, bucket, rows_before, rows_after, dead_before, buckets_before,
            buckets_after, rows_moved, drift_before, drift_after, duration_us, bytes,
        }
    }
}

prop_compose! {
    fn sample()(
        at_ms: u64, rows_scanned: u64, u32s in any::<[u32; 3]>(), recalls in any::<[f32; 3]>(), stop_reason in "[a-z]{0,9}",
    ) -> RecallSample {
        let ([k, buckets_ranked, buckets_probed], [asked, predicted, measured]) = (u32s, recalls);
        RecallSample {
            at_ms, k, asked, predicted, measured, buckets_ranked, buckets_probed, rows_scanned, stop_reason,
        }
    }
}

prop_compose! {
    fn history()(
        events in vec(event(), 0..8), samples in vec(sample(), 0..8),
        weights in prop::option::of(vec(any::<f32>(), 0..12)),
    ) -> History {
        History { events: events.into(), samples: samples.into(), weights }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn manifests_come_back(manifest in manifest()) {
        prop_assert_eq!(manifest.check(), Ok(()));
        prop_assert_eq!(Manifest::decode("x", &manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn catalogs_come_back(database: u128, entries in vec(("[a-z]{1,9}", any::<u128>()), 0..9)) {
        let collections = entries.into_iter().map(|(name, id)| CatalogEntry { name, collection: CollectionId(Ulid(id)) });
        let first = Catalog::first(1, Ulid::new());
        let catalog = Catalog { database: Ulid(database), collections: collections.collect(), ..first };
        prop_assert_eq!(Catalog::decode("x", &catalog.encode()).unwrap(), catalog);
    }

    #[test]
    fn bucket_tables_come_back(table in bucket_table()) {
        prop_assert_eq!(BucketTable::decode("x", &table.encode().unwrap()).unwrap(), table);
    }

    #[test]
    fn histories_come_back(history in history()) {
        prop_assert_eq!(History::decode("x", &history.encode()).unwrap(), history);
    }

    #[test]
    fn noise_is_no_manifest(noise in vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::decode("x", &noise).is_err());
        prop_assert!(Catalog::decode("x", &noise).is_err());
        prop_assert!(BucketTable::decode("x", &noise).is_err());
        prop_assert!(History::decode("x", &noise).is_err());
        prop_assert!(drift_manifest::tombstones::decode("x", &noise).is_err());
    }
}

/// Every byte changed and every length: each time an error that names file, place and remedy.
fn no_damage_goes_unnoticed<T>(encoded: &[u8], decode: impl Fn(&[u8]) -> Result<T, Error>) {
    assert!(decode(encoded).is_ok());
    let refused = |bytes: &[u8], what: String| match decode(bytes) {
        Err(error @ Error::Corrupt { .. }) => {
            let message = error.to_string();
            assert!(["'x'", "at byte", "backup"].iter().all(|part| message.contains(part)), "{message}");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} is not noticed"),
    };
    for at in 0..encoded.len() {
        for flip in [0x01, 0x20, 0xff] {
            let mut changed = encoded.to_vec();
            changed[at] ^= flip;
            refused(&changed, format!("byte {at} ^ {flip}"));
        }
        refused(&encoded[..at], format!("{at} bytes"));
    }
    refused(&[encoded, &[0]].concat(), "a byte more".into());
}

#[test]
fn every_changed_byte_and_every_truncation_is_noticed() {
    let id = CollectionId(Ulid::new());
    let manifest = Manifest::first(id, schema(Some(3), Metric::L2), 1, Ulid::new());
    no_damage_goes_unnoticed(&manifest.encode(), |bytes| Manifest::decode("x", bytes));
    let mut catalog = Catalog::first(1, Ulid::new());
    catalog.collections.push(CatalogEntry { name: "docs".into(), collection: id });
    no_damage_goes_unnoticed(&catalog.encode(), |bytes| Catalog::decode("x", bytes));
    let row = BucketRow {
        id: BucketId(3),
        generation: 1,
        n_live: 7,
        n_dead: 0,
        centroid: vec![0.5; 3],
        sum: vec![3.5; 3],
        mean_sq_radius: 0.25,
        max_norm_sq: 2.0,
        runs: vec![(SegmentId(Ulid::new()), 4)],
        changed: Some((Action::Split, 7)),
        ..BucketRow::default()
    };
    let table = BucketTable { rows: vec![row.clone(), row] }.encode().unwrap();
    no_damage_goes_unnoticed(&table, |bytes| BucketTable::decode("x", bytes));
    no_damage_goes_unnoticed(&remembered(2).encode(), |bytes| History::decode("x", bytes));
    let dead = drift_manifest::tombstones::encode(&(0..500).map(|row| row * 3).collect());
    no_damage_goes_unnoticed(&dead, |bytes| drift_manifest::tombstones::decode("x", bytes));
}

#[test]
fn objects_are_not_mistaken_for_each_other() {
    let manifest = Manifest::first(CollectionId(Ulid::new()), schema(None, Metric::L2), 1, Ulid::new()).encode();
    assert!(Catalog::decode("x", &manifest).is_err());
    assert!(BucketTable::decode("x", &manifest).is_err());
    assert!(History::decode("x", &manifest).is_err());
    assert!(drift_manifest::tombstones::decode("x", &manifest).is_err());
}

#[test]
fn a_table_of_uneven_vectors_is_refused() {
    let row = |centroid: usize, sum: usize| BucketRow {
        centroid: vec![0.0; centroid],
        sum: vec![0.0; sum],
        ..BucketRow::default()
    };
    for rows in [vec![row(0, 0)], vec![row(2, 3)], vec![row(2, 2), row(3, 3)]] {
        assert!(matches!(BucketTable { rows }.encode(), Err(Error::Invalid(_))));
    }
}

/// A history of `n` events and samples.
fn remembered(n: u64) -> History {
    let mut history = History { weights: Some(vec![0.5, -1.5]), ..History::default() };
    for at_ms in 0..n {
        history.record(Event {
            at_ms,
            manifest: 7,
            action: Action::Split,
            cause: "257 rows".into(),
            bucket: (at_ms > 0).then_some(BucketId(3)),
            rows_before: 257,
            rows_after: 257,
            dead_before: 0,
            buckets_before: 1,
            buckets_after: 2,
            rows_moved: 128,
            drift_before: 0.25,
            drift_after: 0.0,
            duration_us: 900,
            bytes: 65_536,
        });
        history.sample(RecallSample {
            at_ms,
            k: 10,
            asked: 0.95,
            predicted: 0.953,
            measured: 1.0,
            buckets_ranked: 40,
            buckets_probed: 9,
            rows_scanned: 1_152,
            stop_reason: "recall_reached".into(),
        });
    }
    history
}

#[test]
fn a_history_is_bounded_where_it_is_kept_and_where_it_is_read() {
    let n = History::EVENTS_MAX.max(History::SAMPLES_MAX) as u64 + 100;
    let kept = remembered(n);
    assert_eq!((kept.events.len(), kept.samples.len()), (History::EVENTS_MAX, History::SAMPLES_MAX));
    assert_eq!(kept.newest_ms(), n - 1);
    let mut too_long = kept.clone();
    too_long.events.extend(remembered(5).events);
    let read = History::decode("x", &too_long.encode()).unwrap();
    assert_eq!(read.events.len(), History::EVENTS_MAX);
    assert_eq!(read.events.back(), too_long.events.back());
    assert!(kept.encode().len() < 1 << 20);
}
