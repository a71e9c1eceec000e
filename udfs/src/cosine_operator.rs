use arrow_schema::DataType;
use datafusion::{
    common::{DFSchema, Result},
    functions_nested::cosine_distance::cosine_distance_udf,
    logical_expr::{
        Expr, ExprSchemable,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};

/// `a <=> b` of vectors is their cosine distance, as with pgvector; of anything else it says whether they are the
/// same. Without this it would do so for vectors, and `ORDER BY embedding <=> [..]` would sort by true and false.
#[derive(Debug)]
pub(crate) struct CosineOperator;

impl ExprPlanner for CosineOperator {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op == BinaryOperator::Spaceship && (is_vector(&expr.left, schema) || is_vector(&expr.right, schema)) {
            return Ok(PlannerResult::Planned(cosine_distance_udf().call(vec![expr.left, expr.right])));
        }
        Ok(PlannerResult::Original(expr))
    }
}

fn is_vector(expr: &Expr, schema: &DFSchema) -> bool {
    let is_list = |t| matches!(t, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    expr.get_type(schema).is_ok_and(is_list)
}
