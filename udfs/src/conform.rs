//! What the engine returns, in the shape a plan has promised.

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use datafusion::common::Result;

use crate::error::invalid;

/// The first columns of `batch` under `schema`.
///
/// # Errors
/// The types differ: the first rows of a collection settle the dimension of its vectors, which a
/// statement prepared before could not know.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns()[..schema.fields().len()].to_vec();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|e| {
        invalid(format!("the collection has changed since the statement was prepared ({e}): prepare it again"))
    })
}
