//! Rows on their way to a client: the types clients know, the schema that was announced, small frames.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_flight::{FlightData, encode::FlightDataEncoderBuilder, error::FlightError};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::Status;

use crate::error::IntoStatus;

/// Frames stay well below the 4 MiB that gRPC clients take by default.
pub(crate) const FRAME_BYTES: usize = 2 << 20;

/// Rows and the exact schema they have.
pub(crate) struct Rows {
    pub schema: SchemaRef,
    pub batches: BoxStream<'static, Result<RecordBatch, Status>>,
}

impl Rows {
    /// Rows that are all there already.
    pub fn ready(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: stream::iter([Ok(batch)]).boxed() }
    }

    /// Rows cast to `schema`, which was announced for them.
    pub fn cast(schema: SchemaRef, batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static) -> Self {
        let target = schema.clone();
        let batches = batches.map(move |batch| cast_batch(&batch?, &target).map_err(IntoStatus::into_status)).boxed();
        Self { schema, batches }
    }

    /// The rows as Flight frames, schema first.
    pub fn into_flight_data(self) -> BoxStream<'static, Result<FlightData, Status>> {
        FlightDataEncoderBuilder::new()
            .with_schema(self.schema)
            .with_max_flight_data_size(FRAME_BYTES)
            .build(self.batches.map_err(FlightError::from))
            .map_err(IntoStatus::into_status)
            .boxed()
    }
}

/// `schema` in types that every client reads: views become plain, dictionaries their values.
pub(crate) fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(wire_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn wire_field(field: &FieldRef) -> FieldRef {
    let field = field.as_ref();
    let wire = Field::new(field.name(), wire_type(field.data_type()), field.is_nullable());
    Arc::new(wire.with_metadata(field.metadata().clone()))
}

/// See [`wire_schema`].
pub(crate) fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => wire_type(value),
        DataType::List(item) | DataType::ListView(item) => DataType::List(wire_field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(wire_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(wire_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(wire_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        other => other.clone(),
    }
}

/// `batch` in the types of `schema`, which has as many columns.
pub(crate) fn cast_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(column.clone()),
            false => cast(column, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}
