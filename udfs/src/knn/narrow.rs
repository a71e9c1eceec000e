//! Only the columns a query uses are read.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{Result, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, SubqueryAlias},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{KnnNode, columns::over};

/// Narrows a [`KnnNode`] to the columns that the projection above it needs.
///
/// DataFusion puts projections where columns can be dropped, but cannot look into a leaf of ours.
#[derive(Debug)]
pub struct NarrowKnn;

impl OptimizerRule for NarrowKnn {
    fn name(&self) -> &str {
        "narrow_knn"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Projection(projection) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let needed = named(&projection.expr, &projection.input);
        match narrowed(&projection.input, &needed)? {
            Some(input) => Ok(Transformed::yes(over(&plan, input)?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// `plan` over a narrower search that still returns the columns at `needed`; `None` when there is
/// no search below, or nothing to leave out.
fn narrowed(plan: &LogicalPlan, needed: &BTreeSet<usize>) -> Result<Option<LogicalPlan>> {
    if let Some(node) = KnnNode::of(plan) {
        if needed.len() == node.projection().len() {
            return Ok(None);
        }
        let projection = needed.iter().map(|&i| node.projection()[i]).collect();
        return Ok(Some(node.clone().with_projection(projection)?.into_plan()));
    }
    let input = match plan {
        LogicalPlan::SubqueryAlias(alias) => narrowed(&alias.input, needed)?,
        LogicalPlan::Limit(limit) => narrowed(&limit.input, needed)?,
        LogicalPlan::Filter(filter) => {
            narrowed(&filter.input, &with(needed, named([&filter.predicate], &filter.input)))?
        }
        LogicalPlan::Sort(sort) => {
            narrowed(&sort.input, &with(needed, named(sort.expr.iter().map(|s| &s.expr), &sort.input)))?
        }
        _ => None,
    };
    let Some(input) = input else {
        return Ok(None);
    };
    Ok(Some(match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?)
        }
        _ => over(plan, input)?,
    }))
}

/// Indices of the columns of `input` that `exprs` name.
fn named<'a>(exprs: impl IntoIterator<Item = &'a Expr>, input: &LogicalPlan) -> BTreeSet<usize> {
    let columns = exprs.into_iter().flat_map(|e| e.column_refs());
    columns.filter_map(|c| input.schema().maybe_index_of_column(c)).collect()
}

fn with(a: &BTreeSet<usize>, b: BTreeSet<usize>) -> BTreeSet<usize> {
    a.union(&b).copied().collect()
}
