//! A collection's columns: which is the key, which the vector, and what a batch must look like.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use drift_types::{Compression, Metric};

use crate::{Error, Result};

/// What a user says to create a collection.
#[derive(Clone, Debug)]
pub struct CollectionSpec {
    /// The columns. The vector column may be a list of any numbers, of fixed length or not.
    pub schema: SchemaRef,
    /// The key column; `None`: a column named `id` with integers, else keys are generated.
    pub key: Option<String>,
    /// The vector column; `None`: the one column that can be it.
    pub vector: Option<String>,
    /// How vectors are compared.
    pub metric: Metric,
    /// How exact vectors are stored, in segments written from now on.
    pub compression: Compression,
}

impl CollectionSpec {
    /// A spec with everything inferred, compared by squared Euclidean distance.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, key: None, vector: None, metric: Metric::L2, compression: Compression::Auto }
    }

    /// Sets the metric.
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }
}

/// The settled columns of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionSchema {
    /// The columns as stored: the vector column is `FixedSizeList<Float32, dim>` once `dim` is known.
    pub arrow: SchemaRef,
    /// Index of the key column; `None`: keys are generated and hidden.
    pub key: Option<usize>,
    /// Index of the vector column.
    pub vector: usize,
    /// Values per vector; `None` until the first batch fixes it.
    pub dim: Option<usize>,
    /// How vectors are compared.
    pub metric: Metric,
    /// How exact vectors are stored, in segments written from now on.
    pub compression: Compression,
}

/// The largest dimension served.
pub const DIM_MAX: usize = 16_384;

impl CollectionSchema {
    /// Settles a spec.
    ///
    /// # Errors
    /// `Invalid` when no column, or more than one, can be the vector, when a named column is
    /// missing or of a wrong type, or when a name is Drift's own.
    pub fn resolve(spec: &CollectionSpec) -> Result<Self> {
        let schema = &spec.schema;
        check_names(schema)?;
        let key = find_key(schema, spec.key.as_deref())?;
        let vector = find_vector(schema, spec.vector.as_deref())?;
        let dim = match schema.field(vector).data_type() {
            DataType::FixedSizeList(_, d) => Some(check_dim(*d as usize)?),
            _ => None,
        };
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(stored_field).collect();
        if let Some(key) = key {
            fields[key] = Arc::new(fields[key].as_ref().clone().with_nullable(false));
        }
        fields[vector] = Arc::new(vector_field(schema.field(vector).name(), dim));
        let arrow = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self { arrow, key, vector, dim, metric: spec.metric, compression: spec.compression })
    }

    /// Refuses columns that no segment can hold, before rows are acknowledged that could never leave L0.
    ///
    /// # Errors
    /// `Invalid` names the column.
    pub(crate) fn check_stored(&self) -> Result<()> {
        let others = (0..).zip(self.arrow.fields()).filter(|(i, _)| *i != self.vector && Some(*i) != self.key);
        for (_, field) in others {
            drift_segment::check_column(field).map_err(|e| {
                let (name, kind) = (field.name(), field.data_type());
                Error::invalid(format!(
                    "column '{name}' of type {kind} cannot be stored ({e}): leave it out or cast it"
                ))
            })?;
        }
        Ok(())
    }

    /// The same schema with its dimension settled.
    pub fn with_dim(&self, dim: usize) -> Result<Self> {
        let mut fields: Vec<Arc<Field>> = self.arrow.fields().iter().cloned().collect();
        fields[self.vector] = Arc::new(vector_field(fields[self.vector].name(), Some(check_dim(dim)?)));
        let arrow = Arc::new(Schema::new_with_metadata(fields, self.arrow.metadata().clone()));
        Ok(Self { arrow, dim: Some(dim), ..self.clone() })
    }

    /// The same, as a manifest holds it.
    pub(crate) fn to_manifest(&self) -> drift_manifest::CollectionSchema {
        drift_manifest::CollectionSchema {
            arrow: self.arrow.clone(),
            key_column: self.key_name().map(str::to_owned),
            vector_column: self.vector_name().to_owned(),
            dim: self.dim.map(|dim| dim as u32),
            metric: self.metric,
            compression: self.compression,
        }
    }

    /// What a manifest holds.
    pub(crate) fn from_manifest(stored: &drift_manifest::CollectionSchema) -> Result<Self> {
        let index = |name: &str| {
            let missing = |_| {
                Error::new(
                    crate::ErrorKind::Corrupt,
                    format!("a manifest names a column '{name}' that it does not have"),
                )
            };
            stored.arrow.index_of(name).map_err(missing)
        };
        Ok(Self {
            arrow: stored.arrow.clone(),
            key: stored.key_column.as_deref().map(index).transpose()?,
            vector: index(&stored.vector_column)?,
            dim: stored.dim.map(|dim| dim as usize),
            metric: stored.metric,
            compression: stored.compression,
        })
    }

    /// The vector column's name.
    pub fn vector_name(&self) -> &str {
        self.arrow.field(self.vector).name()
    }

    /// The key column's name, unless keys are generated.
    pub fn key_name(&self) -> Option<&str> {
        self.key.map(|k| self.arrow.field(k).name().as_str())
    }

    /// Whether `data_type` can hold vectors.
    pub fn is_vector_type(data_type: &DataType) -> bool {
        match data_type {
            DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
                item.data_type().is_numeric()
            }
            _ => false,
        }
    }
}

