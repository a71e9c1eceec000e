//! Neighbours as frames.

use std::{iter::repeat_n, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_flight::FlightData;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_schema::{ArrowError, SchemaRef};
use datafusion::arrow::compute::concat_batches;
use drift_engine::SearchResult;
use tonic::Status;

use crate::{
    encode::{FRAME_BYTES, cast_batch},
    error::IntoStatus,
};

/// The neighbours of the queries from row `first` on, as at least one frame of `schema`.
pub(super) fn frames(schema: &SchemaRef, first: usize, found: Vec<SearchResult>) -> Result<Vec<FlightData>, Status> {
    encode(&batch(schema, first, found).map_err(IntoStatus::into_status)?).map_err(IntoStatus::into_status)
}

fn batch(schema: &SchemaRef, first: usize, found: Vec<SearchResult>) -> Result<RecordBatch, ArrowError> {
    let Some(columns) = found.first().map(|result| result.batch.schema()) else {
        return Ok(RecordBatch::new_empty(schema.clone()));
    };
    let queries = found.iter().zip(first..).flat_map(|(result, row)| repeat_n(row as u32, result.batch.num_rows()));
    let queries: ArrayRef = Arc::new(UInt32Array::from_iter_values(queries));
    let rows = match &found[..] {
        [one] => one.batch.clone(),
        many => concat_batches(&columns, many.iter().map(|result| &result.batch))?,
    };
    let query = schema.fields()[..1].iter();
    let fields: Vec<_> = query.chain(columns.fields()).cloned().collect();
    let arrays = [queries].into_iter().chain(rows.columns().iter().cloned()).collect();
    cast_batch(&RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), arrays)?, schema)
}

/// Frames that every client takes, in the order of the rows.
fn encode(batch: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
    let rows = batch.num_rows();
    let frames = batch.get_array_memory_size().div_ceil(FRAME_BYTES).clamp(1, rows.max(1));
    let rows_per_frame = rows.div_ceil(frames).max(1);
    let mut context = IpcWriteContext::default();
    let mut frame = |begin: usize| {
        let part = batch.slice(begin, rows_per_frame.min(rows - begin));
        // Types of the wire know no dictionaries.
        let mut dictionaries = DictionaryTracker::new(false);
        let options = IpcWriteOptions::default();
        let (_, data) = IpcDataGenerator::default().encode(&part, &mut dictionaries, &options, &mut context)?;
        Ok(FlightData::from(data))
    };
    (0..rows.max(1)).step_by(rows_per_frame).map(&mut frame).collect()
}
