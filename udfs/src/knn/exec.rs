//! The operator that searches.

use std::{fmt, sync::Arc};

use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    arrow::compute::SortOptions,
    catalog::Session,
    common::{DFSchema, Result, ScalarValue, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        metrics::{ExecutionPlanMetricsSet, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
    physical_planner::{ExtensionPlanner, PhysicalPlanner},
};
use drift_engine::Collection;
use futures::stream;

use super::{Arguments, KnnNode, condition::Condition, metrics::record, node::DISTANCE};
use crate::{
    conform,
    error::to_datafusion,
    parameters::{fill, open},
    settings::DriftOptions,
};

/// Makes a [`KnnExec`] of a [`KnnNode`].
#[derive(Debug)]
pub struct KnnExecPlanner;

#[async_trait]
impl ExtensionPlanner for KnnExecPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        _physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<KnnNode>() else {
            return Ok(None);
        };
        let nothing = DFSchema::empty();
        let physical = |e: &Expr| planner.create_physical_expr(&open(e.clone())?, &nothing, session, context);
        let arguments = node.arguments().try_map(physical)?;
        let key = node.collection().schema().key;
        let filter = node.filter().map(|f| Condition::new(session, node.stored(), key, f)).transpose()?;
        Ok(Some(Arc::new(KnnExec::new(node, arguments, filter))))
    }
}

/// Searches a collection once and returns the rows found, nearest first, in one batch.
///
/// Parameters among its arguments and in its filter stay open until [`KnnExec::bound`] fills them.
pub struct KnnExec {
    collection: Collection,
    arguments: Arguments<Arc<dyn PhysicalExpr>>,
    filter: Option<Condition>,
    /// Stored columns to read.
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl KnnExec {
    fn new(node: &KnnNode, arguments: Arguments<Arc<dyn PhysicalExpr>>, filter: Option<Condition>) -> Self {
        let stored = node.stored().fields().len();
        Self {
            collection: node.collection().clone(),
            arguments,
            filter,
            projection: node.projection().iter().copied().filter(|&i| i < stored).collect(),
            properties: Arc::new(properties(node.schema().inner().clone())),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same search with values in place of its parameters, and figures of its own.
    pub(crate) fn bound(&self, session: &dyn Session, values: &[ScalarValue]) -> Result<Self> {
        Ok(Self {
            collection: self.collection.clone(),
            arguments: self.arguments.try_map(|e| fill(e.clone(), values))?,
            filter: self.filter.as_ref().map(|f| f.bound(session, values)).transpose()?,
            projection: self.projection.clone(),
            properties: self.properties.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

fn properties(schema: SchemaRef) -> PlanProperties {
    let nearest_first = schema.index_of(DISTANCE).ok().map(|i| PhysicalSortExpr {
        expr: Arc::new(Column::new(DISTANCE, i)),
        options: SortOptions { descending: false, nulls_first: false },
    });
    PlanProperties::new(
        EquivalenceProperties::new_with_orderings(schema, nearest_first.map(|e| [e])),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    )
}

impl ExecutionPlan for KnnExec {
    fn name(&self) -> &str {
        "KnnExec"
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
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for argument in self.arguments.iter() {
            if let TreeNodeRecursion::Stop = f(argument)? {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let options = DriftOptions::of(context.session_config().options());
        let (collection, arguments) = (self.collection.clone(), self.arguments.clone());
        let (filter, projection) = (self.filter.clone(), self.projection.clone());
        let (schema, metrics) = (self.schema(), self.metrics.clone());
        let search = async move {
            // Only now: a scalar subquery among the arguments has run when the stream is polled.
            let mut request = arguments.evaluate()?.request(&options)?;
            request.filter = filter.map(Condition::into_predicate).transpose()?;
            request.projection = Some(projection);
            let found = collection.search(request).await.map_err(to_datafusion)?;
            record(&metrics, &found.stats, found.batch.num_rows());
            conform(&found.batch, &schema)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream::once(search))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

impl DisplayAs for KnnExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "KnnExec: collection={}, k={}", self.collection.name(), self.arguments.k)?;
        for (knob, value) in &self.arguments.knobs {
            write!(f, ", {}={value}", knob.name())?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KnnExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
