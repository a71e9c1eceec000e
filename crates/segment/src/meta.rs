use std::{collections::HashMap, sync::Arc};

use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use drift_ipc::read_stream;
use drift_types::Metric;

use crate::{Error, Result, error::Flaw};

const KEY_COLUMN: &str = "drift.segment.key_column";
const VECTOR_COLUMN: &str = "drift.segment.vector_column";
const METRIC: &str = "drift.segment.metric";
const CREATED_MS: &str = "drift.segment.created_ms";

/// What a segment knows of its collection.
///
/// SCHEMA is an Arrow IPC stream of no batches: the user's schema, to whose metadata the other
/// members are added as `drift.segment.*`. The dimension is that of the vector column.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentMeta {
    /// The user's full schema.
    pub schema: SchemaRef,
    /// The column of `schema` that holds the key; `None` where keys are generated and no column shows them.
    pub key_column: Option<String>,
    /// The column of `schema` that is indexed: a `FixedSizeList` of `dim` `Float32`.
    pub vector_column: String,
    /// Values per vector.
    pub dim: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// When the segment was built, in milliseconds since 1970.
    pub created_ms: u64,
}

impl SegmentMeta {
    /// The schema of the payload: every column but the vector.
    pub fn payload_schema(&self) -> SchemaRef {
        let stored = |field: &&Arc<Field>| field.name() != &self.vector_column;
        let fields: Vec<_> = self.schema.fields().iter().filter(stored).cloned().collect();
        Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()))
    }

    /// Checks that the columns named exist and are what they should be.
    pub(crate) fn check(&self) -> Result<()> {
        let vector = self.schema.field_with_name(&self.vector_column).map(Field::data_type);
        let is_vector = matches!(vector, Ok(DataType::FixedSizeList(item, dim))
            if item.data_type() == &DataType::Float32 && *dim > 0 && *dim as usize == self.dim);
        if !is_vector {
            return Err(Error::Invalid(format!(
                "the schema must have the vector column '{}' of type FixedSizeList<Float32, {}>",
                self.vector_column, self.dim
            )));
        }
        let is_key = |key: &String| key != &self.vector_column && self.schema.index_of(key).is_ok();
        match self.key_column.as_ref().filter(|key| !is_key(key)) {
            Some(key) => Err(Error::Invalid(format!("the schema must have the key column '{key}' beside the vector"))),
            None => Ok(()),
        }
    }

    /// The position of the vector column in the schema.
    pub(crate) fn vector_index(&self) -> usize {
        self.schema.index_of(&self.vector_column).expect("checked when made")
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, ArrowError> {
        let mut metadata = self.schema.metadata().clone();
        if let Some(key) = &self.key_column {
            metadata.insert(KEY_COLUMN.into(), key.clone());
        }
        metadata.insert(VECTOR_COLUMN.into(), self.vector_column.clone());
        metadata.insert(METRIC.into(), self.metric.name().into());
        metadata.insert(CREATED_MS.into(), self.created_ms.to_string());
        let schema = Schema::new_with_metadata(self.schema.fields().clone(), metadata);
        StreamWriter::try_new(Vec::new(), &schema)?.into_inner()
    }

    pub(crate) fn parse(bytes: &[u8], dim: usize) -> Result<Self, Flaw> {
        let (schema, _) = read_stream(bytes).map_err(|e| format!("SCHEMA: {e}"))?;
        let mut metadata = schema.metadata().clone();
        let meta = Self {
            key_column: metadata.remove(KEY_COLUMN),
            vector_column: take(&mut metadata, VECTOR_COLUMN)?,
            metric: take(&mut metadata, METRIC)?.parse().map_err(Flaw::Newer)?,
            created_ms: take(&mut metadata, CREATED_MS)?.parse().map_err(|_| "SCHEMA: no time")?,
            dim,
            schema: Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata)),
        };
        meta.check().map_err(|e| e.to_string())?;
        Ok(meta)
    }
}

fn take(metadata: &mut HashMap<String, String>, key: &str) -> Result<String, Flaw> {
    metadata.remove(key).ok_or_else(|| format!("SCHEMA: no '{key}'").into())
}
