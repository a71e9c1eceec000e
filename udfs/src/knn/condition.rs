//! The filter of a search, with or without its parameters.

use std::{fmt, sync::Arc};

use arrow_schema::SchemaRef;
use datafusion::{
    catalog::Session,
    common::{Result, ScalarValue, tree_node::TreeNode},
    logical_expr::Expr,
};
use drift_engine::RowPredicate;

use crate::{
    error::invalid,
    parameters::{filled, is_parameter},
    predicate::row_predicate,
};

/// Which rows of a collection compete.
#[derive(Clone)]
pub(super) enum Condition {
    /// Those that match.
    Ready(Arc<dyn RowPredicate>),
    /// It holds parameters: what they are decides how rows are found, by a key say.
    Open { filter: Expr, stored: SchemaRef, key: Option<usize> },
}

impl Condition {
    /// `filter` over rows of `stored`, whose key is at `key`.
    pub fn new(session: &dyn Session, stored: &SchemaRef, key: Option<usize>, filter: &Expr) -> Result<Self> {
        if filter.exists(|e| Ok(is_parameter(e)))? {
            return Ok(Self::Open { filter: filter.clone(), stored: stored.clone(), key });
        }
        Ok(Self::Ready(row_predicate(session, stored, key, filter)?))
    }

    /// The same with values in place of its parameters.
    pub fn bound(&self, session: &dyn Session, values: &[ScalarValue]) -> Result<Self> {
        match self {
            Self::Ready(_) => Ok(self.clone()),
            Self::Open { filter, stored, key } => {
                let filter = filled(filter.clone(), values)?;
                Ok(Self::Ready(row_predicate(session, stored, *key, &filter)?))
            }
        }
    }

    /// As the engine reads it.
    pub fn into_predicate(self) -> Result<Arc<dyn RowPredicate>> {
        match self {
            Self::Ready(predicate) => Ok(predicate),
            Self::Open { filter, .. } => Err(invalid(format!("the filter {filter} has parameters without values"))),
        }
    }
}

/// Shown in plans.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(predicate) => predicate.fmt(f),
            Self::Open { filter, .. } => write!(f, "{filter}"),
        }
    }
}
