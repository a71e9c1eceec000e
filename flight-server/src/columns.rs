//! Columns that a client names.

use drift_engine::CollectionSchema;
use tonic::Status;

/// Where `columns` stand in `schema`.
///
/// # Errors
/// INVALID_ARGUMENT for a name that is none, with those that are.
pub(crate) fn indices(schema: &CollectionSchema, columns: &[String]) -> Result<Vec<usize>, Status> {
    let index = |name: &String| {
        schema.arrow.index_of(name).map_err(|_| {
            let known: Vec<_> = schema.arrow.fields().iter().map(|f| f.name().as_str()).collect();
            Status::invalid_argument(format!("unknown column '{name}': the collection has {}", known.join(", ")))
        })
    };
    columns.iter().map(index).collect()
}
