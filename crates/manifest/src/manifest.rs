use std::collections::{HashMap, HashSet};

use arrow_schema::SchemaRef;
use drift_types::{CollectionId, Compression, Metric, SegmentId, SeqNo, VectorId};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::{BlobRef, Numbered, Stamp, Violation};

/// What a collection consists of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which version this is.
    pub stamp: Stamp,
    /// The collection.
    pub collection: CollectionId,
    /// Its columns.
    pub schema: CollectionSchema,
    /// Every log record up to and including this one is in the segments and tombstones below.
    pub applied: SeqNo,
    /// The lowest bucket number that was never given.
    pub next_bucket: u32,
    /// The live segments.
    pub segments: Vec<SegmentEntry>,
    /// The [`crate::BucketTable`], once there are buckets.
    pub buckets: Option<BlobRef>,
    /// The [`crate::History`], once there is anything to tell.
    #[serde(default)]
    pub history: Option<BlobRef>,
    /// Sum of the segments' conservation hashes; see [`crate::conservation_hash`].
    pub conservation: u64,
}

/// A collection's columns and what they mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CollectionSchema {
    /// The columns as users see them.
    pub arrow: SchemaRef,
    /// The key column; none if keys are generated.
    pub key_column: Option<String>,
    /// The indexed vector column.
    pub vector_column: String,
    /// Values per vector; none until the first row settles it.
    pub dim: Option<u32>,
    /// How vectors are compared.
    pub metric: Metric,
    /// How exact vectors are stored.
    #[serde(default)]
    pub compression: Compression,
}

/// A live segment. With it the segment opens in one range read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// The segment.
    pub id: SegmentId,
    /// Its length in bytes.
    pub length: u64,
    /// Where its footer starts.
    pub footer_offset: u64,
    /// The footer's length in bytes.
    pub footer_length: u64,
    /// CRC-32C of the footer.
    pub footer_crc: u32,
    /// Rows stored.
    pub rows: u64,
    /// Rows without a tombstone.
    pub live_rows: u64,
    /// Smallest key stored.
    pub key_min: VectorId,
    /// Largest key stored.
    pub key_max: VectorId,
    /// Largest sequence number stored.
    pub seq_max: SeqNo,
    /// The dead rows; none if all live.
    pub tombstones: Option<TombstoneRef>,
    /// `wrapping_add` of the live rows' conservation hashes.
    pub conservation: u64,
}

/// The dead rows of a segment; see [`crate::tombstones`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TombstoneRef {
    /// The object that holds them.
    pub blob: BlobRef,
    /// How many there are.
    pub cardinality: u64,
}

impl Manifest {
    /// The first version of a new collection: no rows.
    pub fn first(collection: CollectionId, schema: CollectionSchema, epoch: u64, writer: Ulid) -> Self {
        Self {
            stamp: Stamp::first(epoch, writer),
            collection,
            schema,
            applied: SeqNo::default(),
            next_bucket: 0,
            segments: Vec::new(),
            buckets: None,
            history: None,
            conservation: 0,
        }
    }

    /// The same content as a version that follows this one, to be changed and committed.
    pub fn successor(&self, epoch: u64, writer: Ulid) -> Self {
        Self { stamp: self.stamp.successor(epoch, writer), ..self.clone() }
    }

    /// Live rows of all segments.
    pub fn live_rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.live_rows).sum()
    }
}

impl Numbered for Manifest {
    const MAGIC: [u8; 8] = *b"DRIFTMAN";
    const EXTENSION: &'static str = "dman";

    fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    fn check(&self) -> Result<(), Violation> {
        self.stamp.check()?;
        let mut seen = HashSet::new();
        for segment in &self.segments {
            if !seen.insert(segment.id) {
                return Err(Violation::SegmentTwice(segment.id));
            }
            segment.check()?;
        }
        let sum = self.segments.iter().fold(0u64, |sum, segment| sum.wrapping_add(segment.conservation));
        match sum == self.conservation {
            true => Ok(()),
            false => Err(Violation::NotConserved { stated: self.conservation, sum }),
        }
    }

    fn check_successor(&self, parent: &Self) -> Result<(), Violation> {
        if self.collection != parent.collection {
            return Err(Violation::OtherCollection { from: parent.collection, to: self.collection });
        }
        if self.applied < parent.applied {
            return Err(Violation::AppliedFell { from: parent.applied, to: self.applied });
        }
        if self.next_bucket < parent.next_bucket {
            return Err(Violation::NextBucketFell { from: parent.next_bucket, to: self.next_bucket });
        }
        let before: HashMap<_, _> = parent.segments.iter().map(|segment| (segment.id, segment)).collect();
        self.segments
            .iter()
            .filter_map(|segment| Some((segment, *before.get(&segment.id)?)))
            .try_for_each(|(segment, before)| segment.check_successor(before))
    }
}

impl SegmentEntry {
    fn check(&self) -> Result<(), Violation> {
        if self.footer_offset.checked_add(self.footer_length).is_none_or(|end| end > self.length) {
            return Err(Violation::FooterOutside(self.id));
        }
        if self.key_min > self.key_max {
            return Err(Violation::KeysReversed(self.id));
        }
        if self.rows > u32::MAX.into() {
            return Err(Violation::TooManyRows { segment: self.id, rows: self.rows });
        }
        let (live, dead) = (self.live_rows, self.tombstones.as_ref().map_or(0, |t| t.cardinality));
        match live.checked_add(dead) == Some(self.rows) {
            true => Ok(()),
            false => Err(Violation::RowsDisagree { segment: self.id, rows: self.rows, live, dead }),
        }
    }

    /// Only rows' deaths may tell a segment from what it was.
    fn check_successor(&self, before: &Self) -> Result<(), Violation> {
        let stored = Self {
            live_rows: self.live_rows,
            tombstones: self.tombstones.clone(),
            conservation: self.conservation,
            ..before.clone()
        };
        if *self != stored {
            return Err(Violation::SegmentChanged(self.id));
        }
        match self.live_rows <= before.live_rows {
            true => Ok(()),
            false => Err(Violation::Resurrected(self.id)),
        }
    }
}
