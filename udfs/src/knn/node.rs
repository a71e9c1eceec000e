//! A nearest-neighbour search in a logical plan.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use datafusion::{
    common::{DFSchema, DFSchemaRef, Result, ScalarValue, TableReference},
    logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore},
};
use drift_engine::Collection;

use super::Arguments;

/// The distance of a row to the query: the last column of a search.
pub const DISTANCE: &str = "_distance";

/// A search of a collection: a leaf, whose filter decides which rows compete for the `k` places.
///
/// The filter is not among [`UserDefinedLogicalNodeCore::expressions`]: its columns are those of the
/// stored rows, which are no input that DataFusion's rules could resolve them against.
#[derive(Clone)]
pub struct KnnNode {
    collection: Collection,
    /// The stored columns when the statement was planned.
    stored: SchemaRef,
    qualifier: TableReference,
    arguments: Arguments<Expr>,
    filter: Option<Expr>,
    /// Ascending indices of the columns returned, into the stored ones and then `_distance`.
    projection: Vec<usize>,
    schema: DFSchemaRef,
}

impl KnnNode {
    /// A search of all rows that returns all columns, named under `qualifier`.
    pub fn new(collection: Collection, qualifier: TableReference, arguments: Arguments<Expr>) -> Result<Self> {
        let stored = collection.arrow_schema();
        let projection = (0..=stored.fields().len()).collect();
        let schema = Arc::new(DFSchema::empty());
        Self { collection, stored, qualifier, arguments, filter: None, projection, schema }.settle()
    }

    /// The same search with only the columns at `projection`: ascending indices into the stored
    /// columns, and after them `_distance`.
    pub fn with_projection(mut self, projection: Vec<usize>) -> Result<Self> {
        self.projection = projection;
        self.settle()
    }

    /// The same search among the rows that match `filter` as well.
    pub fn with_filter(mut self, filter: Expr) -> Self {
        self.filter = Some(match self.filter {
            Some(present) => present.and(filter),
            None => filter,
        });
        self
    }

    fn settle(mut self) -> Result<Self> {
        let fields = self.projection.iter().map(|&i| (Some(self.qualifier.clone()), self.field(i))).collect();
        self.schema = Arc::new(DFSchema::new_with_metadata(fields, self.stored.metadata().clone())?);
        Ok(self)
    }

    fn field(&self, index: usize) -> FieldRef {
        match self.stored.fields().get(index) {
            Some(field) => field.clone(),
            None => Arc::new(Field::new(DISTANCE, DataType::Float32, false)),
        }
    }

    /// The collection searched.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// The stored columns.
    pub fn stored(&self) -> &SchemaRef {
        &self.stored
    }

    /// The arguments of the call.
    pub fn arguments(&self) -> &Arguments<Expr> {
        &self.arguments
    }

    /// Which rows compete; `None`: all.
    pub fn filter(&self) -> Option<&Expr> {
        self.filter.as_ref()
    }

    /// The columns returned, as [`KnnNode::with_projection`] takes them.
    pub fn projection(&self) -> &[usize] {
        &self.projection
    }

    /// The node as a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }

    /// The node, if `plan` is one.
    pub fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// What makes two searches the same.
    fn identity(&self) -> impl Eq + Hash + '_ {
        (self.collection.name(), &self.qualifier, &self.arguments, &self.filter, &self.projection, &self.schema)
    }
}

impl PartialEq for KnnNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for KnnNode {}

impl Hash for KnnNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for KnnNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl fmt::Debug for KnnNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_for_explain(f)
    }
}

impl UserDefinedLogicalNodeCore for KnnNode {
    fn name(&self) -> &str {
        "Knn"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments.iter().cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Knn: {} query={}, k={}", self.collection.name(), Query(&self.arguments.query), self.arguments.k)?;
        for (knob, value) in &self.arguments.knobs {
            write!(f, ", {}={value}", knob.name())?;
        }
        if let Some(filter) = &self.filter {
            write!(f, ", filter={filter}")?;
        }
        let columns: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let arguments = self.arguments.try_map(|old| Ok(exprs.next().unwrap_or_else(|| old.clone())))?;
        Ok(Self { arguments, ..self.clone() })
    }
}

/// A query vector in a plan: hundreds of numbers tell nobody anything.
struct Query<'a>(&'a Expr);

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Literal(ScalarValue::List(a), _) if !a.value(0).is_empty() => {
                write!(f, "[{} values]", a.value(0).len())
            }
            Expr::Literal(ScalarValue::FixedSizeList(a), _) => write!(f, "[{} values]", a.value(0).len()),
            Expr::ScalarFunction(call) => write!(f, "{}(..)", call.name()),
            Expr::ScalarSubquery(_) => f.write_str("(subquery)"),
            Expr::Alias(alias) => Query(&alias.expr).fmt(f),
            other => other.fmt(f),
        }
    }
}
