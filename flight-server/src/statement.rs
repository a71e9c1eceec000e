//! One SQL statement: its schema before it runs, its rows or its row count when it runs.

use std::sync::{Arc, LazyLock};

use arrow_array::{RecordBatch, UInt64Array, cast::AsArray, types::UInt64Type};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::{logical_expr::LogicalPlan, prelude::SessionContext};
use futures::TryStreamExt;
use tonic::Status;

use crate::{
    encode::{Rows, wire_schema},
    error::IntoStatus,
    query_threads,
};

static COUNT: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)])));

/// Plans `sql`.
pub(crate) async fn plan(ctx: &SessionContext, sql: &str) -> Result<LogicalPlan, Status> {
    drift_sql::plan(ctx, sql).await.map_err(IntoStatus::into_status)
}

/// Whether `plan` changes something and yields a row count, no rows. `SET` does.
pub(crate) fn is_update(plan: &LogicalPlan) -> bool {
    drift_sql::is_update(plan) || plan.schema().fields().is_empty()
}

/// The exact schema of what `plan` yields.
pub(crate) fn schema(plan: &LogicalPlan) -> SchemaRef {
    if is_update(plan) { COUNT.clone() } else { wire_schema(plan.schema().as_arrow()) }
}

/// Runs a query.
pub(crate) async fn query(ctx: &SessionContext, plan: LogicalPlan) -> Result<Rows, Status> {
    let schema = schema(&plan);
    let frame = drift_sql::execute(ctx, plan).await.map_err(IntoStatus::into_status)?;
    let stream = query_threads::run(frame).await.map_err(IntoStatus::into_status)?;
    Ok(Rows::cast(schema, stream.map_err(IntoStatus::into_status)))
}

/// Runs an update; the number of rows it changed.
pub(crate) async fn update(ctx: &SessionContext, plan: LogicalPlan) -> Result<u64, Status> {
    let frame = drift_sql::execute(ctx, plan).await.map_err(IntoStatus::into_status)?;
    let rows = query_threads::run(frame).await.map_err(IntoStatus::into_status)?;
    let batches: Vec<_> = rows.try_collect().await.map_err(IntoStatus::into_status)?;
    Ok(batches.iter().filter_map(counts).flat_map(|counts| counts.values()).sum())
}

/// The row counts in the answer of an update; a DDL statement has none.
fn counts(batch: &RecordBatch) -> Option<&UInt64Array> {
    batch.column_by_name("count")?.as_primitive_opt::<UInt64Type>()
}

/// Runs whatever `plan` is; an update yields its count as one row.
pub(crate) async fn run(ctx: &SessionContext, plan: LogicalPlan) -> Result<Rows, Status> {
    if is_update(&plan) { Ok(updated(update(ctx, plan).await?)) } else { query(ctx, plan).await }
}

/// The answer to an update: one row, one column.
pub(crate) fn updated(count: u64) -> Rows {
    let batch = RecordBatch::try_new(COUNT.clone(), vec![Arc::new(UInt64Array::from(vec![count]))]);
    Rows::ready(batch.expect("one column, as COUNT says"))
}
