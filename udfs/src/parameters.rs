//! Parameters that stay open while a plan is made, so that it can be made once for all their values.
//!
//! The optimizer passes placeholders on, once it knows their types; physical plans have no word for
//! them, so there a function without arguments, an [`Open`], stands in their place until it is filled.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use datafusion::{
    common::{
        Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::{Placeholder, ScalarFunction},
        expr_rewriter::NamePreserver,
    },
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, expressions::lit},
};

use crate::{error::invalid, knn::KnnNode};

/// Whether `expr` is a parameter.
pub(crate) fn is_parameter(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(_))
}

/// `plan` with its parameters `$1`, `$2`, .. declared to be of `types`, as values of these types would
/// be.
pub fn typed(plan: LogicalPlan, types: &[DataType]) -> Result<LogicalPlan> {
    let declare = |e| match e {
        Expr::Placeholder(Placeholder { id, .. }) => {
            let data_type = types[index(&id, types.len())?].clone();
            let field = Field::new(&id, data_type, true);
            Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field: Some(field.into()) })))
        }
        other => Ok(Transformed::no(other)),
    };
    let declared = plan.transform_up(|plan| {
        let plan = plan.map_expressions(|e| e.transform_up(declare))?;
        if plan.transformed { plan.map_data(LogicalPlan::recompute_schema) } else { Ok(plan) }
    })?;
    // What stands above a declaration has learnt its type.
    declared.data.transform_up(|plan| plan.recompute_schema().map(Transformed::yes)).map(|plan| plan.data)
}

/// An optimized plan with all parameters in a form that physical expressions can have; those of a
/// [`KnnNode`] stay, since its planner knows what to do with them.
pub fn opened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let opened = plan.transform_up(|plan| {
        if KnnNode::of(&plan).is_some() {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|e| {
            if !e.exists(|e| Ok(is_parameter(e)))? {
                return Ok(Transformed::no(e));
            }
            let name = names.save(&e);
            Ok(Transformed::yes(name.restore(open(e)?)))
        })
    })?;
    Ok(opened.data)
}

/// `expr` with its parameters as an [`Open`] each.
pub(crate) fn open(expr: Expr) -> Result<Expr> {
    let open = |e| match e {
        Expr::Placeholder(Placeholder { id, field: Some(field) }) => {
            let function = Arc::new(ScalarUDF::from(Open::new(id, field.data_type().clone())));
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![]))))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform_up(open)?.data)
}

/// `expr` with `values` in place of its parameters.
pub(crate) fn filled(expr: Expr, values: &[ScalarValue]) -> Result<Expr> {
    let fill = |e| match e {
        Expr::Placeholder(Placeholder { id, .. }) => {
            Ok(Transformed::yes(Expr::Literal(values[index(&id, values.len())?].clone(), None)))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform_up(fill)?.data)
}

/// `expr` with `values` in place of what is open in it.
pub(crate) fn fill(expr: Arc<dyn PhysicalExpr>, values: &[ScalarValue]) -> Result<Arc<dyn PhysicalExpr>> {
    let fill = |e: Arc<dyn PhysicalExpr>| match opening(&e) {
        Some(open) => Ok(Transformed::yes(lit(values[index(&open.name, values.len())?].clone()))),
        None => Ok(Transformed::no(e)),
    };
    Ok(expr.transform_up(fill)?.data)
}

fn opening(expr: &Arc<dyn PhysicalExpr>) -> Option<&Open> {
    expr.downcast_ref::<ScalarFunctionExpr>()?.fun().inner().downcast_ref()
}

/// Where the value of the parameter `$n` stands among `count` values.
fn index(name: &str, count: usize) -> Result<usize> {
    let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
    number
        .and_then(|n| n.checked_sub(1))
        .filter(|&i| i < count)
        .ok_or_else(|| invalid(format!("the parameter {name} has no value: {count} were given")))
}

/// A parameter in a physical plan. Volatile, so that nothing evaluates it before it has a value.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Open {
    name: String,
    data_type: DataType,
    signature: Signature,
}

impl Open {
    fn new(name: String, data_type: DataType) -> Self {
        Self { name, data_type, signature: Signature::nullary(Volatility::Volatile) }
    }
}

impl ScalarUDFImpl for Open {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(invalid(format!("the parameter {} has no value", self.name)))
    }
}
