//! Following columns down through the nodes that only rename them.

use datafusion::{
    common::{
        Column, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
};

/// `expr` over the output of `node`, rewritten over the output of its input; `None` when the node
/// does more than to name or compute columns row by row.
pub(super) fn below(node: &LogicalPlan, expr: Expr) -> Result<Option<Expr>> {
    let replace = |column: &Column| -> Option<Expr> {
        let index = node.schema().maybe_index_of_column(column)?;
        match node {
            LogicalPlan::Projection(projection) => Some(projection.expr[index].clone().unalias_nested().data),
            LogicalPlan::SubqueryAlias(alias) => {
                Some(Expr::Column(Column::from(alias.input.schema().qualified_field(index))))
            }
            _ => None,
        }
    };
    let mut known = true;
    let rewritten = expr.transform_down(|e| match &e {
        Expr::Column(column) => match replace(column) {
            // Jump: what stands in its place is over the input already.
            Some(replacement) => Ok(Transformed::new(replacement, true, TreeNodeRecursion::Jump)),
            None => {
                known = false;
                Ok(Transformed::new(e, false, TreeNodeRecursion::Stop))
            }
        },
        _ => Ok(Transformed::no(e)),
    })?;
    Ok(known.then_some(rewritten.data))
}

/// `plan` over another input, which has the columns its expressions name.
pub(super) fn over(plan: &LogicalPlan, input: LogicalPlan) -> Result<LogicalPlan> {
    plan.with_new_exprs(plan.expressions(), vec![input])
}
