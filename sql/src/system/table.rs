//! A system table: its rows are read from the engine when it is scanned.

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::Result,
    datasource::memory::MemorySourceConfig,
    logical_expr::{Expr, TableType},
    physical_plan::ExecutionPlan,
};
use drift_engine::{Collection, Database};
use drift_udfs::to_datafusion;
use futures::future::{BoxFuture, try_join_all};

use super::columns::Columns;

/// How the rows of one collection are read.
pub(super) type ReadRows<R> = fn(Collection) -> BoxFuture<'static, drift_engine::Result<Vec<R>>>;

/// Which columns there are.
pub(super) type MakeColumns<R> = fn(Columns<R>) -> Columns<R>;

/// Rows about all collections of a database: of each as one moment has it, and no writer waits for
/// the reader. Filters and limits are left to the plan above: a table fits in memory.
pub(super) struct SystemTable<R> {
    name: String,
    database: Database,
    schema: SchemaRef,
    rows: ReadRows<R>,
    columns: MakeColumns<R>,
}

impl<R: Send + 'static> SystemTable<R> {
    pub fn open(database: &Database, name: &str, rows: ReadRows<R>, columns: MakeColumns<R>) -> Arc<dyn TableProvider> {
        let no_rows = batch(vec![], columns).expect("columns of no rows are equally long");
        let (name, database) = (name.to_owned(), database.clone());
        Arc::new(Self { name, database, schema: no_rows.schema(), rows, columns })
    }

    async fn read(&self) -> Result<RecordBatch> {
        let of_each = self.database.collections().into_iter().map(async |collection| {
            let name = collection.name().to_owned();
            let rows = match (self.rows)(collection).await {
                // Dropped meanwhile, and its files with it.
                Err(_) if self.database.collection(&name).is_err() => vec![],
                rows => rows?,
            };
            Ok(rows.into_iter().map(move |row| (name.clone(), row)))
        });
        let rows = try_join_all(of_each).await.map_err(to_datafusion)?;
        Ok(batch(rows.into_iter().flatten().collect(), self.columns)?)
    }
}

fn batch<R>(rows: Vec<(String, R)>, columns: MakeColumns<R>) -> Result<RecordBatch, ArrowError> {
    columns(Columns::new(rows)).into_batch()
}

impl<R> fmt::Debug for SystemTable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemTable({})", self.name)
    }
}

#[async_trait]
impl<R: Send + 'static> TableProvider for SystemTable<R> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = self.read().await?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?)
    }
}
