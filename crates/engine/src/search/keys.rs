//! Rows by key: what a filter on the key column reads instead of all rows.

use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use drift_types::VectorId;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    candidates::{RowRef, Source},
    filter::RowSets,
    gather::gather,
};
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
    let set = |source: Source, len: usize| {
        let mine = rows.iter().filter(|row| row.source == source);
        set_of(len, mine.map(|row| row.ordinal))
    };
    let l0 = (0..).zip(&snapshot.l0).map(|(i, table)| set(Source::Table(i), table.memtable.len()));
    let segments = (0..).zip(&snapshot.segments).map(|(i, view)| set(Source::Segment(i), view.reader.rows() as usize));
    Ok(RowSets::new(l0.collect(), segments.collect()))
}

/// The rows of L0 with one of the ascending `keys`.
fn in_l0(snapshot: &Snapshot, keys: &[VectorId]) -> Vec<RowRef> {
    let mut rows = Vec::new();
    for (source, table) in (0..).map(Source::Table).zip(&snapshot.l0) {
        for chunk in table.memtable.chunks() {
            let found = (chunk.first..)
                .zip(chunk.ids)
                .filter(|(ordinal, id)| keys.binary_search(id).is_ok() && !table.dead.contains(*ordinal));
            rows.extend(found.map(|(ordinal, _)| RowRef { source, ordinal }));
        }
    }
    rows
}

/// The rows of segments with one of `keys`.
async fn in_segments(snapshot: &Snapshot, keys: &[VectorId]) -> Result<Vec<RowRef>> {
    let look_up = |(source, view): (Source, SegmentView)| async move {
        let found = view.reader.find(keys).await?;
        let live = found.into_iter().filter(|(_, ordinal)| !view.dead.contains(*ordinal));
        Ok::<_, Error>(live.map(|(_, ordinal)| RowRef { source, ordinal }).collect::<Vec<_>>())
    };
    let segments = (0..).map(Source::Segment).zip(snapshot.segments.iter().cloned());
    stream::iter(segments).map(look_up).buffered(CONCURRENT_SEGMENTS).try_concat().await
}

/// Some of `len` rows as a set.
fn set_of(len: usize, rows: impl Iterator<Item = u32>) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, false);
    rows.for_each(|row| bits.set_bit(row as usize, true));
    bits.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, Float32Array, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::{Collection, CollectionSpec, Database, ScanRequest, Settings};

    #[derive(Debug)]
    struct KeyIs([VectorId; 1]);

    impl RowPredicate for KeyIs {
        fn columns(&self) -> &[usize] {
            &[0]
        }

        fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer> {
            let ids = batch.column(0).as_primitive::<Int64Type>();
            Ok(ids.values().iter().map(|id| VectorId::from_i64(*id) == self.0[0]).collect())
        }

        fn keys(&self) -> Option<&[VectorId]> {
            Some(&self.0)
        }
    }

    async fn insert(collection: &Collection, ids: impl Iterator<Item = i64>) {
        let ids: Int64Array = ids.collect();
        let values = Float32Array::from_iter_values(ids.values().iter().flat_map(|id| [*id as f32, 1.0]));
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let vectors = FixedSizeListArray::new(item, 2, Arc::new(values), None);
        let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("v", Arc::new(vectors) as _)]);
        collection.insert(batch.unwrap()).await.unwrap();
    }

    async fn count(collection: &Collection, key: i64) -> usize {
        let filter = Arc::new(KeyIs([VectorId::from_i64(key)]));
        let request = ScanRequest { filter: Some(filter), ..ScanRequest::default() };
        let batches: Vec<RecordBatch> = collection.scan(request).try_collect().await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Range reads of each segment so far.
    fn reads(collection: &Collection) -> Vec<u64> {
        let snapshot = collection.shared.snapshot.load();
        snapshot.segments.iter().map(|view| view.reader.reads()).collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_up_reads_only_the_segments_that_may_hold_the_key() {
        let directory = tempfile::tempdir().unwrap();
        // Untended, so that each flush leaves a segment.
        let settings = Settings { maintenance: false, ..Settings::default() };
        let database = Database::open(directory.path().to_str().unwrap(), settings).await.unwrap();
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("v", DataType::FixedSizeList(item, 2), false),
        ]);
        let collection = database.create_collection("docs", CollectionSpec::new(Arc::new(schema))).await.unwrap();
        for part in 0..3 {
            insert(&collection, (0..300).map(|n| 3 * n + part)).await;
            collection.flush().await.unwrap();
        }
        // The filters come into the cache.
        assert_eq!(count(&collection, -1).await, 0);

        let snapshot = collection.shared.snapshot.load();
        assert!(snapshot.segments.len() > 1, "nothing to tell apart");
        for key in (0..1_000).step_by(7) {
            let before = reads(&collection);
            assert_eq!(count(&collection, key).await, usize::from(key < 900));
            for ((view, before), after) in snapshot.segments.iter().zip(before).zip(reads(&collection)) {
                let filter = view.reader.key_filter().await.unwrap();
                let touched = filter.may_hold(VectorId::from_i64(key));
                assert!(touched || before == after, "key {key}: {} reads too many", after - before);
            }
        }
    }
}
