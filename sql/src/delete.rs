//! DELETE: rows out of a collection.
//!
//! DataFusion hands a table only those conditions it finds in the optimized plan: those of
//! subqueries, LIMIT and a condition that is always false are lost, and with them every row. So a
//! rule takes DELETE as it was written.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, default_table_source::source_as_provider},
    common::{
        Column, DFSchemaRef, Result,
        config::ConfigOptions,
        plan_err,
        tree_node::{Transformed, TreeNode},
    },
    datasource::sink::{DataSink, DataSinkExec},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{
        DmlStatement, Expr, Extension, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNode,
        UserDefinedLogicalNodeCore, WriteOp, physical_planning_context::PhysicalPlanningContext,
    },
    optimizer::AnalyzerRule,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, empty::EmptyExec},
    physical_planner::{ExtensionPlanner, PhysicalPlanner},
};
use drift_engine::{Collection, RowPredicate, canonical_keys};
use drift_udfs::{is_row_predicate, row_predicate, to_datafusion};
use futures::TryStreamExt;

use crate::DriftTable;

/// Makes a [`DeleteNode`] of every DELETE from a collection.
#[derive(Debug)]
pub(crate) struct DeleteFromCollection;

impl AnalyzerRule for DeleteFromCollection {
    fn name(&self) -> &str {
        "delete_from_collection"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan
            .transform_up(|plan| match &plan {
                LogicalPlan::Dml(dml) if dml.op == WriteOp::Delete => match delete_node(dml)? {
                    Some(node) => Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) }))),
                    None => Ok(Transformed::no(plan)),
                },
                _ => Ok(Transformed::no(plan)),
            })?
            .data)
    }
}

fn delete_node(dml: &DmlStatement) -> Result<Option<DeleteNode>> {
    let provider = source_as_provider(&dml.target)?;
    let Some(table) = provider.downcast_ref::<DriftTable>() else {
        return Ok(None);
    };
    let collection = table.collection().clone();
    let which = match dml.input.as_ref() {
        LogicalPlan::TableScan(_) => Which::All,
        LogicalPlan::Filter(filter)
            if matches!(*filter.input, LogicalPlan::TableScan(_)) && is_row_predicate(&filter.predicate) =>
        {
            Which::Where(filter.predicate.clone())
        }
        source => Which::Found(keys_of(&collection, source)?),
    };
    Ok(Some(DeleteNode { collection, which, schema: dml.output_schema.clone() }))
}

/// A query for the keys of the rows of `source`.
fn keys_of(collection: &Collection, source: &LogicalPlan) -> Result<LogicalPlan> {
    let schema = collection.schema();
    let Some(key) = schema.key_name() else {
        return plan_err!(
            "the condition of this DELETE holds a subquery, a LIMIT or a volatile function, and '{}' has no key column to delete by: write a condition on stored columns",
            collection.name()
        );
    };
    LogicalPlanBuilder::from(source.clone()).project([Expr::Column(Column::from_name(key))])?.build()
}

/// A deletion in a logical plan.
#[derive(Clone)]
struct DeleteNode {
    collection: Collection,
    which: Which,
    schema: DFSchemaRef,
}

/// Which rows to delete.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Which {
    All,
    /// Those that match a condition on stored columns.
    Where(Expr),
    /// Those whose keys a query finds.
    Found(LogicalPlan),
}

impl DeleteNode {
    fn identity(&self) -> impl Eq + Hash + '_ {
        (self.collection.name(), &self.which)
    }
}

impl PartialEq for DeleteNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for DeleteNode {}

impl Hash for DeleteNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for DeleteNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl fmt::Debug for DeleteNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        UserDefinedLogicalNodeCore::fmt_for_explain(self, f)
    }
}

impl UserDefinedLogicalNodeCore for DeleteNode {
    fn name(&self) -> &str {
        "Delete"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        match &self.which {
            Which::Found(keys) => vec![keys],
            Which::All | Which::Where(_) => vec![],
        }
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Delete: {}", self.collection.name())?;
        match &self.which {
            Which::All => Ok(()),
            Which::Where(condition) => write!(f, " where {condition}"),
            Which::Found(_) => write!(f, " by key"),
        }
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let which = match inputs.into_iter().next() {
            Some(keys) => Which::Found(keys),
            None => self.which.clone(),
        };
        Ok(Self { which, ..self.clone() })
    }
}

/// Makes an operator of a [`DeleteNode`].
#[derive(Debug)]
pub(crate) struct DeletePlanner;

#[async_trait]
impl ExtensionPlanner for DeletePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<DeleteNode>() else {
            return Ok(None);
        };
        let victims = match &node.which {
            Which::All => Victims::All,
            Which::Where(condition) => {
                let schema = node.collection.schema();
                Victims::Where(row_predicate(session, &schema.arrow, schema.key, condition)?)
            }
            Which::Found(_) => Victims::Keys,
        };
        Ok(Some(DeleteSink::new(node.collection.clone(), victims).into_plan(inputs.first().cloned())))
    }
}

/// Which rows a [`DeleteSink`] deletes.
pub(crate) enum Victims {
    All,
    Where(Arc<dyn RowPredicate>),
    /// Those whose keys are written into the sink.
    Keys,
}

/// Deletes rows when it is run.
pub(crate) struct DeleteSink {
    collection: Collection,
    victims: Victims,
    schema: SchemaRef,
}

impl DeleteSink {
    pub(crate) fn new(collection: Collection, victims: Victims) -> Self {
        Self { collection, victims, schema: Arc::new(Schema::empty()) }
    }

    /// The plan of one row, the count, over the plan that finds the keys.
    pub(crate) fn into_plan(mut self, keys: Option<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        let input = keys.unwrap_or_else(|| Arc::new(EmptyExec::new(self.schema.clone())));
        self.schema = input.schema();
        Arc::new(DataSinkExec::new(input, Arc::new(self), None))
    }
}

#[async_trait]
impl DataSink for DeleteSink {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn write_all(&self, input: SendableRecordBatchStream, _context: &Arc<TaskContext>) -> Result<u64> {
        let deleted = match &self.victims {
            Victims::All => self.collection.delete_all().await,
            Victims::Where(condition) => self.collection.delete_where(condition.clone()).await,
            Victims::Keys => {
                let begun = self.collection.read_mark();
                let batches: Vec<_> = input.try_collect().await?;
                let ids: Result<Vec<_>, _> = batches.iter().map(|batch| canonical_keys(batch.column(0))).collect();
                self.collection.delete_found(ids.map_err(to_datafusion)?.concat(), begun).await
            }
        };
        Ok(deleted.map_err(to_datafusion)?.rows)
    }
}

impl DisplayAs for DeleteSink {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "delete from {}", self.collection.name())?;
        match &self.victims {
            Victims::All => Ok(()),
            Victims::Where(condition) => write!(f, " where {condition:?}"),
            Victims::Keys => write!(f, " by key"),
        }
    }
}

impl fmt::Debug for DeleteSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
