//! A database as SQL sees it: collections are tables, and so is what the engine tells of itself.
//!
//! ```no_run
//! # async fn example(database: &drift_engine::Database) -> datafusion::common::Result<()> {
//! let ctx = drift_sql::session(database);
//! let plan = drift_sql::plan(&ctx, "SELECT id FROM knn('docs', [0.1, 0.2], 10)").await?;
//! drift_sql::execute(&ctx, plan).await?.show().await?;
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod catalog;
mod condition;
mod create;
mod delete;
mod execute;
mod insert;
mod prepared;
mod scan;
mod session;
mod stamp;
mod statement;
mod system;
mod table;
mod table_options;
mod yielding;

pub use condition::condition;
pub use execute::{execute, is_update};
pub use prepared::{Planned, Prepared, ReadyPlan};
pub use session::{CATALOG, SCHEMA, session};
pub use statement::plan;
pub use system::SYSTEM_SCHEMA;
use table::DriftTable;
