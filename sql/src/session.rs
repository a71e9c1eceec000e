//! A session: DataFusion with the catalog, the functions and the rules of Drift.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProviderList, MemoryCatalogProviderList, Session, TableProvider},
    common::Result,
    execution::{SessionStateBuilder, context::QueryPlanner},
    logical_expr::LogicalPlan,
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner},
    prelude::{SessionConfig, SessionContext},
};
use drift_engine::{Collection, Database};
use drift_udfs::{knn::KnnExecPlanner, register_all, with_settings};

use crate::{
    DriftTable,
    catalog::DriftCatalog,
    delete::{DeleteFromCollection, DeletePlanner},
    insert::VectorsOfAnyLength,
    yielding::YieldingJoins,
};

/// The catalog of every database.
pub const CATALOG: &str = "drift";
/// The schema its collections are in.
pub const SCHEMA: &str = "public";

/// A session over `database`.
///
/// Collections are the tables of `drift.public`, system tables those of `drift.drift`; views and external tables made in the session
/// stand beside them and live as long as it does. A file's path in quotes is a table as well.
/// Statements go through [`plan`](crate::plan) and [`execute`](crate::execute): a session by itself
/// would create its tables in memory.
pub fn session(database: &Database) -> SessionContext {
    let config = SessionConfig::new()
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::new(Served(database.clone())));
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.into(), Arc::new(DriftCatalog::new(database.clone())));
    let builder = SessionStateBuilder::new()
        .with_config(with_settings(config, database))
        .with_default_features()
        .with_catalog_list(Arc::new(catalogs))
        .with_analyzer_rule(Arc::new(DeleteFromCollection))
        .with_analyzer_rule(Arc::new(VectorsOfAnyLength))
        .with_query_planner(Arc::new(DriftQueryPlanner))
        .with_physical_optimizer_rule(Arc::new(YieldingJoins));
    SessionContext::new_with_state(register_all(builder, database, collection_of).build()).enable_url_table()
}

/// The database of a session.
struct Served(Database);

/// The database `ctx` was made for by [`session`].
pub(crate) fn database(ctx: &SessionContext) -> Database {
    let served = ctx.copied_config().get_extension::<Served>();
    served.expect("a session of drift_sql::session knows its database").0.clone()
}

fn collection_of(table: &dyn TableProvider) -> Option<&Collection> {
    table.downcast_ref::<DriftTable>().map(DriftTable::collection)
}

/// DataFusion's planner, with Drift's own nodes.
struct DriftQueryPlanner;

impl fmt::Debug for DriftQueryPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DriftQueryPlanner")
    }
}

#[async_trait]
impl QueryPlanner for DriftQueryPlanner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(KnnExecPlanner), Arc::new(DeletePlanner)])
            .create_physical_plan(plan, session)
            .await
    }
}
