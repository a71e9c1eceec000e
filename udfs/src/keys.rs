//! Which keys a filter names.

use arrow_schema::Field;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, expr::InList};
use drift_engine::canonical_keys;
use drift_types::VectorId;

/// The only keys that rows which match `filter` can have; `None` if it does not name them all.
///
/// It names them by `key = 7` and `key IN (7, 8)`, and with AND and OR of such.
pub(crate) fn named_keys(filter: &Expr, key: &Field) -> Option<Vec<VectorId>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => match (named_keys(left, key), named_keys(right, key)) {
                (Some(a), Some(b)) => Some(if a.len() < b.len() { a } else { b }),
                (a, b) => a.or(b),
            },
            Operator::Or => Some([named_keys(left, key)?, named_keys(right, key)?].concat()),
            Operator::Eq if is_column(left, key) => Some(vec![canonical_key(right, key)?]),
            Operator::Eq if is_column(right, key) => Some(vec![canonical_key(left, key)?]),
            _ => None,
        },
        Expr::InList(InList { expr, list, negated: false }) if is_column(expr, key) => {
            list.iter().map(|value| canonical_key(value, key)).collect()
        }
        _ => None,
    }
}

fn is_column(expr: &Expr, key: &Field) -> bool {
    matches!(expr, Expr::Column(column) if column.name == *key.name())
}

/// The key that a literal of the key column's own type stands for.
fn canonical_key(value: &Expr, key: &Field) -> Option<VectorId> {
    let Expr::Literal(value, _) = value else { return None };
    if value.is_null() || value.data_type() != *key.data_type() {
        return None;
    }
    canonical_keys(&value.to_array().ok()?).ok()?.first().copied()
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use datafusion::prelude::{col, lit};

    use super::*;

    fn named(filter: Expr) -> Option<Vec<i64>> {
        let keys = named_keys(&filter, &Field::new("id", DataType::Int64, false))?;
        Some(keys.into_iter().map(VectorId::to_i64).collect())
    }

    #[test]
    fn equality_and_lists_name_keys() {
        assert_eq!(named(col("id").eq(lit(-7i64))), Some(vec![-7]));
        assert_eq!(named(lit(7i64).eq(col("id"))), Some(vec![7]));
        assert_eq!(named(col("id").in_list(vec![lit(1i64), lit(2i64)], false)), Some(vec![1, 2]));
        let (one, two) = (col("id").eq(lit(1i64)), col("id").eq(lit(2i64)));
        assert_eq!(named(one.clone().or(two.clone())), Some(vec![1, 2]));
        assert_eq!(named(one.clone().and(col("text").eq(lit("x")))), Some(vec![1]));
        assert_eq!(named(col("id").gt(lit(0i64)).and(one)), Some(vec![1]));
    }

    #[test]
    fn other_filters_name_none() {
        let one = col("id").eq(lit(1i64));
        for filter in [
            col("id").gt(lit(1i64)),
            col("id").not_eq(lit(1i64)),
            col("id").eq(lit(1i32)),
            col("id").eq(col("other")),
            col("other").eq(lit(1i64)),
            col("id").in_list(vec![lit(1i64), col("other")], false),
            col("id").in_list(vec![lit(1i64)], true),
            one.clone().or(col("text").eq(lit("x"))),
            Expr::Not(Box::new(one)),
        ] {
            assert_eq!(named(filter.clone()), None, "{filter}");
        }
    }
}
