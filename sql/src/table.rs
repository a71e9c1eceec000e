//! A collection as a table.

use std::{fmt, sync::Arc};

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Constraint, Constraints, Result, not_impl_err},
    datasource::sink::DataSinkExec,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType, dml::InsertOp, utils::conjunction},
    physical_plan::ExecutionPlan,
};
use drift_engine::Collection;
use drift_udfs::{is_row_predicate, row_predicate};

use crate::{
    delete::{DeleteSink, Victims},
    insert::InsertSink,
    scan::ScanExec,
};

/// A collection as a table: its rows, in no order.
///
/// DELETE does not come this way: by the time DataFusion asks a table, it may have lost the
/// condition, so a rule takes the statement as written.
pub struct DriftTable {
    collection: Collection,
    schema: SchemaRef,
    /// Index of the key column.
    key: Option<usize>,
    constraints: Constraints,
}

impl DriftTable {
    /// The table of `collection` as it is now.
    pub fn new(collection: Collection) -> Self {
        let schema = collection.schema();
        let constraint = schema.key.map(|key| Constraint::PrimaryKey(vec![key]));
        let constraints = Constraints::new_unverified(constraint.into_iter().collect());
        Self { collection, schema: schema.arrow, key: schema.key, constraints }
    }

    /// The collection.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }
}

impl fmt::Debug for DriftTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DriftTable({})", self.collection.name())
    }
}

#[async_trait]
impl TableProvider for DriftTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_row_predicate(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filter = conjunction(filters.iter().cloned());
        let filter = filter.map(|f| row_predicate(session, &self.schema, self.key, &f)).transpose()?;
        Ok(Arc::new(ScanExec::new(self.collection.clone(), &self.schema, projection.cloned(), filter, limit)?))
    }

    async fn insert_into(
        &self,
        _session: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // A row with a key that is there replaces it: REPLACE INTO and INSERT are one.
        if op == InsertOp::Overwrite {
            return not_impl_err!("INSERT OVERWRITE: use DELETE FROM, then INSERT INTO");
        }
        let sink = InsertSink::new(self.collection.clone(), input.schema());
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), None)))
    }

    async fn update(
        &self,
        _session: &dyn Session,
        _assignments: Vec<(String, Expr)>,
        _filters: Vec<Expr>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        not_impl_err!("UPDATE: INSERT the changed rows instead, a row replaces the one with its key")
    }

    async fn truncate(&self, _session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(DeleteSink::new(self.collection.clone(), Victims::All).into_plan(None))
    }
}
