//! The operator that reads a collection's rows.

use std::{fmt, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use drift_engine::{Collection, RowPredicate, ScanRequest};
use drift_udfs::{conform, to_datafusion};
use futures::StreamExt;

/// Reads rows of a collection, in no order.
pub(crate) struct ScanExec {
    collection: Collection,
    projection: Option<Vec<usize>>,
    filter: Option<Arc<dyn RowPredicate>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    /// A scan of at most `limit` rows that match `filter`, with the columns at `projection` of
    /// `stored`.
    pub(crate) fn new(
        collection: Collection,
        stored: &SchemaRef,
        projection: Option<Vec<usize>>,
        filter: Option<Arc<dyn RowPredicate>>,
        limit: Option<usize>,
    ) -> Result<Self> {
        let schema = match &projection {
            Some(columns) => Arc::new(stored.project(columns)?),
            None => stored.clone(),
        };
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Self { collection, projection, filter, limit, properties })
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let request =
            ScanRequest { projection: self.projection.clone(), filter: self.filter.clone(), limit: self.limit };
        let schema = self.schema();
        let rows = self.collection.scan(request);
        let rows =
            rows.map(move |batch: drift_engine::Result<RecordBatch>| conform(&batch.map_err(to_datafusion)?, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let schema = self.schema();
        let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "ScanExec: collection={}, columns=[{}]", self.collection.name(), columns.join(", "))?;
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter:?}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
