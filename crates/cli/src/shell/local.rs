//! Statements on a database of this process, run by the DataFusion CLI.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    common::instant::Instant,
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{SessionState, TaskContext},
    logical_expr::LogicalPlan,
    object_store::ObjectStore,
    prelude::SessionContext,
    sql::{
        parser::{DFParser, Statement},
        sqlparser::ast,
    },
};
use datafusion_cli::{cli_context::CliSessionContext, exec::exec_from_commands, print_options::PrintOptions};
use drift_engine::Database;
use url::Url;

use crate::error::Result;

/// A database and a session over it.
pub(crate) struct Local {
    db: Database,
    session: DriftSession,
}

impl Local {
    pub fn new(db: Database) -> Self {
        let ctx = drift_sql::session(&db);
        // In a table on a screen an absent value should not look like an empty text.
        ctx.state_ref().write().config_mut().options_mut().format.null = "NULL".into();
        Self { db, session: DriftSession(ctx) }
    }

    /// Runs one statement and prints what it yields.
    pub async fn run(&self, sql: &str, print: &PrintOptions) -> Result<()> {
        if creates_table(sql) {
            self.run_planned_by_drift(sql, print).await
        } else {
            Ok(exec_from_commands(&self.session, vec![sql.to_owned()], print).await?)
        }
    }

    async fn run_planned_by_drift(&self, sql: &str, print: &PrintOptions) -> Result<()> {
        let (ctx, start) = (&self.session.0, Instant::now());
        let plan = drift_sql::plan(ctx, sql).await?;
        let frame = drift_sql::execute(ctx, plan).await?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await?;
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        let format = &ctx.copied_config().options().format.clone();
        Ok(print.print_batches(schema, &batches, start, rows, format)?)
    }

    pub async fn close(self) -> Result<()> {
        drop(self.session);
        Ok(self.db.close().await?)
    }
}

/// Whether `sql` is a `CREATE TABLE`, whose options only Drift's planner knows.
fn creates_table(sql: &str) -> bool {
    DFParser::parse_sql(sql).is_ok_and(|statements| {
        matches!(statements.front(), Some(Statement::Statement(s)) if matches!(**s, ast::Statement::CreateTable(_)))
    })
}

/// What the DataFusion CLI plans with; what it has planned goes through Drift's door.
struct DriftSession(SessionContext);

#[async_trait]
impl CliSessionContext for DriftSession {
    fn task_ctx(&self) -> Arc<TaskContext> {
        self.0.task_ctx()
    }

    fn session_state(&self) -> SessionState {
        self.0.state()
    }

    fn register_object_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_object_store(url, store)
    }

    fn register_table_options_extension_from_scheme(&self, scheme: &str) {
        CliSessionContext::register_table_options_extension_from_scheme(&self.0, scheme);
    }

    async fn execute_logical_plan(&self, plan: LogicalPlan) -> Result<DataFrame, DataFusionError> {
        drift_sql::execute(&self.0, plan).await
    }
}

#[cfg(test)]
mod tests {
    use super::creates_table;

    #[test]
    fn only_create_table_is_planned_by_drift() {
        assert!(creates_table("-- new\ncreate table t (id bigint primary key, v float[3]) with (metric = 'cosine')"));
        assert!(creates_table("CREATE TABLE IF NOT EXISTS t AS SELECT 1"));
        for other in [
            "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 'x'",
            "SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "not sql",
        ] {
            assert!(!creates_table(other), "{other}");
        }
    }
}
