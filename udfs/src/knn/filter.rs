//! `WHERE` over `knn` chooses among which rows to search, not among the rows found.

use std::sync::Arc;

use datafusion::{
    common::{Result, config::ConfigOptions, tree_node::Transformed},
    logical_expr::{
        Expr, LogicalPlan,
        logical_plan::Filter,
        utils::{conjunction, split_conjunction_owned},
    },
    optimizer::AnalyzerRule,
};

use super::{
    KnnNode,
    columns::{below, over},
    node::DISTANCE,
};
use crate::predicate::is_row_predicate;

/// Moves into a [`KnnNode`] the conjuncts of a filter that stands on it.
///
/// An analyzer rule, so that it sees the statement as it was written: what the optimizer infers
/// from joins, or pushes through them, must not change which rows compete for the `k` places.
/// Between the filter and the node there may be projections and aliases, nothing else. Conditions
/// on `_distance`, volatile ones and subqueries stay where they are and select among the found.
#[derive(Debug)]
pub struct FilterIntoKnn;

impl AnalyzerRule for FilterIntoKnn {
    fn name(&self) -> &str {
        "filter_into_knn"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(absorb)?.data)
    }
}

fn absorb(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(Filter { predicate, input, .. }) = plan else {
        return Ok(Transformed::no(plan));
    };
    let mut input = Arc::unwrap_or_clone(input);
    let mut rest = vec![];
    for conjunct in split_conjunction_owned(predicate) {
        match into_node(&input, conjunct.clone())? {
            Some(searched) => input = searched,
            None => rest.push(conjunct),
        }
    }
    Ok(Transformed::yes(match conjunction(rest) {
        Some(rest) => LogicalPlan::Filter(Filter::try_new(rest, Arc::new(input))?),
        None => input,
    }))
}

/// `plan` with `condition` in its search; `None` when there is no search, or it cannot take it.
fn into_node(plan: &LogicalPlan, condition: Expr) -> Result<Option<LogicalPlan>> {
    if let Some(node) = KnnNode::of(plan) {
        let stored = condition.column_refs().iter().all(|c| c.name != DISTANCE);
        let accepted = stored && is_row_predicate(&condition);
        return Ok(accepted.then(|| node.clone().with_filter(condition).into_plan()));
    }
    let (LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_)) = plan else {
        return Ok(None);
    };
    let Some(condition) = below(plan, condition)? else {
        return Ok(None);
    };
    into_node(plan.inputs()[0], condition)?.map(|input| over(plan, input)).transpose()
}