/// The field as it is stored: with values in the place of dictionaries, whose keys may be too narrow for all
/// rows together.
fn stored_field(field: &FieldRef) -> FieldRef {
    let stored = field.as_ref().clone().with_data_type(stored_type(field.data_type()));
    Arc::new(stored)
}

fn stored_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => stored_type(value),
        DataType::List(item) => DataType::List(stored_field(item)),
        DataType::LargeList(item) => DataType::LargeList(stored_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(stored_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(stored_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(stored_field(entries), *sorted),
        other => other.clone(),
    }
}

/// The field of a vector column; a list of no fixed length while the dimension is unknown.
fn vector_field(name: &str, dim: Option<usize>) -> Field {
    let item = Arc::new(Field::new("item", DataType::Float32, true));
    match dim {
        Some(d) => Field::new(name, DataType::FixedSizeList(item, d as i32), false),
        None => Field::new(name, DataType::List(item), false),
    }
}

fn check_dim(dim: usize) -> Result<usize> {
    if (1..=DIM_MAX).contains(&dim) {
        Ok(dim)
    } else {
        Err(Error::invalid(format!("a vector of {dim} values cannot be indexed: use 1 to {DIM_MAX}")))
    }
}

fn check_names(schema: &Schema) -> Result<()> {
    for (i, field) in schema.fields().iter().enumerate() {
        if field.name() == "_distance" {
            return Err(Error::invalid("the column name '_distance' is Drift's own: rename the column"));
        }
        if field.name().is_empty() {
            return Err(Error::invalid(format!("column {i} has no name: name it")));
        }
        if schema.fields()[..i].iter().any(|f| f.name() == field.name()) {
            return Err(Error::invalid(format!("two columns are named '{}': rename one", field.name())));
        }
    }
    Ok(())
}

fn find_key(schema: &Schema, named: Option<&str>) -> Result<Option<usize>> {
    let name = named.unwrap_or("id");
    let Ok(index) = schema.index_of(name) else {
        return match named {
            Some(name) => Err(Error::invalid(format!("no column '{name}' to be the key: {}", columns(schema)))),
            None => Ok(None),
        };
    };
    let data_type = schema.field(index).data_type();
    match named {
        _ if data_type.is_integer() => Ok(Some(index)),
        None => Ok(None),
        Some(name) => {
            Err(Error::invalid(format!("key column '{name}' is {data_type}: use an integer, such as BIGINT")))
        }
    }
}

fn find_vector(schema: &Schema, named: Option<&str>) -> Result<usize> {
    if let Some(name) = named {
        let index = schema
            .index_of(name)
            .map_err(|_| Error::invalid(format!("no column '{name}' to hold vectors: {}", columns(schema))))?;
        let data_type = schema.field(index).data_type();
        return if CollectionSchema::is_vector_type(data_type) {
            Ok(index)
        } else {
            Err(Error::invalid(format!("column '{name}' is {data_type}, no vector: use FLOAT[dimension]")))
        };
    }
    let fixed = |t: &DataType| matches!(t, DataType::FixedSizeList(..));
    for wanted in [true, false] {
        let found: Vec<usize> = (0..schema.fields().len())
            .filter(|&i| {
                let t = schema.field(i).data_type();
                CollectionSchema::is_vector_type(t) && fixed(t) == wanted
            })
            .collect();
        match found[..] {
            [] => continue,
            [one] => return Ok(one),
            _ => {
                return Err(Error::invalid(format!(
                    "several columns could hold the vectors ({}): name one with the option 'vector'",
                    found.iter().map(|&i| schema.field(i).name().as_str()).collect::<Vec<_>>().join(", ")
                )));
            }
        }
    }
    Err(Error::invalid(format!("no column holds vectors: add one of type FLOAT[dimension]; {}", columns(schema))))
}

fn columns(schema: &Schema) -> String {
    let names: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    format!("the columns are {}", names.join(", "))
}

/// The length of the vectors of `batch`'s column `vector`, if it has any row to tell.
pub fn dim_of(batch: &RecordBatch, vector: usize) -> Option<usize> {
    let column = batch.column(vector);
    match column.data_type() {
        DataType::FixedSizeList(_, d) => Some(*d as usize),
        _ if column.is_empty() => None,
        DataType::List(_) => Some(arrow_array::cast::as_list_array(column).value_length(0) as usize),
        DataType::LargeList(_) => Some(arrow_array::cast::as_large_list_array(column).value_length(0) as usize),
        _ => None,
    }
}
