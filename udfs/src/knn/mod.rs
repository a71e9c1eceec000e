//! `knn(collection, query, k [, recall => | nprobe => | exact => | ef => | deadline_ms => ])`.
//!
//! However a query comes to it, by the function or by `ORDER BY distance LIMIT k`, there is one
//! plan node, [`KnnNode`], and one operator, [`KnnExec`].

mod arguments;
mod columns;
mod condition;
mod exec;
mod filter;
mod metrics;
mod narrow;
mod node;
mod order_by;
mod relation;

pub use arguments::{Arguments, Knob};
pub use exec::{KnnExec, KnnExecPlanner};
pub use filter::FilterIntoKnn;
pub use narrow::NarrowKnn;
pub use node::KnnNode;
pub use order_by::OrderByDistance;
pub use relation::KnnRelationPlanner;
