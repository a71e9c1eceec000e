//! The canonical form of a batch: exactly the collection's columns, casts done, every value checked.
//! It is what the log holds and what a search reads.

use std::{collections::HashSet, sync::Arc};

use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, GenericListArray, Int64Array, OffsetSizeTrait, RecordBatch,
    RecordBatchOptions, UInt64Array, cast::AsArray, new_null_array, types::Float32Type,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field};
use drift_types::{Metric, VectorId};

use crate::{CollectionSchema, Error, Result, schema::dim_of};

/// Casts fail loudly instead of turning what does not fit into nulls.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// A batch in canonical form.
#[derive(Clone, Debug)]
pub struct CanonicalBatch {
    /// The rows, in the collection's own schema.
    pub batch: RecordBatch,
    /// Canonical keys; `None` when the collection generates them.
    pub ids: Option<Vec<VectorId>>,
}

/// Brings `batch` into `schema`, or says which column and row cannot be taken, and why.
///
/// Columns are matched by name; a missing nullable column becomes null. A schema without a
/// dimension takes it from this batch, so the schema that holds for the result is returned too.
///
/// # Errors
/// `Invalid`: an unknown, missing or mistyped column; a null, NaN or infinite value in a vector; a
/// vector of another length, or of length zero under cosine; a null or repeated key.
pub fn canonicalise(schema: &CollectionSchema, batch: &RecordBatch) -> Result<(CollectionSchema, CanonicalBatch)> {
    for field in batch.schema_ref().fields() {
        if schema.arrow.index_of(field.name()).is_err() {
            let known: Vec<_> = schema.arrow.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::invalid(format!(
                "unknown column '{}': the collection has {}; leave the column out or rename it",
                field.name(),
                known.join(", ")
            )));
        }
    }
    let schema = settle_dim(schema, batch)?;
    let columns =
        (0..schema.arrow.fields().len()).map(|i| canonical_column(&schema, i, batch)).collect::<Result<Vec<_>>>()?;
    let ids = schema.key.map(|k| keys(&columns[k], schema.arrow.field(k).name())).transpose()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let batch = RecordBatch::try_new_with_options(schema.arrow.clone(), columns, &options)?;
    Ok((schema, CanonicalBatch { batch, ids }))
}

/// The vectors of a canonical batch, row-major.
pub fn vectors<'a>(schema: &CollectionSchema, batch: &'a RecordBatch) -> &'a [f32] {
    let list = batch.column(schema.vector).as_fixed_size_list();
    let dim = list.value_length() as usize;
    &list.values().as_primitive::<Float32Type>().values()[list.offset() * dim..(list.offset() + list.len()) * dim]
}

fn settle_dim(schema: &CollectionSchema, batch: &RecordBatch) -> Result<CollectionSchema> {
    if schema.dim.is_some() {
        return Ok(schema.clone());
    }
    let column = batch.schema_ref().index_of(schema.vector_name()).map_err(|_| missing(schema.vector_name()))?;
    match dim_of(batch, column) {
        Some(dim) => schema.with_dim(dim),
        None => Err(Error::invalid(format!(
            "the dimension of '{}' is not known yet: insert at least one vector first",
            schema.vector_name()
        ))),
    }
}

fn missing(name: &str) -> Error {
    Error::invalid(format!("column '{name}' is missing: add it to the batch"))
}

fn canonical_column(schema: &CollectionSchema, index: usize, batch: &RecordBatch) -> Result<ArrayRef> {
    let field = schema.arrow.field(index);
    let Some(column) = batch.column_by_name(field.name()) else {
        return if field.is_nullable() {
            Ok(new_null_array(field.data_type(), batch.num_rows()))
        } else {
            Err(missing(field.name()))
        };
    };
    if index == schema.vector {
        return canonical_vectors(column, field, schema.metric);
    }
    let column = cast(column, field)?;
    if !field.is_nullable()
        && let Some(row) = first_null(column.as_ref())
    {
        return Err(Error::invalid(format!("column '{}', row {row}: null where a value is required", field.name())));
    }
    Ok(column)
}

