//! The one door for statements, whoever sends them.

use arrow_array::RecordBatch;
use datafusion::{
    common::{Result, TableReference},
    dataframe::DataFrame,
    execution::SessionState,
    logical_expr::{DdlStatement, DropTable, LogicalPlan, LogicalPlanBuilder, Statement},
    prelude::SessionContext,
};
use drift_udfs::to_datafusion;

use crate::{
    CATALOG, SCHEMA,
    create::{Creation, create},
    session::database,
    system::refuse_writes,
};

/// Executes a plan of [`plan`](crate::plan), its parameters bound.
///
/// CREATE and DROP take effect before this returns, INSERT and DELETE when the result is read: one
/// row, `count` (UInt64), which CREATE TABLE AS returns as well. What would write to a system table is
/// refused.
pub async fn execute(ctx: &SessionContext, plan: LogicalPlan) -> Result<DataFrame> {
    refuse_writes(&ctx.state(), &plan)?;
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(statement)) => {
            create(ctx, Creation::from_table(statement)).await
        }
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(statement))
            if statement.file_type.eq_ignore_ascii_case("drift") =>
        {
            create(ctx, Creation::from_external_table(*statement)).await
        }
        LogicalPlan::Ddl(DdlStatement::DropTable(statement)) => drop_table(ctx, statement).await,
        other => ctx.execute_logical_plan(other).await,
    }
}

/// Whether a plan changes something and returns at most a count, rather than rows.
pub fn is_update(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Copy(_) => true,
        LogicalPlan::Statement(statement) => !matches!(statement, Statement::Execute(_)),
        _ => false,
    }
}

async fn drop_table(ctx: &SessionContext, statement: DropTable) -> Result<DataFrame> {
    let database = database(ctx);
    match collection_name(&ctx.state(), &statement.name) {
        Some(name) if database.collection(&name).is_ok() => {
            database.drop_collection(&name).await.map_err(to_datafusion)?;
            nothing(ctx)
        }
        _ => ctx.execute_logical_plan(LogicalPlan::Ddl(DdlStatement::DropTable(statement))).await,
    }
}

/// The name of the collection that `table` would be; `None` for other catalogs and schemas.
pub(crate) fn collection_name(state: &SessionState, table: &TableReference) -> Option<String> {
    is_in(state, table, SCHEMA).then(|| table.table().to_owned())
}

/// Whether `table` is, or would be, in a schema of Drift's catalog.
pub(crate) fn is_in(state: &SessionState, table: &TableReference, schema: &str) -> bool {
    let defaults = &state.config_options().catalog;
    let table = table.clone().resolve(&defaults.default_catalog, &defaults.default_schema);
    *table.catalog == *CATALOG && *table.schema == *schema
}

/// A result without rows or columns.
pub(crate) fn nothing(ctx: &SessionContext) -> Result<DataFrame> {
    Ok(DataFrame::new(ctx.state(), LogicalPlanBuilder::empty(false).build()?))
}

/// A result of `batches`.
pub(crate) fn rows(ctx: &SessionContext, batches: Vec<RecordBatch>) -> Result<DataFrame> {
    ctx.read_batches(batches)
}
