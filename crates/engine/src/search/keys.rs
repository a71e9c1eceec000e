//! Rows by key: what a filter on the key column reads instead of all rows.

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use drift_types::VectorId;
use futures::{StreamExt, TryStreamExt, stream};

use super::{candidates::RowRef, filter::RowSets, gather::gather};
use crate::{
    Error, Result, RowPredicate,
    snapshot::{SegmentView, Snapshot},
};

/// How many segments are looked into at once.
const CONCURRENT_SEGMENTS: usize = 8;

/// The live rows that have one of `keys` and match `predicate`.
pub(super) async fn matching_keys(
    snapshot: &Snapshot,
    predicate: &dyn RowPredicate,
    keys: &[VectorId],
) -> Result<RowSets> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let mut rows = in_l0(snapshot, &keys);
    rows.extend(in_segments(snapshot, &keys).await?);

    let matching = predicate.eval(&gather(snapshot, &rows, predicate.columns()).await?)?;
    let rows: Vec<RowRef> = matching.set_indices().map(|i| rows[i]).collect();
    let set = |in_l0: bool, place: usize, len: usize| {
        let mine = rows.iter().filter(|row| (row.in_l0, row.place as usize) == (in_l0, place));
        set_of(len, mine.map(|row| row.ordinal))
    };
    let l0 = snapshot.l0.iter().enumerate().map(|(i, table)| set(true, i, table.memtable.len()));
    let segments = snapshot.segments.iter().enumerate().map(|(i, view)| set(false, i, view.reader.rows() as usize));
    Ok(RowSets { l0: l0.collect(), segments: segments.collect() })
}

/// The rows of L0 with one of the ascending `keys`.
fn in_l0(snapshot: &Snapshot, keys: &[VectorId]) -> Vec<RowRef> {
    let mut rows = Vec::new();
    for (place, table) in (0..).zip(&snapshot.l0) {
        for chunk in table.memtable.chunks() {
            let found = (chunk.first..)
                .zip(chunk.ids)
                .filter(|(ordinal, id)| keys.binary_search(id).is_ok() && !table.dead.contains(*ordinal));
            rows.extend(found.map(|(ordinal, _)| RowRef { in_l0: true, place, ordinal }));
        }
    }
    rows
}

/// The rows of segments with one of `keys`.
async fn in_segments(snapshot: &Snapshot, keys: &[VectorId]) -> Result<Vec<RowRef>> {
    let look_up = |(place, view): (u32, SegmentView)| async move {
        let found = view.reader.find(keys).await?;
        let live = found.into_iter().filter(|(_, ordinal)| !view.dead.contains(*ordinal));
        Ok::<_, Error>(live.map(|(_, ordinal)| RowRef { in_l0: false, place, ordinal }).collect::<Vec<_>>())
    };
    let segments = (0..).zip(snapshot.segments.iter().cloned());
    stream::iter(segments).map(look_up).buffered(CONCURRENT_SEGMENTS).try_concat().await
}

/// Some of `len` rows as a set.
fn set_of(len: usize, rows: impl Iterator<Item = u32>) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, false);
    rows.for_each(|row| bits.set_bit(row as usize, true));
    bits.finish()
}
