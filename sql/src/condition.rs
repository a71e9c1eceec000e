//! A condition in SQL for those who search without a statement.

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, Result, plan_err},
    prelude::SessionContext,
};
use drift_engine::{CollectionSchema, RowPredicate};
use drift_udfs::{is_row_predicate, row_predicate};

/// `text`, such as `lang = 'en' AND year > 2020`, as the engine evaluates it over rows of `schema`.
///
/// What a function such as `now()` says is settled here, not when rows are looked at.
///
/// # Errors
/// The text is no SQL expression, names a column that is not there, or is not one condition on stored
/// columns.
pub fn condition(ctx: &SessionContext, schema: &CollectionSchema, text: &str) -> Result<Arc<dyn RowPredicate>> {
    let rows = DFSchema::try_from(schema.arrow.as_ref().clone())?;
    let state = ctx.state();
    let expr = state.create_logical_expr(text, &rows)?;
    if !is_row_predicate(&expr) {
        return plan_err!(
            "'{text}' is no condition on stored columns: compare at least one, without subqueries, aggregates and volatile functions"
        );
    }
    row_predicate(&state, &schema.arrow, schema.key, &expr)
}
