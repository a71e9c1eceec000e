//! Parquet files as rows of vectors.

use std::{fs, path::Path};

use arrow_array::{
    FixedSizeListArray, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Int32Type, Int64Type},
};
use arrow_schema::DataType;
use drift_types::Vectors;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Vectors, row-major, in the order of their file.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// All values.
    pub data: Vec<f32>,
    /// Values per row.
    pub dim: usize,
}

impl Rows {
    /// No rows yet, of `dim` values each.
    pub fn empty(dim: usize) -> Self {
        Self { data: Vec::new(), dim }
    }

    /// The vectors of a file.
    pub fn read(path: &Path) -> Self {
        Self::of(&batches(path))
    }

    /// The vectors of batches.
    ///
    /// # Panics
    /// When a batch has no column of vectors, or there is no batch.
    pub fn of(batches: &[RecordBatch]) -> Self {
        let mut rows = Self::empty(dim(&batches[0]));
        for batch in batches {
            let values = arrow_cast::cast(vector_column(batch).values(), &DataType::Float32).expect("numbers");
            rows.data.extend_from_slice(values.as_primitive::<Float32Type>().values());
        }
        rows
    }

    /// As a view.
    pub fn view(&self) -> Vectors<'_> {
        Vectors::new(&self.data, self.dim)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The first `most` rows.
    pub fn truncate(&mut self, most: usize) {
        self.data.truncate(most.saturating_mul(self.dim));
    }

    /// These rows, in this order.
    pub fn gather(&self, chosen: &[u32]) -> Self {
        let data = chosen.iter().flat_map(|&row| self.view().row(row as usize).iter().copied());
        Self { data: data.collect(), dim: self.dim }
    }
}

/// All batches of a Parquet file.
///
/// # Panics
/// When it cannot be read.
pub fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").with_batch_size(8192);
    reader.build().expect("a Parquet file").map(|batch| batch.expect("a readable batch")).collect()
}

/// The column of vectors.
///
/// # Panics
/// When there is none.
pub fn vector_column(batch: &RecordBatch) -> &FixedSizeListArray {
    let column = batch.columns().iter().find(|c| matches!(c.data_type(), DataType::FixedSizeList(..)));
    column.expect("a column of vectors").as_fixed_size_list()
}

/// Values per vector.
pub fn dim(batch: &RecordBatch) -> usize {
    vector_column(batch).value_length() as usize
}

/// A column of numbers.
///
/// # Panics
/// When there is none of that name.
pub fn numbers(batches: &[RecordBatch], name: &str) -> Vec<i64> {
    let column = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("a column '{name}'"));
        arrow_cast::cast(column, &DataType::Int64).expect("numbers").as_primitive::<Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(column).collect()
}

/// For each row the `ids` of its true neighbours, nearest first.
pub fn neighbours(batches: &[RecordBatch]) -> Vec<Vec<i64>> {
    let rows = batches.iter().flat_map(|batch| {
        let list = batch.column_by_name("ids").expect("a column ids").as_fixed_size_list();
        let ids = list.values().as_primitive::<Int32Type>().values();
        let rows = ids.chunks(list.value_length() as usize);
        rows.map(|ids| ids.iter().map(|&id| i64::from(id)).collect()).collect::<Vec<_>>()
    });
    rows.collect()
}
