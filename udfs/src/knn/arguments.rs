//! What `knn` is told: expressions while a statement is planned, values when it runs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, cast::AsArray, types::Float32Type};
use arrow_schema::{DataType, Schema};
use datafusion::{
    arrow::compute::cast,
    common::{Result, ScalarValue},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
};
use drift_engine::{CollectionSchema, K_MAX, SearchRequest};

use crate::{
    error::invalid,
    settings::{DriftOptions, check_recall},
};

/// The largest of the other counts and times, of which the engine takes any: as much as a field of gRPC holds.
const KNOB_MAX: usize = u32::MAX as usize;

/// An optional, named argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Knob {
    /// The share of the true neighbours to find, in (0, 1].
    Recall,
    /// How many buckets to scan.
    Nprobe,
    /// Whether to compare with every row.
    Exact,
    /// The breadth of the search in the graphs of rows not yet in buckets.
    Ef,
    /// After how many milliseconds to answer with what was found until then.
    DeadlineMs,
}

impl Knob {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Recall, Self::Nprobe, Self::Exact, Self::Ef, Self::DeadlineMs];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Nprobe => "nprobe",
            Self::Exact => "exact",
            Self::Ef => "ef",
            Self::DeadlineMs => "deadline_ms",
        }
    }

    /// The type a parameter in its place has.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Recall => DataType::Float64,
            Self::Nprobe | Self::Ef | Self::DeadlineMs => DataType::Int64,
            Self::Exact => DataType::Boolean,
        }
    }
}

/// The arguments beside the collection, as expressions of type `E`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
pub struct Arguments<E> {
    /// The query vector.
    pub query: E,
    /// How many neighbours.
    pub k: E,
    /// The named ones that were given.
    pub knobs: BTreeMap<Knob, E>,
}

impl<E> Arguments<E> {
    /// All of them: the query, `k`, then the named ones in the order of [`Knob`].
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        [&self.query, &self.k].into_iter().chain(self.knobs.values())
    }

    /// The same arguments in another form, each made by `f`, in the order of [`Arguments::iter`].
    pub fn try_map<T>(&self, mut f: impl FnMut(&E) -> Result<T>) -> Result<Arguments<T>> {
        Ok(Arguments {
            query: f(&self.query)?,
            k: f(&self.k)?,
            knobs: self.knobs.iter().map(|(&knob, e)| Ok((knob, f(e)?))).collect::<Result<_>>()?,
        })
    }
}

impl Arguments<Arc<dyn PhysicalExpr>> {
    /// Their values. Scalar subqueries must have run.
    pub fn evaluate(&self) -> Result<Arguments<ScalarValue>> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)?;
        self.try_map(|e| match e.evaluate(&row)? {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
        })
    }
}

impl Arguments<ScalarValue> {
    /// The search they ask for, where the session's options hold unless they say otherwise.
    ///
    /// # Errors
    /// A value that makes no sense, with what would.
    pub fn request(&self, session: &DriftOptions) -> Result<SearchRequest> {
        let mut request = SearchRequest::new(query_vector(&self.query)?, count("k", &self.k, K_MAX)?);
        request.recall = Some(session.target_recall);
        request.deadline = session.deadline();
        for (&knob, value) in &self.knobs {
            match knob {
                Knob::Recall => request.recall = Some(check_recall(number(knob, value)?)?),
                Knob::Nprobe => request.nprobe = Some(count(knob.name(), value, KNOB_MAX)?),
                Knob::Ef => request.ef = Some(count(knob.name(), value, KNOB_MAX)?),
                Knob::Exact => request.exact = boolean(knob, value)?,
                Knob::DeadlineMs => {
                    let ms = count(knob.name(), value, KNOB_MAX)?;
                    request.deadline = Some(Duration::from_millis(ms as u64));
                }
            }
        }
        Ok(request)
    }
}

fn count(name: &str, value: &ScalarValue, max: usize) -> Result<usize> {
    let whole = value.data_type().is_integer().then(|| value.cast_to(&DataType::Int64));
    match whole {
        Some(Ok(ScalarValue::Int64(Some(n)))) if (1..=max as i64).contains(&n) => Ok(n as usize),
        _ => Err(invalid(format!("{name} is {value}: give a whole number from 1 to {max}"))),
    }
}

fn number(knob: Knob, value: &ScalarValue) -> Result<f32> {
    match value.data_type().is_numeric().then(|| value.cast_to(&DataType::Float32)).transpose()? {
        Some(ScalarValue::Float32(Some(number))) => Ok(number),
        _ => Err(invalid(format!("{} is {value}: give a number", knob.name()))),
    }
}

fn boolean(knob: Knob, value: &ScalarValue) -> Result<bool> {
    match value {
        ScalarValue::Boolean(Some(b)) => Ok(*b),
        _ => Err(invalid(format!("{} is {value}: give true or false", knob.name()))),
    }
}

