//! The parameters of a statement: which it has, and putting values in their place.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use datafusion::{
    common::{
        ParamValues,
        tree_node::{Transformed, TreeNode},
    },
    error::DataFusionError,
    logical_expr::{LogicalPlan, Values, WriteOp},
    scalar::ScalarValue,
};
use futures::TryStreamExt;
use tonic::Status;

use crate::{decode::Batches, encode::wire_type, error::IntoStatus};

/// How many bytes of parameters may wait for their statement.
const BOUND_BYTES_MAX: usize = 256 << 20;

/// The parameters `$1`, `$2`, ... of `plan`; text where the statement does not tell the type.
pub(crate) fn schema(plan: &LogicalPlan) -> Result<Schema, Status> {
    let fields = declared(plan)?
        .into_iter()
        .enumerate()
        .map(|(i, t)| Field::new(format!("${}", i + 1), t.map_or(DataType::Utf8, |t| wire_type(&t)), true));
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}

/// The types of the parameters in order, where they are known.
fn declared(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>, Status> {
    let found = plan.get_parameter_types().map_err(IntoStatus::into_status)?;
    let mut types = Vec::new();
    for (name, data_type) in found {
        let number: usize = name
            .trim_start_matches('$')
            .parse()
            .ok()
            .filter(|n| (1..=65_535).contains(n))
            .ok_or_else(|| Status::invalid_argument(format!("parameter '{name}': write $1, $2, ... or ?")))?;
        if types.len() < number {
            types.resize(number, None);
        }
        types[number - 1] = data_type;
    }
    Ok(types)
}

/// Collects the rows a client binds.
pub(crate) async fn collect(mut batches: Batches) -> Result<Vec<RecordBatch>, Status> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(batch) = batches.try_next().await? {
        bytes += batch.get_array_memory_size();
        if bytes > BOUND_BYTES_MAX {
            return Err(Status::resource_exhausted(format!(
                "more than {BOUND_BYTES_MAX} bytes of parameters: use bulk ingest or a DoPut by path for large loads"
            )));
        }
        rows.push(batch);
    }
    Ok(rows)
}

/// The statements that `plan` becomes with the rows of `bound` in place of its parameters, one for
/// each row; an INSERT of values becomes one statement for all of them.
pub(crate) fn bind(plan: LogicalPlan, bound: &[RecordBatch]) -> Result<Vec<LogicalPlan>, Status> {
    let types = declared(&plan)?;
    if types.is_empty() {
        return Ok(vec![plan]);
    }
    let insert = is_insert(&plan);
    // The types of VALUES are settled when they are planned; elsewhere the planner casts what is bound.
    let rows = values(&if insert { types } else { vec![None; types.len()] }, bound)?;
    if insert && rows.len() > 1 {
        let plan = fill_values(plan, &rows).map_err(IntoStatus::into_status)?;
        if declared(&plan)?.is_empty() {
            return Ok(vec![plan]);
        }
        return Err(Status::unimplemented("an INSERT with many rows of parameters takes them in VALUES only"));
    }
    rows.into_iter().map(|row| fill(plan.clone(), row).map_err(IntoStatus::into_status)).collect()
}

/// The bound rows of a statement with `count` parameters, each as it came; one row of none for a
/// statement without.
pub(crate) fn rows(count: usize, bound: &[RecordBatch]) -> Result<Vec<Vec<ScalarValue>>, Status> {
    if count == 0 { Ok(vec![vec![]]) } else { values(&vec![None; count], bound) }
}

/// `plan` with a row of values in place of its parameters.
pub(crate) fn filled(plan: LogicalPlan, row: Vec<ScalarValue>) -> Result<LogicalPlan, Status> {
    if row.is_empty() { Ok(plan) } else { fill(plan, row).map_err(IntoStatus::into_status) }
}

/// The bound rows, cast where a type is given.
fn values(types: &[Option<DataType>], bound: &[RecordBatch]) -> Result<Vec<Vec<ScalarValue>>, Status> {
    let mut rows = Vec::new();
    for batch in bound {
        if batch.num_columns() != types.len() {
            return Err(Status::invalid_argument(format!(
                "the statement has {} parameters, {} were bound",
                types.len(),
                batch.num_columns()
            )));
        }
        for row in 0..batch.num_rows() {
            let values = types.iter().enumerate().map(|(i, t)| value(batch, i, row, t.as_ref()));
            rows.push(values.collect::<Result<Vec<_>, _>>()?);
        }
    }
    if rows.is_empty() {
        return Err(Status::invalid_argument(format!("the statement has {} parameters, none were bound", types.len())));
    }
    Ok(rows)
}

fn value(batch: &RecordBatch, column: usize, row: usize, wanted: Option<&DataType>) -> Result<ScalarValue, Status> {
    let value = ScalarValue::try_from_array(batch.column(column), row).map_err(IntoStatus::into_status)?;
    match wanted {
        Some(wanted) if value.data_type() != *wanted => value
            .cast_to(wanted)
            .map_err(|e| Status::invalid_argument(format!("parameter ${}: {}", column + 1, e.strip_backtrace()))),
        _ => Ok(value),
    }
}

fn is_insert(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Dml(dml) if matches!(dml.op, WriteOp::Insert(_)))
}

fn fill(plan: LogicalPlan, row: Vec<ScalarValue>) -> Result<LogicalPlan, DataFusionError> {
    plan.replace_params_with_values(&ParamValues::from(row))
}

/// Repeats the rows of VALUES for each row of parameters.
fn fill_values(plan: LogicalPlan, rows: &[Vec<ScalarValue>]) -> Result<LogicalPlan, DataFusionError> {
    let filled = plan.transform_up(|node| {
        let LogicalPlan::Values(pattern) = node else { return Ok(Transformed::no(node)) };
        let mut filled = Vec::with_capacity(pattern.values.len() * rows.len());
        for row in rows {
            if let LogicalPlan::Values(one) = fill(LogicalPlan::Values(pattern.clone()), row.clone())? {
                filled.extend(one.values);
            }
        }
        Ok(Transformed::yes(LogicalPlan::Values(Values { schema: Arc::clone(&pattern.schema), values: filled })))
    })?;
    Ok(filled.data)
}
