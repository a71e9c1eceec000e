//! A filter as row sets: evaluated once per table and segment, before the search.

use std::{ops::Range, sync::Arc};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_buffer::{
    BooleanBuffer, BooleanBufferBuilder, bit_chunk_iterator::UnalignedBitChunk, bit_iterator::BitIndexU32Iterator,
};
use arrow_schema::Schema;
use drift_segment::Matching;

use super::keys::matching_keys;
use crate::{
    Result, RowPredicate,
    compute::{Class, Compute},
    dead_set::DeadSet,
    snapshot::{L0Table, RunRef, SegmentView, Snapshot},
};

/// The live rows that match, per L0 table and per segment of a snapshot.
pub(crate) struct RowSets {
    pub l0: Vec<BooleanBuffer>,
    pub segments: Vec<BooleanBuffer>,
    /// Where no row of a segment is dead and the filter is remembered, also its counts.
    remembered: Vec<Option<Arc<Matching>>>,
}

impl RowSets {
    pub fn new(l0: Vec<BooleanBuffer>, segments: Vec<BooleanBuffer>) -> Self {
        let remembered = segments.iter().map(|_| None).collect();
        Self { l0, segments, remembered }
    }

    pub fn count(&self) -> usize {
        self.l0.iter().chain(&self.segments).map(BooleanBuffer::count_set_bits).sum()
    }

    /// Matching rows of each bucket: the n_eff of the density that ranks buckets.
    pub fn rows_per_bucket(&self, snapshot: &Snapshot) -> Vec<u32> {
        let buckets = snapshot.level1.buckets.iter();
        buckets.map(|bucket| bucket.runs.iter().map(|&run| self.rows_of_run(snapshot, run)).sum()).collect()
    }

    /// How many rows of a run match.
    pub fn rows_of_run(&self, snapshot: &Snapshot, RunRef { segment, run, .. }: RunRef) -> u32 {
        if let Some(matching) = &self.remembered[segment as usize] {
            return matching.rows_of_runs[run as usize];
        }
        let ordinals = snapshot.segments[segment as usize].reader.runs()[run as usize].ordinals();
        let set = &self.segments[segment as usize];
        let bits = UnalignedBitChunk::new(set.values(), set.offset() + ordinals.start as usize, ordinals.len());
        bits.count_ones() as u32
    }

    /// The matching rows of a segment among those with these ordinals, counted from the first of them.
    pub fn rows_in(&self, segment: u32, ordinals: Range<u32>) -> BitIndexU32Iterator<'_> {
        let set = &self.segments[segment as usize];
        BitIndexU32Iterator::new(set.values(), set.offset() + ordinals.start as usize, ordinals.len())
    }
}

/// Filters over so few rows are evaluated where they are needed: another thread would first have to wake up.
const EVALUATED_HERE: usize = 256;

/// Evaluates `predicate` over all live rows, or over those with the keys it names.
pub(crate) async fn matching_rows(
    snapshot: &Snapshot,
    predicate: &Arc<dyn RowPredicate>,
    compute: &Compute,
) -> Result<RowSets> {
    if let Some(keys) = predicate.keys() {
        return matching_keys(snapshot, &**predicate, keys).await;
    }
    let mut sets = RowSets::new(Vec::new(), Vec::new());
    for table in &snapshot.l0 {
        let rows = if table.memtable.len() <= EVALUATED_HERE {
            in_table(table, &**predicate)?
        } else {
            let (table, predicate) = (table.clone(), predicate.clone());
            compute.run(Class::Foreground, move || in_table(&table, &*predicate)).await??
        };
        sets.l0.push(rows);
    }
    for view in &snapshot.segments {
        let find = in_segment(view, predicate, compute);
        let (rows, remembered) = match predicate.fingerprint() {
            Some(fingerprint) => {
                let matching = view.reader.matching(fingerprint, find).await?;
                (matching.rows.clone(), Some(matching).filter(|_| view.dead.count() == 0))
            }
            None => (find.await?, None),
        };
        sets.segments.push(without_dead(rows, &view.dead));
        sets.remembered.push(remembered);
    }
    Ok(sets)
}

/// All rows of a segment that match, dead or not.
async fn in_segment(view: &SegmentView, predicate: &Arc<dyn RowPredicate>, compute: &Compute) -> Result<BooleanBuffer> {
    let batch = segment_columns(view, predicate.columns()).await?;
    let predicate = predicate.clone();
    compute.run(Class::Foreground, move || predicate.eval(&batch)).await?
}

/// Whole columns of a segment; a predicate may also name none.
pub(super) async fn segment_columns(view: &SegmentView, columns: &[usize]) -> Result<RecordBatch> {
    if columns.is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(view.reader.rows() as usize));
        return Ok(RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?);
    }
    Ok(view.reader.columns(columns).await?)
}

fn in_table(table: &L0Table, predicate: &dyn RowPredicate) -> Result<BooleanBuffer> {
    let mut bits = BooleanBufferBuilder::new(table.memtable.len());
    for (_, batch) in table.payload.batches() {
        bits.append_buffer(&predicate.eval(&batch.project(predicate.columns())?)?);
    }
    Ok(without_dead(bits.finish(), &table.dead))
}

/// `set` without its dead rows.
pub(super) fn without_dead(set: BooleanBuffer, dead: &DeadSet) -> BooleanBuffer {
    if dead.count() == 0 {
        return set;
    }
    let mut bits = BooleanBufferBuilder::new(set.len());
    bits.append_buffer(&set);
    for row in dead.iter() {
        bits.set_bit(row as usize, false);
    }
    bits.finish()
}

/// All live rows, as sets.
pub(super) fn live_set(rows: usize, dead: &DeadSet) -> BooleanBuffer {
    without_dead(BooleanBuffer::new_set(rows), dead)
}
