//! Distances between vectors, by the engine's own kernels.
//!
//! They stand beside DataFusion's `array_distance`, `cosine_distance` and `inner_product`, which
//! compute in doubles over lists of any length.

use std::{ops::Range, sync::Arc};

use arrow_array::{Array, ArrayRef, Float32Array, cast::AsArray, types::Float32Type};
use arrow_schema::{DataType, Field};
use datafusion::{
    common::{Result, utils::take_function_args},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility},
    scalar::ScalarValue,
};
use drift_kernels::l2_sq;

use crate::error::invalid;

/// The functions of this module.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let function = |name, finish| Arc::new(ScalarUDF::from(Distance { name, finish, signature: signature() }));
    vec![function("l2_distance", Finish::Root), function("l2_sq_distance", Finish::Square)]
}

fn signature() -> Signature {
    Signature::new(TypeSignature::UserDefined, Volatility::Immutable)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Finish {
    Root,
    Square,
}

/// The Euclidean distance of two vectors of equal length, or its square, in single precision.
/// NULL where a vector, or a value of one, is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Distance {
    name: &'static str,
    finish: Finish,
    signature: Signature,
}

impl ScalarUDFImpl for Distance {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn coerce_types(&self, args: &[DataType]) -> Result<Vec<DataType>> {
        let [_, _] = take_function_args(self.name, args)?;
        args.iter().map(|arg| single_precision(self.name, arg)).collect()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [a, b] = take_function_args(self.name, args.args)?;
        let scalar = matches!((&a, &b), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let (a, b) = (Vectors::new(a)?, Vectors::new(b)?);
        let distances: Float32Array = (0..if scalar { 1 } else { rows })
            .map(|row| self.distance(a.row(row), b.row(row)))
            .collect::<Result<_>>()?;
        Ok(match scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&distances, 0)?),
            false => ColumnarValue::Array(Arc::new(distances)),
        })
    }
}

impl Distance {
    fn distance(&self, a: Option<&[f32]>, b: Option<&[f32]>) -> Result<Option<f32>> {
        let (Some(a), Some(b)) = (a, b) else {
            return Ok(None);
        };
        if a.len() != b.len() {
            return Err(invalid(format!(
                "{} of a vector of {} values and one of {}: both must come from the same model",
                self.name,
                a.len(),
                b.len()
            )));
        }
        let square = l2_sq(a, b);
        Ok(Some(if self.finish == Finish::Root { square.sqrt() } else { square }))
    }
}

/// The list type with the shape of `arg` and single-precision values.
fn single_precision(name: &str, arg: &DataType) -> Result<DataType> {
    let item = |field: &Arc<Field>| match field.data_type() {
        DataType::Float32 => Ok(field.clone()),
        t if t.is_numeric() || t.is_null() => Ok(Arc::new(field.as_ref().clone().with_data_type(DataType::Float32))),
        other => Err(invalid(format!("{name} compares vectors of numbers, not of {other}"))),
    };
    match arg {
        DataType::FixedSizeList(field, n) => Ok(DataType::FixedSizeList(item(field)?, *n)),
        DataType::List(field) => Ok(DataType::List(item(field)?)),
        DataType::LargeList(field) => Ok(DataType::LargeList(item(field)?)),
        DataType::Null => Ok(DataType::new_list(DataType::Float32, true)),
        other => Err(invalid(format!("{name} compares vectors, not {other}: give arrays of numbers"))),
    }
}

/// The vectors of an argument: one per row, or one for all rows.
struct Vectors {
    lists: ArrayRef,
    values: Float32Array,
    constant: bool,
}

impl Vectors {
    fn new(arg: ColumnarValue) -> Result<Self> {
        let (lists, constant) = match arg {
            ColumnarValue::Array(array) => (array, false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let values = match lists.data_type() {
            DataType::FixedSizeList(..) => lists.as_fixed_size_list().values(),
            DataType::List(_) => lists.as_list::<i32>().values(),
            DataType::LargeList(_) => lists.as_list::<i64>().values(),
            other => return Err(invalid(format!("a distance compares vectors, not {other}"))),
        };
        let values = values.as_primitive::<Float32Type>().clone();
        Ok(Self { lists, values, constant })
    }

    /// The vector of `row`; `None` where it, or a value of it, is NULL.
    fn row(&self, row: usize) -> Option<&[f32]> {
        let row = if self.constant { 0 } else { row };
        let range = self.range(row);
        let whole =
            self.lists.is_valid(row) && self.values.nulls().is_none_or(|n| range.clone().all(|i| n.is_valid(i)));
        whole.then(|| &self.values.values()[range])
    }

    fn range(&self, row: usize) -> Range<usize> {
        let of = |offsets: (usize, usize)| offsets.0..offsets.1;
        match self.lists.data_type() {
            DataType::FixedSizeList(_, dim) => {
                let start = self.lists.as_fixed_size_list().value_offset(row) as usize;
                start..start + *dim as usize
            }
            DataType::List(_) => {
                let offsets = self.lists.as_list::<i32>().value_offsets();
                of((offsets[row] as usize, offsets[row + 1] as usize))
            }
            _ => {
                let offsets = self.lists.as_list::<i64>().value_offsets();
                of((offsets[row] as usize, offsets[row + 1] as usize))
            }
        }
    }
}
