//! Rows out of tables and segments: the winners of a search, or all of a scan.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, Float32Array, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::{filter::filter_record_batch, interleave::interleave_record_batch};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    candidates::{Hit, RowRef, Source},
    filter::{RowSets, live_set, matching_rows, segment_columns},
};
use crate::{
    BatchStream, Result, ScanRequest,
    canonical::key_column,
    compute::Compute,
    snapshot::{SegmentView, Snapshot},
};

/// The schema of a search's answer: the projected columns, then `_distance`.
fn answer_schema(columns: &Schema) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = columns.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("_distance", DataType::Float32, false)));
    Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

/// The hits' columns in the hits' order, with their distances. Only the pages that hold winners are
/// read.
pub(super) async fn winners(snapshot: &Snapshot, hits: &[Hit], projection: Option<&[usize]>) -> Result<RecordBatch> {
    let all: Vec<usize> = (0..snapshot.schema.arrow.fields().len()).collect();
    let columns = projection.unwrap_or(&all);
    let schema = snapshot.schema.arrow.project(columns)?;
    // Hits know their keys: who asks for no more need not read any row.
    let (key, others): (Vec<usize>, Vec<usize>) = columns.iter().partition(|&&c| Some(c) == snapshot.schema.key);
    let rows: Vec<RowRef> = hits.iter().map(|hit| hit.row).collect();
    let others = if others.is_empty() { None } else { Some(gather(snapshot, &rows, &others).await?) };
    let mut others = others.iter().flat_map(|rows| rows.columns());
    let mut arrays = Vec::with_capacity(columns.len() + 1);
    for (column, field) in columns.iter().zip(schema.fields()) {
        let mut next = || others.next().expect("gathered all columns but the key").clone();
        let is_key = key.contains(column);
        arrays.push(if is_key { key_column(hits.iter().map(|hit| hit.id), field.data_type())? } else { next() });
    }
    let metric = snapshot.schema.metric;
    let distances = Float32Array::from_iter_values(hits.iter().map(|hit| metric.distance(hit.score)));
    arrays.push(Arc::new(distances) as ArrayRef);
    Ok(RecordBatch::try_new(answer_schema(&schema), arrays)?)
}

/// Some columns of some rows, in the rows' order.
pub(super) async fn gather(snapshot: &Snapshot, rows: &[RowRef], columns: &[usize]) -> Result<RecordBatch> {
    let schema = Arc::new(snapshot.schema.arrow.project(columns)?);
    if rows.is_empty() || columns.is_empty() {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let none = RecordBatch::new_empty(schema.clone()).columns().to_vec();
        return Ok(RecordBatch::try_new_with_options(schema, none, &options)?);
    }
    let mut by_source: BTreeMap<Source, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        by_source.entry(row.source).or_default().push(at);
    }
    // Where each row of the answer is: one of the batches, and a row of it.
    let (mut batches, mut found) = (Vec::new(), vec![(0, 0); rows.len()]);
    for (source, wanted) in by_source {
        let first = batches.len();
        match source {
            Source::Table(table) => {
                let payload = &snapshot.l0[table as usize].payload;
                for (_, batch) in payload.batches() {
                    batches.push(batch.project(columns)?);
                }
                for at in wanted {
                    let (batch, row) = payload.locate(rows[at].ordinal);
                    found[at] = (first + batch, row);
                }
            }
            Source::Segment(segment) => {
                let ordinals: Vec<u32> = wanted.iter().map(|&at| rows[at].ordinal).collect();
                batches.push(snapshot.segments[segment as usize].reader.payload(&ordinals, columns).await?);
                wanted.into_iter().enumerate().for_each(|(row, at)| found[at] = (first, row));
            }
        }
    }
    // Parts may differ in what the schema says beside types, such as metadata.
    let batches: Vec<RecordBatch> =
        batches.into_iter().map(|b| b.with_schema(schema.clone())).collect::<Result<_, _>>()?;
    Ok(interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &found)?)
}

/// Rows per batch of a scan.
const SCAN_ROWS: usize = 8192;

/// What reading one row of a segment's columns costs, in rows: the data pages it is on.
const ROWS_READ_PER_ROW: usize = 256;

