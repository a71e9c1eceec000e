//! The query vectors of a batch.

use arrow_array::{
    Array, ArrayRef, Float32Array, GenericListArray, OffsetSizeTrait, RecordBatch, cast::AsArray, types::Float32Type,
};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema};
use tonic::Status;

use crate::error::IntoStatus;

/// Query vectors, one for each row of a batch.
#[derive(Debug)]
pub(super) struct Queries {
    values: Float32Array,
    /// Where each vector begins and ends.
    bounds: Vec<(usize, usize)>,
}

/// Whether batches of `schema` hold query vectors and nothing else.
///
/// # Errors
/// INVALID_ARGUMENT with what would do.
pub(super) fn check(schema: &Schema) -> Result<(), Status> {
    let is_vector = |t: &DataType| match t {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_floating()
        }
        _ => false,
    };
    match &schema.fields()[..] {
        [field] if is_vector(field.data_type()) => Ok(()),
        [field] => Err(Status::invalid_argument(format!(
            "column '{}' is {}: send lists of floats, one vector in each row",
            field.name(),
            field.data_type()
        ))),
        fields => Err(Status::invalid_argument(format!(
            "{} columns: send one, with a query vector in each row",
            fields.len()
        ))),
    }
}

impl Queries {
    /// Takes the vectors out of a batch that passed [`check`].
    ///
    /// # Errors
    /// INVALID_ARGUMENT with the row that holds no vector.
    pub fn read(batch: &RecordBatch) -> Result<Self, Status> {
        let column = batch.column(0);
        let (values, bounds) = match column.data_type() {
            DataType::FixedSizeList(..) => {
                let list = column.as_fixed_size_list();
                let size = list.value_length() as usize;
                (
                    list.values(),
                    (0..list.len()).map(|i| list.value_offset(i) as usize).map(|at| (at, at + size)).collect(),
                )
            }
            DataType::LargeList(_) => variable(column.as_list::<i64>()),
            _ => variable(column.as_list::<i32>()),
        };
        let values = cast(values, &DataType::Float32).map_err(IntoStatus::into_status)?;
        let queries = Self { values: values.as_primitive::<Float32Type>().clone(), bounds };
        queries.refuse_nulls(column)?;
        Ok(queries)
    }

    fn refuse_nulls(&self, column: &ArrayRef) -> Result<(), Status> {
        let hole = |row: usize| {
            let (begin, end) = self.bounds[row];
            column.is_null(row) || (begin..end).any(|i| self.values.is_null(i))
        };
        if column.null_count() + self.values.null_count() > 0
            && let Some(row) = (0..self.len()).find(|&row| hole(row))
        {
            return Err(Status::invalid_argument(format!("query {row} is NULL, or a value of it is: send numbers")));
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// The vector in a row.
    pub fn get(&self, row: usize) -> &[f32] {
        let (begin, end) = self.bounds[row];
        &self.values.values()[begin..end]
    }
}

fn variable<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> (&ArrayRef, Vec<(usize, usize)>) {
    let bounds = list.value_offsets().windows(2).map(|w| (w[0].as_usize(), w[1].as_usize()));
    (list.values(), bounds.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, LargeListArray, ListArray, types::Float64Type};

    use super::*;

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("any name", column)]).expect("one column")
    }

    fn rows(column: ArrayRef) -> Vec<Vec<f32>> {
        let queries = Queries::read(&batch(column)).expect("vectors");
        (0..queries.len()).map(|row| queries.get(row).to_vec()).collect()
    }

    #[test]
    fn lists_of_any_float_and_slices_of_them_are_read() {
        let data = || [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].map(|v| Some(v.map(Some).to_vec()));
        let expected = [vec![3.0, 4.0], vec![5.0, 6.0]];
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(data(), 2));
        assert_eq!(rows(fixed.slice(1, 2)), expected);
        let half = fixed.data_type().clone();
        let DataType::FixedSizeList(item, size) = half else { unreachable!("built so") };
        let half = DataType::FixedSizeList(Arc::new(item.as_ref().clone().with_data_type(DataType::Float16)), size);
        assert_eq!(rows(cast(&fixed, &half).expect("halves").slice(1, 2)), expected);
        let data = || data().map(|row| row.map(|row| row.into_iter().map(|v| v.map(f64::from)).collect::<Vec<_>>()));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(data()));
        assert_eq!(rows(list.slice(1, 2)), expected);
        let list: ArrayRef = Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(data()));
        assert_eq!(rows(list.slice(1, 2)), expected);
    }

    #[test]
    fn a_hole_is_named() {
        for hole in [None, Some(vec![Some(1.0), None])] {
            let data = vec![Some(vec![Some(1.0), Some(2.0)]), hole];
            let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(data));
            // Before the hole there is none.
            assert_eq!(rows(list.slice(0, 1)), [vec![1.0, 2.0]]);
            let status = Queries::read(&batch(list)).expect_err("a hole");
            assert!(status.message().contains("query 1 is NULL"), "{status}");
        }
    }

    #[test]
    fn other_columns_are_no_vectors() {
        let field = |t| arrow_schema::Field::new("x", t, true);
        for schema in [
            Schema::empty(),
            Schema::new(vec![field(DataType::Float32)]),
            Schema::new(vec![field(DataType::new_list(DataType::Utf8, true))]),
            Schema::new(vec![field(DataType::new_list(DataType::Float32, true)); 2]),
        ] {
            assert_eq!(check(&schema).expect_err("no vectors").code(), tonic::Code::InvalidArgument);
        }
    }
}
