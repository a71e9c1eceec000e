//! The schema `drift`: what the engine knows of itself, as tables that can only be read.

mod columns;
mod table;
mod tables;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{SchemaProvider, TableProvider},
    common::{Result, TableReference},
    execution::SessionState,
    logical_expr::{DdlStatement, LogicalPlan},
};
use drift_engine::{Database, Error};
use drift_udfs::to_datafusion;

use crate::{CATALOG, SCHEMA, execute::is_in};

/// The schema of the system tables.
pub const SYSTEM_SCHEMA: &str = "drift";

/// The system tables of a database.
pub(crate) struct SystemSchema(Database);

impl SystemSchema {
    pub(crate) fn new(database: Database) -> Self {
        Self(database)
    }
}

impl fmt::Debug for SystemSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemSchema({})", self.0.uri())
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        tables::NAMES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(tables::open(&self.0, name))
    }

    fn table_exist(&self, name: &str) -> bool {
        tables::NAMES.contains(&name)
    }
}

/// Refuses a statement that would write to the schema of the system tables.
///
/// # Errors
/// `Invalid` says what to do instead.
pub(crate) fn refuse_writes(state: &SessionState, plan: &LogicalPlan) -> Result<()> {
    match written_table(plan) {
        Some(table) if is_in(state, table, SYSTEM_SCHEMA) => Err(to_datafusion(Error::invalid(format!(
            "'{table}': the tables of {CATALOG}.{SYSTEM_SCHEMA} show what the engine does and can only be read: \
             write to a table of {CATALOG}.{SCHEMA}"
        )))),
        _ => Ok(()),
    }
}

/// The table that a statement would make, change or drop.
fn written_table(plan: &LogicalPlan) -> Option<&TableReference> {
    match plan {
        LogicalPlan::Dml(statement) => Some(&statement.table_name),
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(statement)) => Some(&statement.name),
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(statement)) => Some(&statement.name),
        LogicalPlan::Ddl(DdlStatement::CreateView(statement)) => Some(&statement.name),
        LogicalPlan::Ddl(DdlStatement::DropTable(statement)) => Some(&statement.name),
        LogicalPlan::Ddl(DdlStatement::DropView(statement)) => Some(&statement.name),
        _ => None,
    }
}
