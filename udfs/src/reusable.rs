//! A physical plan that runs many times.

use std::sync::Arc;

use datafusion::{
    catalog::Session,
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::DynamicFilterPhysicalExpr},
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        empty::EmptyExec,
        filter::{FilterExec, FilterExecBuilder},
        limit::{GlobalLimitExec, LocalLimitExec},
        placeholder_row::PlaceholderRowExec,
        projection::{ProjectionExec, ProjectionExpr},
        sorts::sort::SortExec,
    },
};

use crate::{knn::KnnExec, parameters::fill};

/// A plan of operators that keep nothing from one run to the next, with parameters left open. It is
/// never run itself: each run has a copy, so that any number of them can go on at once.
#[derive(Debug)]
pub struct ReusablePlan(Arc<dyn ExecutionPlan>);

impl ReusablePlan {
    /// `plan` as one to copy; `None` if an operator in it is not known to allow that.
    pub fn new(plan: Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let partitions = plan.properties().output_partitioning().partition_count();
        let reusable = partitions == 1 && !plan.exists(|plan| Ok(!is_known(plan) || has_dynamic_filter(plan)?))?;
        Ok(reusable.then_some(Self(plan)))
    }

    /// A copy with `values` in place of the parameters, to be run once.
    pub fn bind(&self, session: &dyn Session, values: &[ScalarValue]) -> Result<Arc<dyn ExecutionPlan>> {
        let copy = |plan: Arc<dyn ExecutionPlan>| {
            if let Some(knn) = plan.downcast_ref::<KnnExec>() {
                return Ok(Transformed::yes(Arc::new(knn.bound(session, values)?) as Arc<dyn ExecutionPlan>));
            }
            Ok(match with_values(&plan, values)? {
                Some(filled) => Transformed::yes(filled),
                None => Transformed::no(plan),
            })
        };
        Ok(self.0.clone().transform_up(copy)?.data)
    }
}

fn is_known(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<KnnExec>()
        || plan.is::<ProjectionExec>()
        || plan.is::<SortExec>()
        || plan.is::<FilterExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<PlaceholderRowExec>()
        || plan.is::<EmptyExec>()
}

/// Whether what one run has learnt would be in the way of the next.
fn has_dynamic_filter(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply_expressions(&mut |e| {
        found |= e.exists(|e| Ok(e.is::<DynamicFilterPhysicalExpr>()))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    // A sort has one of its own, and gets another with each copy.
    Ok(found && !plan.is::<SortExec>())
}

/// An operator of expressions anew, with values in place of what was open in them; a sort in any case,
/// since it carries what it has seen.
fn with_values(plan: &Arc<dyn ExecutionPlan>, values: &[ScalarValue]) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let filled = projection.expr().iter().map(|e| Ok(ProjectionExpr::new(fill(e.expr.clone(), values)?, &e.alias)));
        let filled = filled.collect::<Result<Vec<_>>>()?;
        return Ok(Some(Arc::new(ProjectionExec::try_new(filled, projection.input().clone())?)));
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let filled = sort.expr().iter().map(|e| Ok(PhysicalSortExpr::new(fill(e.expr.clone(), values)?, e.options)));
        let filled = LexOrdering::new(filled.collect::<Result<Vec<_>>>()?);
        let Some(order) = filled else { return Ok(Some(sort.input().clone())) };
        let copy = SortExec::new(order, sort.input().clone())
            .with_fetch(sort.fetch())
            .with_preserve_partitioning(sort.preserve_partitioning());
        return Ok(Some(Arc::new(copy)));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let copy = FilterExecBuilder::from(filter).with_predicate(fill(filter.predicate().clone(), values)?);
        return Ok(Some(Arc::new(copy.build()?)));
    }
    Ok(None)
}
