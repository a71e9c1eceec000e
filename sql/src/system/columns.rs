//! Rows of the engine as Arrow columns.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMillisecondArray, types::Float32Type,
};
use arrow_schema::{ArrowError, Field, Schema};

/// The columns of a system table, built one after the other over its rows. The first one names the
/// collection a row is about. Over no rows at all they say what the table's schema is.
pub(super) struct Columns<R> {
    rows: Vec<(String, R)>,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<R> Columns<R> {
    /// The column `collection` of rows that stand beside their collections' names.
    pub fn new(rows: Vec<(String, R)>) -> Self {
        let names = StringArray::from_iter_values(rows.iter().map(|(name, _)| name));
        Self { rows, fields: vec![], arrays: vec![] }.with("collection", false, Arc::new(names))
    }

    /// TEXT.
    pub fn text(self, name: &str, of: impl Fn(&R) -> String) -> Self {
        let values = StringArray::from_iter_values(self.each(of));
        self.with(name, false, Arc::new(values))
    }

    /// TEXT, or NULL.
    pub fn optional_text(self, name: &str, of: impl Fn(&R) -> Option<String>) -> Self {
        let values = StringArray::from_iter(self.each(of));
        self.with(name, true, Arc::new(values))
    }

    /// BIGINT: signed, so that differences are what one expects.
    pub fn integer(self, name: &str, of: impl Fn(&R) -> u64) -> Self {
        let values = Int64Array::from_iter_values(self.each(|row| of(row) as i64));
        self.with(name, false, Arc::new(values))
    }

    /// BIGINT, or NULL.
    pub fn optional_integer(self, name: &str, of: impl Fn(&R) -> Option<u64>) -> Self {
        let values = Int64Array::from_iter(self.each(|row| of(row).map(|value| value as i64)));
        self.with(name, true, Arc::new(values))
    }

    /// FLOAT.
    pub fn float(self, name: &str, of: impl Fn(&R) -> f32) -> Self {
        let values = Float32Array::from_iter_values(self.each(of));
        self.with(name, false, Arc::new(values))
    }

    /// DOUBLE.
    pub fn double(self, name: &str, of: impl Fn(&R) -> f64) -> Self {
        let values = Float64Array::from_iter_values(self.each(of));
        self.with(name, false, Arc::new(values))
    }

    /// DOUBLE, or NULL.
    pub fn optional_double(self, name: &str, of: impl Fn(&R) -> Option<f64>) -> Self {
        let values = Float64Array::from_iter(self.each(of));
        self.with(name, true, Arc::new(values))
    }

    /// TIMESTAMP, of milliseconds since 1970 in UTC.
    pub fn time(self, name: &str, of: impl Fn(&R) -> u64) -> Self {
        let values = TimestampMillisecondArray::from_iter_values(self.each(|row| of(row) as i64));
        self.with(name, false, Arc::new(values.with_timezone("UTC")))
    }

    /// TIMESTAMP as [`Columns::time`], or NULL.
    pub fn optional_time(self, name: &str, of: impl Fn(&R) -> Option<u64>) -> Self {
        let values = TimestampMillisecondArray::from_iter(self.each(|row| of(row).map(|at_ms| at_ms as i64)));
        self.with(name, true, Arc::new(values.with_timezone("UTC")))
    }

    /// FLOAT[], of any length: collections differ in their dimensions.
    pub fn vector(self, name: &str, of: impl Fn(&R) -> &[f32]) -> Self {
        let vectors = self.rows.iter().map(|(_, row)| Some(of(row).iter().copied().map(Some)));
        let values = ListArray::from_iter_primitive::<Float32Type, _, _>(vectors);
        self.with(name, false, Arc::new(values))
    }

    /// All of them.
    ///
    /// # Errors
    /// None: each column has a value for each row.
    pub fn into_batch(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays)
    }

    fn each<V>(&self, of: impl Fn(&R) -> V) -> impl Iterator<Item = V> {
        self.rows.iter().map(move |(_, row)| of(row))
    }

    fn with(mut self, name: &str, is_nullable: bool, values: ArrayRef) -> Self {
        self.fields.push(Field::new(name, values.data_type().clone(), is_nullable));
        self.arrays.push(values);
        self
    }
}
