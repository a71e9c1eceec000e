//! What a search holds: one consistent state of a collection, never changed once published.

use std::sync::Arc;

use drift_ivf::{BucketHeader, Router};
use drift_manifest::Action;
use drift_memtable::Memtable;
use drift_segment::SegmentReader;
use drift_types::{BucketId, SeqNo};
use smallvec::SmallVec;

use crate::{
    CollectionSchema,
    dead_set::DeadSet,
    id_map::{PlaceId, RowAddress},
    observed::Observed,
    origins::Origins,
    payload_list::PayloadList,
};

/// A table of L0: vectors with their search structures, and the rows they belong to.
#[derive(Clone)]
pub(crate) struct L0Table {
    pub place: PlaceId,
    pub memtable: Memtable,
    pub payload: PayloadList,
    pub dead: DeadSet,
    /// When its first row came, for freezing by age.
    pub born: Option<std::time::Instant>,
}

impl L0Table {
    pub fn new(place: PlaceId, schema: &CollectionSchema) -> Self {
        let memtable = Memtable::new(schema.dim.unwrap_or(1), schema.metric);
        Self { place, memtable, payload: PayloadList::default(), dead: DeadSet::default(), born: None }
    }

    pub fn live_rows(&self) -> usize {
        self.memtable.len() - self.dead.count() as usize
    }
}

/// A segment as one snapshot sees it.
#[derive(Clone)]
pub(crate) struct SegmentView {
    pub place: PlaceId,
    pub reader: Arc<SegmentReader>,
    pub dead: DeadSet,
    /// The dead rows that bucket headers do not count any more.
    pub counted: DeadSet,
    /// For each run the position of its bucket in [`Level1::buckets`], if a bucket still uses it.
    pub bucket_of_run: Arc<Vec<Option<u32>>>,
}

impl SegmentView {
    /// A segment with these rows dead, which its buckets' headers know; it has no bucket yet.
    pub fn new(place: PlaceId, reader: SegmentReader, dead: DeadSet) -> Self {
        Self { place, reader: Arc::new(reader), counted: dead.clone(), dead, bucket_of_run: Default::default() }
    }

    pub fn live_rows(&self) -> u64 {
        u64::from(self.reader.rows()) - u64::from(self.dead.count())
    }

    /// Live rows of a run.
    pub fn live_in(&self, run: u32) -> u32 {
        let entry = &self.reader.runs()[run as usize];
        entry.rows - self.dead.count_in(entry.first_row, entry.rows)
    }

    /// The live rows of a run, ascending.
    pub fn live_ordinals(&self, run: u32) -> impl Iterator<Item = u32> + '_ {
        self.reader.runs()[run as usize].ordinals().filter(|&ordinal| !self.dead.contains(ordinal))
    }

    /// The run that holds row `ordinal`.
    pub fn run_of(&self, ordinal: u32) -> u32 {
        self.reader.runs().partition_point(|run| run.first_row <= ordinal) as u32 - 1
    }
}

/// Where a part of a bucket lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunRef {
    /// The segment's place.
    pub place: PlaceId,
    /// Position in [`Snapshot::segments`].
    pub segment: u32,
    /// The run within the segment.
    pub run: u32,
    /// Ordinal of its first row.
    pub first_row: u32,
}

/// A bucket of L1.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub id: BucketId,
    pub generation: u32,
    pub header: Arc<BucketHeader>,
    /// Of the centroid: codes relative to it need no distance of their own.
    pub centre_hash: u64,
    /// Mostly one: a search finds it here without following a pointer.
    pub runs: SmallVec<[RunRef; 1]>,
    pub past: BucketPast,
    pub observed: Arc<Observed>,
}

/// What was done to a bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BucketPast {
    /// The last split, merge or rewrite, and when, in milliseconds since 1970.
    pub changed: Option<(Action, u64)>,
    /// The manifest of that change.
    pub manifest: u64,
    /// Rows that have come or died since.
    pub rows_changed: u32,
    /// Live rows when they could not be told apart; 0: they can be.
    pub dense_rows: u32,
}

impl BucketPast {
    /// Whether `action` must wait: children of a split are not joined, receivers of rows not split.
    pub fn is_cooling(&self, from: Action, manifest: u64, rows: usize) -> bool {
        let since = manifest.saturating_sub(self.manifest);
        self.changed.is_some_and(|(action, _)| action == from)
            && drift_ivf::is_cooling(since, u64::from(self.rows_changed), rows as u64)
    }
}

/// The buckets and the router over them.
pub(crate) struct Level1 {
    /// The manifest that names them.
    pub manifest: u64,
    pub buckets: Vec<Bucket>,
    /// `None` while there is no bucket.
    pub router: Option<Router>,
    /// What the 1-bit codes of segments are relative to.
    pub origins: Origins,
}

/// One state of a collection.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Every write up to this number is in it, none after.
    pub seq: SeqNo,
    pub schema: Arc<CollectionSchema>,
    /// Oldest first; the last one takes new rows, the others are frozen.
    pub l0: Vec<L0Table>,
    pub segments: Vec<SegmentView>,
    pub level1: Arc<Level1>,
    /// Live rows per bucket.
    pub live: Arc<Vec<u32>>,
    /// How many loads have ended since the database was opened.
    pub loads: u64,
}

impl Snapshot {
    pub fn l0_rows(&self) -> usize {
        self.l0.iter().map(L0Table::live_rows).sum()
    }

    pub fn rows(&self) -> u64 {
        self.l0_rows() as u64 + self.segments.iter().map(SegmentView::live_rows).sum::<u64>()
    }

    /// The frozen tables, oldest first.
    pub fn frozen(&self) -> &[L0Table] {
        &self.l0[..self.l0.len() - 1]
    }

    /// The table that takes new rows.
    pub fn active(&mut self) -> &mut L0Table {
        self.l0.last_mut().expect("a snapshot always has an active table")
    }

    /// Marks a row dead; returns whether it was live.
    pub fn kill(&mut self, address: RowAddress) -> bool {
        if let Some(table) = self.l0.iter_mut().find(|t| t.place == address.place) {
            return table.dead.insert(address.ordinal);
        }
        let Some(segment) = self.segments.iter_mut().find(|s| s.place == address.place) else {
            return false; // the row's table went with rows that were dead already
        };
        let killed = segment.dead.insert(address.ordinal);
        if killed && let Some(bucket) = segment.bucket_of_run[segment.run_of(address.ordinal) as usize] {
            Arc::make_mut(&mut self.live)[bucket as usize] -= 1;
        }
        killed
    }

    /// Live rows per bucket, counted anew.
    pub fn count_live(level1: &Level1, segments: &[SegmentView]) -> Vec<u32> {
        level1
            .buckets
            .iter()
            .map(|bucket| bucket.runs.iter().map(|r| segments[r.segment as usize].live_in(r.run)).sum())
            .collect()
    }
}