fn first_null(column: &dyn Array) -> Option<usize> {
    (column.logical_null_count() > 0)
        .then(|| column.logical_nulls())?
        .and_then(|n| (0..n.len()).find(|&i| n.is_null(i)))
}

fn cast(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(column.clone());
    }
    if !castable(column.data_type(), field.data_type()) {
        return Err(mistyped(column.data_type(), field, ""));
    }
    let cast = cast_with_options(column, field.data_type(), &STRICT)
        .map_err(|e| mistyped(column.data_type(), field, &format!(" ({e})")))?;
    match first_rounded(column, &cast)? {
        None => Ok(cast),
        Some(row) => {
            let value = arrow_cast::display::array_value_to_string(column, row)?;
            let rounded = format!("column '{}', row {row}: {value} is not a whole number", field.name());
            Err(Error::invalid(format!("{rounded}, and {} is stored: round it or leave it out", field.data_type())))
        }
    }
}

/// The first number with a fraction that was cast to an integer without it.
fn first_rounded(from: &ArrayRef, to: &ArrayRef) -> Result<Option<usize>> {
    let has_fraction = |t: &DataType| t.is_floating() || t.is_decimal();
    if !has_fraction(from.data_type()) || !to.data_type().is_integer() {
        return Ok(None);
    }
    let back = cast_with_options(to, from.data_type(), &STRICT)?;
    let differs = |row: &usize| back.slice(*row, 1) != from.slice(*row, 1);
    Ok(if &back == from { None } else { (0..from.len()).find(differs) })
}

/// Casts a user would expect; a number is never read out of a text or a truth value, nor a text made of a number.
fn castable(from: &DataType, to: &DataType) -> bool {
    let text = |t: &DataType| {
        let value = match t {
            DataType::Dictionary(_, value) => value.as_ref(),
            other => other,
        };
        matches!(value, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    };
    let truth = |t: &DataType| *t == DataType::Boolean;
    let alike = text(from) == text(to) && truth(from) == truth(to);
    *from == DataType::Null || (alike && arrow_cast::can_cast_types(from, to))
}

fn mistyped(from: &DataType, field: &Field, detail: &str) -> Error {
    Error::invalid(format!(
        "column '{}' is {from} where {} is stored{detail}: cast it",
        field.name(),
        field.data_type()
    ))
}

fn keys(column: &ArrayRef, name: &str) -> Result<Vec<VectorId>> {
    if let Some(row) = first_null(column.as_ref()) {
        return Err(Error::invalid(format!("key column '{name}', row {row}: null; every row needs a key")));
    }
    let ids = canonical_keys(column)?;
    let mut seen = HashSet::with_capacity(ids.len());
    match ids.iter().position(|id| !seen.insert(*id)) {
        Some(row) => Err(Error::invalid(format!(
            "key column '{name}', row {row}: the key {} stands twice in this batch; keep one of the two rows",
            arrow_cast::display::array_value_to_string(column, row)?
        ))),
        None => Ok(ids),
    }
}

/// The canonical form of integer keys.
pub fn canonical_keys(column: &ArrayRef) -> Result<Vec<VectorId>> {
    if column.data_type().is_unsigned_integer() {
        let wide = cast_with_options(column, &DataType::UInt64, &STRICT)?;
        let wide: &UInt64Array = wide.as_primitive();
        Ok(wide.values().iter().map(|&k| VectorId(k)).collect())
    } else {
        let wide = cast_with_options(column, &DataType::Int64, &STRICT)?;
        let wide: &Int64Array = wide.as_primitive();
        Ok(wide.values().iter().map(|&k| VectorId::from_i64(k)).collect())
    }
}

/// Keys as a column of integers of `data_type`: what [`canonical_keys`] was given.
pub(crate) fn key_column(ids: impl Iterator<Item = VectorId>, data_type: &DataType) -> Result<ArrayRef> {
    let wide: ArrayRef = if data_type.is_unsigned_integer() {
        Arc::new(UInt64Array::from_iter_values(ids.map(|id| id.0)))
    } else {
        Arc::new(Int64Array::from_iter_values(ids.map(VectorId::to_i64)))
    };
    Ok(cast_with_options(&wide, data_type, &STRICT)?)
}

fn canonical_vectors(column: &ArrayRef, field: &Field, metric: Metric) -> Result<ArrayRef> {
    let name = field.name();
    let DataType::FixedSizeList(item, dim) = field.data_type() else {
        return Err(Error::internal(format!("vector column '{name}' has no dimension yet")));
    };
    if let Some(row) = first_null(column.as_ref()) {
        return Err(Error::invalid(format!(
            "column '{name}', row {row}: null; every row needs a vector, leave the row out"
        )));
    }
    let values = flat_values(column, field, *dim as usize)?;
    let values = if values.data_type() == &DataType::Float32 {
        values
    } else if values.data_type().is_numeric() {
        cast_with_options(&values, &DataType::Float32, &STRICT)
            .map_err(|e| mistyped(column.data_type(), field, &format!(" ({e})")))?
    } else {
        return Err(mistyped(column.data_type(), field, ""));
    };
    let values: &Float32Array = values.as_primitive();
    check_values(values, name, *dim as usize, metric)?;
    // The list is rebuilt without offset or null buffer, so that its bytes are the rows and nothing else.
    let values = Float32Array::new(values.values().clone(), None);
    Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *dim, Arc::new(values), None)?))
}

