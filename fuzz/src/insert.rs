//! What an insert record holds, and what a client sends: an Arrow IPC stream, brought into a
//! collection's own form.
//!
//! ```text
//! input  u8 (bit 0: the collection is made for the stream; bit 1: cosine), Arrow IPC stream
//! ```

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use drift_engine::{CollectionSchema, CollectionSpec, canonicalise, vectors};
use drift_ipc::read_stream;
use drift_types::Metric;

/// The collection is made for the stream.
pub const OWN_COLLECTION: u8 = 1;
/// Vectors are compared by their direction.
pub const COSINE: u8 = 2;

pub fn run(input: &[u8]) {
    let Some((mode, bytes)) = input.split_first() else { return };
    let Ok((stream_schema, batches)) = read_stream(bytes) else { return };
    let columns = if mode & OWN_COLLECTION == 0 { columns() } else { stream_schema };
    let metric = if mode & COSINE == 0 { Metric::L2 } else { Metric::Cosine };
    let Ok(schema) = CollectionSchema::resolve(&CollectionSpec::new(columns).with_metric(metric)) else { return };
    batches.iter().for_each(|batch| insert(&schema, batch));
}

/// The columns of a usual collection.
pub fn columns() -> SchemaRef {
    let vector = DataType::new_list(DataType::Float32, true);
    let label = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("embedding", vector, false),
        Field::new("text", DataType::Utf8, true),
        Field::new("label", label, true),
    ])
    .into()
}

fn insert(schema: &CollectionSchema, batch: &RecordBatch) {
    let Ok((schema, canonical)) = canonicalise(schema, batch) else { return };
    let (rows, dim) = (canonical.batch.num_rows(), schema.dim.expect("settled by the batch"));
    assert_eq!(rows, batch.num_rows());
    let values = vectors(&schema, &canonical.batch);
    assert!(values.len() == rows * dim && values.iter().all(|value| value.is_finite()));
    assert!(canonical.ids.as_ref().is_none_or(|ids| ids.len() == rows));
    let (again, same) = canonicalise(&schema, &canonical.batch).expect("it is canonical already");
    assert_eq!((again, same.ids), (schema, canonical.ids));
}
