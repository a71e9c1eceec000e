//! Filters of SQL as the engine reads them.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, cast::AsArray};
use arrow_schema::SchemaRef;
use datafusion::{
    arrow::buffer::BooleanBuffer,
    catalog::Session,
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Expr, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
};
use drift_engine::{Error, RowPredicate};
use drift_types::VectorId;
use xxhash_rust::xxh3::Xxh3;

use crate::keys::named_keys;

/// Whether `filter` can be evaluated from one stored row alone, always with the same outcome:
/// it names a column, and holds nothing volatile, no subquery and no column of an outer query.
pub fn is_row_predicate(filter: &Expr) -> bool {
    let whole = |e: &Expr| {
        matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::Unnest(_)
        )
    };
    filter.any_column_refs() && !filter.is_volatile() && !filter.exists(|e| Ok(whole(e))).unwrap_or(true)
}

/// `filter` over rows of `schema`, prepared once and evaluated batch by batch. If it names the only
/// keys it can match, by conditions on the column at `key`, the engine looks only these up.
///
/// Qualifiers of columns are ignored: the rows come from one collection.
pub fn row_predicate(
    session: &dyn Session,
    schema: &SchemaRef,
    key: Option<usize>,
    filter: &Expr,
) -> Result<Arc<dyn RowPredicate>> {
    let filter = unqualified(filter.clone())?;
    let columns = columns(schema, &filter)?;
    let read = Arc::new(schema.project(&columns)?);
    let df_schema = DFSchema::try_from(read.as_ref().clone())?;
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder()
            .with_schema(Arc::new(df_schema.clone()))
            .with_config_options(session.config().options().clone())
            .with_query_execution_start_time(session.execution_props().query_execution_start_time)
            .build(),
    );
    // Simplifying is more than speed: functions such as now() exist only for the simplifier.
    let simple = simplifier.simplify(simplifier.coerce(filter, &df_schema)?)?;
    let keys = key.and_then(|key| named_keys(&simple, schema.field(key)));
    let expr = session.create_physical_expr(simple, &df_schema)?;
    let fingerprint = fingerprint(&expr, &columns);
    Ok(Arc::new(ExprPredicate { expr, columns, keys, fingerprint }))
}

/// Of the expression in every form it has, for a hash may leave out what equality looks at, and a text
/// what it takes for understood.
fn fingerprint(expr: &Arc<dyn PhysicalExpr>, columns: &[usize]) -> u128 {
    let text = format!("{columns:?} {expr} {expr:?}");
    let half = |seed: u64| {
        let mut hasher = Xxh3::with_seed(seed);
        (&text, expr).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

fn unqualified(filter: Expr) -> Result<Expr> {
    let strip = |e| match e {
        Expr::Column(mut column) => {
            column.relation = None;
            Ok(Transformed::yes(Expr::Column(column)))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(filter.transform(strip)?.data)
}

/// Indices of the columns `filter` reads, ascending. A filter without any reads the first one, by
/// which rows are counted.
fn columns(schema: &SchemaRef, filter: &Expr) -> Result<Vec<usize>> {
    let mut columns =
        filter.column_refs().into_iter().map(|c| Ok(schema.index_of(&c.name)?)).collect::<Result<Vec<_>>>()?;
    columns.sort_unstable();
    if columns.is_empty() {
        columns.push(0);
    }
    Ok(columns)
}

struct ExprPredicate {
    expr: Arc<dyn PhysicalExpr>,
    columns: Vec<usize>,
    keys: Option<Vec<VectorId>>,
    fingerprint: u128,
}

/// Shown in plans.
impl fmt::Debug for ExprPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)
    }
}

impl RowPredicate for ExprPredicate {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn keys(&self) -> Option<&[VectorId]> {
        self.keys.as_deref()
    }

    fn fingerprint(&self) -> Option<u128> {
        Some(self.fingerprint)
    }

    fn eval(&self, batch: &RecordBatch) -> drift_engine::Result<BooleanBuffer> {
        let fail = |e| Error::invalid(format!("the filter {} failed: {e}", self.expr));
        let value = self.expr.evaluate(batch).map_err(fail)?;
        let value = value.into_array(batch.num_rows()).map_err(fail)?;
        let value = value.as_boolean_opt().ok_or_else(|| {
            Error::invalid(format!("the filter {} is {}, not a condition", self.expr, value.data_type()))
        })?;
        // NULL is not a match.
        Ok(match value.nulls() {
            Some(valid) => value.values() & valid.inner(),
            None => value.values().clone(),
        })
    }
}
