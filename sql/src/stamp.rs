//! What a plan depends on.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::{
    catalog::default_table_source::source_as_provider,
    common::{TableReference, config::ConfigOptions, tree_node::TreeNodeRecursion},
    logical_expr::LogicalPlan,
    prelude::SessionContext,
};
use drift_engine::{Collection, Database};
use drift_udfs::knn::KnnNode;

use crate::{
    DriftTable,
    execute::{collection_name, is_update},
    session::database,
};

/// The state in which a query was planned: the settings of its session, and the collections it names,
/// each with the columns it had.
///
/// Only a query whose every relation is a collection has one. Views, files and system tables may
/// change unseen; a collection that was dropped and made anew has other columns, if only by address.
pub(crate) struct Stamp {
    database: Database,
    options: Arc<ConfigOptions>,
    collections: Vec<(String, SchemaRef)>,
}

impl Stamp {
    /// The state `plan` was made in, which names `relations`; `None` if it is no query of collections
    /// alone.
    pub fn new(ctx: &SessionContext, plan: &LogicalPlan, relations: Option<Vec<TableReference>>) -> Option<Self> {
        let database = database(ctx);
        let state = ctx.state_ref();
        let state = state.read();
        let is_collection = |relation: &TableReference| {
            collection_name(&state, relation).is_some_and(|name| database.collection(&name).is_ok())
        };
        // Where no table bears the name it is the function, which names its collection to the plan.
        let is_knn = |relation: &TableReference| {
            let schema = state.schema_for_ref(relation.clone());
            relation.table().eq_ignore_ascii_case("knn")
                && schema.is_ok_and(|schema| !schema.table_exist(relation.table()))
        };
        if is_update(plan) || !relations?.iter().all(|relation| is_collection(relation) || is_knn(relation)) {
            return None;
        }
        let collections = collections(plan)?;
        Some(Self { options: state.config_options().clone(), database, collections })
    }

    /// Whether a statement would be planned the same way in `ctx`. Settings are compared by address:
    /// whoever changes one while it is held here makes a copy.
    pub fn holds(&self, ctx: &SessionContext) -> bool {
        Arc::ptr_eq(ctx.state_ref().read().config_options(), &self.options) && self.has_collections()
    }

    /// Whether the collections are those that were planned with.
    pub fn has_collections(&self) -> bool {
        self.collections.iter().all(|(name, columns)| {
            self.database.collection(name).is_ok_and(|there| Arc::ptr_eq(&there.arrow_schema(), columns))
        })
    }
}

/// The collections that `plan` reads; `None` if it reads something else as well.
fn collections(plan: &LogicalPlan) -> Option<Vec<(String, SchemaRef)>> {
    let mut found = Vec::new();
    let mut all = true;
    let mut note = |collection: &Collection, columns: &SchemaRef| {
        found.push((collection.name().to_owned(), columns.clone()));
    };
    let visited = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => match source_as_provider(&scan.source) {
                Ok(provider) => match provider.downcast_ref::<DriftTable>() {
                    Some(table) => note(table.collection(), &provider.schema()),
                    None => all = false,
                },
                Err(_) => all = false,
            },
            LogicalPlan::Extension(_) => match KnnNode::of(node) {
                Some(knn) => note(knn.collection(), knn.stored()),
                None => all = false,
            },
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    (visited.is_ok() && all).then_some(found)
}