fn query_vector(value: &ScalarValue) -> Result<Vec<f32>> {
    if value.is_null() {
        return Err(invalid("the query vector is NULL: give an array of numbers, or a subquery that finds a row"));
    }
    let Some(values) = list_values(value).filter(|v| v.data_type().is_numeric()) else {
        return Err(invalid(format!(
            "the query is {}: give an array of numbers, such as [0.1, 0.2, 0.3]",
            value.data_type()
        )));
    };
    if let Some(i) = (0..values.len()).find(|&i| values.is_null(i)) {
        return Err(invalid(format!("value {i} of the query vector is NULL: give a number")));
    }
    let values = cast(&values, &DataType::Float32)?;
    let values = values.as_primitive::<Float32Type>().values().to_vec();
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(invalid(format!("value {i} of the query vector is {}: give a finite number", values[i]))),
        None => Ok(values),
    }
}

/// The elements of a list of any kind.
fn list_values(value: &ScalarValue) -> Option<ArrayRef> {
    match value {
        ScalarValue::List(a) => Some(a.value(0)),
        ScalarValue::LargeList(a) => Some(a.value(0)),
        ScalarValue::FixedSizeList(a) => Some(a.value(0)),
        _ => None,
    }
}

/// The type a parameter in the place of a query vector of `schema` has.
pub(super) fn query_type(schema: &CollectionSchema) -> DataType {
    schema.arrow.field(schema.vector).data_type().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(query: ScalarValue, k: i64) -> Arguments<ScalarValue> {
        Arguments { query, k: ScalarValue::from(k), knobs: BTreeMap::new() }
    }

    fn list(values: &[f64]) -> ScalarValue {
        let values: Vec<ScalarValue> = values.iter().map(|&v| v.into()).collect();
        ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Float64))
    }

    fn recall(target_recall: f32) -> DriftOptions {
        DriftOptions { target_recall, ..DriftOptions::default() }
    }

    fn message(result: Result<SearchRequest>) -> String {
        result.expect_err("a bad argument").to_string()
    }

    #[test]
    fn lists_of_doubles_become_a_request() {
        let mut good = arguments(list(&[1.0, 2.5]), 3);
        good.knobs.insert(Knob::Exact, true.into());
        good.knobs.insert(Knob::Nprobe, 7_i32.into());
        let request = good.request(&recall(0.9)).expect("good arguments");
        assert_eq!((request.query, request.k, request.recall), (vec![1.0, 2.5], 3, Some(0.9)));
        assert_eq!((request.exact, request.nprobe, request.ef, request.deadline), (true, Some(7), None, None));
    }

    #[test]
    fn a_search_has_its_own_deadline_or_the_sessions() {
        let session = DriftOptions { deadline_ms: 20, ..DriftOptions::default() };
        let mut search = arguments(list(&[1.0]), 3);
        assert_eq!(search.request(&session).expect("good").deadline, Some(Duration::from_millis(20)));
        search.knobs.insert(Knob::DeadlineMs, 5_i64.into());
        assert_eq!(search.request(&session).expect("good").deadline, Some(Duration::from_millis(5)));
    }

    #[test]
    fn each_count_has_a_limit_of_its_own() {
        let mut search = arguments(list(&[1.0]), K_MAX as i64);
        let month_ms = 30 * 86_400_000_i64;
        for knob in [Knob::Nprobe, Knob::Ef, Knob::DeadlineMs] {
            search.knobs.insert(knob, month_ms.into());
        }
        let request = search.request(&recall(1.0)).expect("within the limits");
        assert_eq!((request.k, request.nprobe, request.ef), (K_MAX, Some(month_ms as usize), Some(month_ms as usize)));
        assert_eq!(request.deadline, Some(Duration::from_millis(month_ms as u64)));
        search.knobs.insert(Knob::Ef, (KNOB_MAX as i64 + 1).into());
        assert!(
            message(search.request(&recall(1.0)))
                .contains("ef is 4294967296: give a whole number from 1 to 4294967295")
        );
    }

    #[test]
    fn bad_values_say_what_is_wrong() {
        for k in [0, -1, K_MAX as i64 + 1, i64::MAX] {
            assert!(message(arguments(list(&[1.0]), k).request(&recall(1.0))).contains(&format!("k is {k}")));
        }
        let beyond = Arguments { k: u64::MAX.into(), ..arguments(list(&[1.0]), 1) };
        assert!(message(beyond.request(&recall(1.0))).contains("k is 18446744073709551615: give a whole number"));
        assert!(
            message(arguments(list(&[f64::NAN]), 1).request(&recall(1.0)))
                .contains("value 0 of the query vector is NaN")
        );
        assert!(
            message(arguments(list(&[0.0, 1e300]), 1).request(&recall(1.0)))
                .contains("value 1 of the query vector is inf")
        );
        assert!(message(arguments("text".into(), 1).request(&recall(1.0))).contains("Utf8"));
        assert!(message(arguments(ScalarValue::Null, 1).request(&recall(1.0))).contains("NULL"));
        for asked in [0.0, 1.5, f64::NAN] {
            let mut bad = arguments(list(&[1.0]), 1);
            bad.knobs.insert(Knob::Recall, asked.into());
            assert!(message(bad.request(&recall(1.0))).contains("(0, 1]"));
        }
    }
}
