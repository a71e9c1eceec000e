//! Columns of a batch that was read, by name and type.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::ArrowError;

pub(crate) fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a A, ArrowError> {
    downcast(batch.column_by_name(name).ok_or_else(|| missing(name))?, name)
}

pub(crate) fn downcast<'a, A: Array + 'static>(array: &'a ArrayRef, name: &str) -> Result<&'a A, ArrowError> {
    array.as_any().downcast_ref().ok_or_else(|| missing(name))
}

pub(crate) fn missing(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column '{name}' is missing or of another type"))
}
