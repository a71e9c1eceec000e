//! What a query can say: `knn`, distances between vectors, and the settings of a session.
//!
//! ```sql
//! SELECT id, _distance FROM knn('docs', [0.1, 0.2, 0.3], 10, recall => 0.99) WHERE lang = 'en';
//! SELECT id FROM docs ORDER BY l2_distance(embedding, [0.1, 0.2, 0.3]) LIMIT 10;
//! ```
//!
//! [`register_all`] teaches a session all of it but the physical plan: a session has one query
//! planner, so its maker adds [`knn::KnnExecPlanner`] to it.
#![forbid(unsafe_code)]

mod conform;
mod cosine_operator;
mod distance;
mod error;
mod keys;
pub mod knn;
mod parameters;
mod predicate;
mod reusable;
mod settings;

use std::sync::Arc;

use datafusion::{catalog::TableProvider, execution::SessionStateBuilder, prelude::SessionConfig};
use drift_engine::{Collection, Database};

pub use conform::conform;
pub use error::{collection, engine_error, from_datafusion, to_datafusion};
pub use parameters::{opened, typed};
pub use predicate::{is_row_predicate, row_predicate};
pub use reusable::ReusablePlan;
pub use settings::DriftOptions;

/// The collection behind a table, if the table is one.
pub type CollectionOf = fn(&dyn TableProvider) -> Option<&Collection>;

/// Adds `knn`, the distance functions and the rules that bring them to the index.
///
/// `collection_of` lets the rules recognise the tables that are collections of `database`.
pub fn register_all(
    mut builder: SessionStateBuilder,
    database: &Database,
    collection_of: CollectionOf,
) -> SessionStateBuilder {
    let planner = Arc::new(knn::KnnRelationPlanner::new(database.clone()));
    builder.relation_planners().get_or_insert_default().push(planner);
    builder.expr_planners().get_or_insert_default().push(Arc::new(cosine_operator::CosineOperator));
    builder.scalar_functions().get_or_insert_default().extend(distance::functions());
    builder
        .with_analyzer_rule(Arc::new(knn::FilterIntoKnn))
        .with_optimizer_rule(Arc::new(knn::OrderByDistance::new(collection_of)))
        .with_optimizer_rule(Arc::new(knn::NarrowKnn))
}

/// `config` with the settings of Drift (`SET drift.target_recall = 0.99`).
pub fn with_settings(config: SessionConfig, database: &Database) -> SessionConfig {
    config.with_option_extension(DriftOptions {
        target_recall: database.settings().target_recall,
        ..DriftOptions::default()
    })
}