/// Streams live, matching rows in no order.
pub(crate) fn scan(snapshot: Arc<Snapshot>, request: ScanRequest, compute: Compute) -> BatchStream {
    let limit = request.limit.unwrap_or(usize::MAX);
    let sources = stream::once(async move {
        let sets = match &request.filter {
            Some(filter) => Some(matching_rows(&snapshot, filter, &compute).await?),
            None => None,
        };
        let (snapshot, sets, request) = (snapshot, Arc::new(sets), Arc::new(request));
        let tables = (0..snapshot.l0.len() as u32).map(Source::Table);
        let sources = tables.chain((0..snapshot.segments.len() as u32).map(Source::Segment));
        Ok::<_, crate::Error>(stream::iter(sources).then(move |source| {
            let (snapshot, sets, request) = (snapshot.clone(), sets.clone(), request.clone());
            async move { scan_source(&snapshot, source, sets.as_ref().as_ref(), request.projection.as_deref()).await }
        }))
    });
    let batches = sources.try_flatten().map_ok(|batches| stream::iter(batches.into_iter().map(Ok))).try_flatten();
    take_rows(batches.boxed(), limit)
}

/// The rows of one L0 table or segment, in batches.
async fn scan_source(
    snapshot: &Snapshot,
    source: Source,
    sets: Option<&RowSets>,
    projection: Option<&[usize]>,
) -> Result<Vec<RecordBatch>> {
    let all: Vec<usize> = (0..snapshot.schema.arrow.fields().len()).collect();
    let columns = projection.unwrap_or(&all);
    let schema = Arc::new(snapshot.schema.arrow.project(columns)?);
    match source {
        Source::Table(i) => {
            let table = &snapshot.l0[i as usize];
            let set = match sets {
                Some(sets) => sets.l0[i as usize].clone(),
                None => live_set(table.memtable.len(), &table.dead),
            };
            let batches = table.payload.batches().map(|(_, batch)| Ok(batch.project(columns)?));
            matching(batches.collect::<Result<Vec<_>>>()?, &set, &schema)
        }
        Source::Segment(i) => {
            let view = &snapshot.segments[i as usize];
            let set = match sets {
                Some(sets) => sets.segments[i as usize].clone(),
                None => live_set(view.reader.rows() as usize, &view.dead),
            };
            match set.count_set_bits() {
                0 => Ok(Vec::new()),
                few if few * ROWS_READ_PER_ROW <= set.len() => scan_few(view, &set, columns, &schema).await,
                _ => matching(vec![segment_columns(view, columns).await?], &set, &schema),
            }
        }
    }
}

/// The rows in `set` of consecutive batches.
fn matching(batches: Vec<RecordBatch>, set: &BooleanBuffer, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let (mut out, mut first) = (Vec::new(), 0);
    for batch in batches {
        for at in (0..batch.num_rows()).step_by(SCAN_ROWS) {
            let rows = SCAN_ROWS.min(batch.num_rows() - at);
            let mask = BooleanArray::new(set.slice(first + at, rows), None);
            if mask.true_count() > 0 {
                let kept = filter_record_batch(&batch.slice(at, rows), &mask)?;
                out.push(kept.with_schema(schema.clone())?);
            }
        }
        first += batch.num_rows();
    }
    Ok(out)
}

/// The rows in `set`, from only those pages they are on.
async fn scan_few(
    view: &SegmentView,
    set: &BooleanBuffer,
    columns: &[usize],
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>> {
    let rows: Vec<u32> = set.set_indices_u32().collect();
    let mut out = Vec::new();
    for rows in rows.chunks(SCAN_ROWS) {
        out.push(view.reader.payload(rows, columns).await?.with_schema(schema.clone())?);
    }
    Ok(out)
}

/// The stream's first `limit` rows.
fn take_rows(batches: BatchStream, limit: usize) -> BatchStream {
    batches
        .scan(limit, |left, batch| {
            let taken = match batch {
                Ok(_) if *left == 0 => None,
                Ok(batch) => {
                    let batch = batch.slice(0, batch.num_rows().min(*left));
                    *left -= batch.num_rows();
                    Some(Ok(batch))
                }
                Err(e) => Some(Err(e)),
            };
            futures::future::ready(taken)
        })
        .boxed()
}
