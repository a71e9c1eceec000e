//! Vectors as the batches that a collection takes: columns `id` and `vector`.

use std::sync::Arc;

use arrow_array::{FixedSizeListArray, Float32Array, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::data::Rows;

/// Rows of a batch of [`batches`].
const BATCH_ROWS: usize = 8_192;

/// The columns.
pub fn schema(dim: usize) -> SchemaRef {
    let value = Arc::new(Field::new("item", DataType::Float32, false));
    let vector = DataType::FixedSizeList(value, dim as i32);
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("vector", vector, false)]))
}

/// A batch of these ids and values, `dim` of them per id.
///
/// # Panics
/// When their numbers do not fit.
pub fn batch(ids: Vec<i64>, values: Vec<f32>, dim: usize) -> RecordBatch {
    let value = Arc::new(Field::new("item", DataType::Float32, false));
    let vectors = FixedSizeListArray::new(value, dim as i32, Arc::new(Float32Array::from(values)), None);
    RecordBatch::try_new(schema(dim), vec![Arc::new(Int64Array::from(ids)), Arc::new(vectors)]).expect("two columns")
}

/// All rows, one batch after the other; a row's number is its id.
pub fn batches(rows: &Rows) -> impl Iterator<Item = RecordBatch> + Send + use<> {
    let (dim, mut first) = (rows.dim, 0);
    let parts: Vec<Vec<f32>> = rows.data.chunks(BATCH_ROWS * dim).map(<[f32]>::to_vec).collect();
    parts.into_iter().map(move |values| {
        let ids = first..first + (values.len() / dim) as i64;
        first = ids.end;
        batch(ids.collect(), values, dim)
    })
}