/// The values of all rows, after checking that each row has `dim` of them.
fn flat_values(column: &ArrayRef, field: &Field, dim: usize) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::FixedSizeList(_, d) if *d as usize == dim => {
            let list = column.as_fixed_size_list();
            Ok(list.values().slice(list.offset() * dim, list.len() * dim))
        }
        DataType::FixedSizeList(_, d) => Err(wrong_length(field.name(), 0, *d as usize, dim)),
        DataType::List(_) => flat_list(column.as_list::<i32>(), field.name(), dim),
        DataType::LargeList(_) => flat_list(column.as_list::<i64>(), field.name(), dim),
        other => Err(mistyped(other, field, "")),
    }
}

fn flat_list<O: OffsetSizeTrait>(list: &GenericListArray<O>, name: &str, dim: usize) -> Result<ArrayRef> {
    for row in 0..list.len() {
        let length = list.value_length(row).as_usize();
        if length != dim {
            return Err(wrong_length(name, row, length, dim));
        }
    }
    let offsets = list.value_offsets();
    let (start, end) = (offsets[0].as_usize(), offsets[list.len()].as_usize());
    Ok(list.values().slice(start, end - start))
}

fn wrong_length(name: &str, row: usize, length: usize, dim: usize) -> Error {
    Error::invalid(format!(
        "column '{name}', row {row}: a vector of {length} values where the collection has {dim}; use the model the collection was made for"
    ))
}

fn check_values(values: &Float32Array, name: &str, dim: usize, metric: Metric) -> Result<()> {
    if let Some(at) = first_null(values) {
        return Err(Error::invalid(format!(
            "column '{name}', row {}: value {} of the vector is null; replace it",
            at / dim,
            at % dim
        )));
    }
    for (row, vector) in values.values().chunks_exact(dim).enumerate() {
        if let Some(i) = vector.iter().position(|v| !v.is_finite()) {
            return Err(Error::invalid(format!(
                "column '{name}', row {row}: value {i} of the vector is {}; leave the row out or mend it",
                vector[i]
            )));
        }
        let norm_sq: f32 = vector.iter().map(|v| v * v).sum();
        if !norm_sq.is_finite() {
            return Err(Error::invalid(format!(
                "column '{name}', row {row}: the vector is too long for 32-bit arithmetic; scale the vectors down"
            )));
        }
        if metric == Metric::Cosine && norm_sq < f32::MIN_POSITIVE {
            return Err(Error::invalid(format!(
                "column '{name}', row {row}: a vector of length zero has no direction for cosine; leave the row out or use l2"
            )));
        }
    }
    Ok(())
}
