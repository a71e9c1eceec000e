//! `ORDER BY distance(column, constant) LIMIT k` is a search.

use std::fmt;

use datafusion::{
    catalog::default_table_source::source_as_provider,
    common::{Result, tree_node::Transformed},
    logical_expr::{Cast, Expr, LogicalPlan, TableScan, TryCast, lit, utils::conjunction},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};
use drift_engine::{CollectionSchema, K_MAX};
use drift_types::Metric;

use super::{
    Arguments, KnnNode,
    columns::{below, over},
};
use crate::{CollectionOf, predicate::is_row_predicate};

/// Puts a [`KnnNode`] in the place of a scan whose rows are ordered by their distance to a constant
/// and cut off after `k`.
///
/// The sort stays above and orders the `k` rows by the very expression of the query. Filters must
/// be part of the scan; anything but projections and aliases between the two forbids the change. Where
/// `k`, an OFFSET included, is more than a search takes, all rows are sorted.
pub struct OrderByDistance {
    collection_of: CollectionOf,
}

impl OrderByDistance {
    /// A rule for the tables that `collection_of` knows.
    pub fn new(collection_of: CollectionOf) -> Self {
        Self { collection_of }
    }

    fn searched(&self, plan: &LogicalPlan, key: Expr, search: &Search) -> Result<Option<LogicalPlan>> {
        match plan {
            LogicalPlan::TableScan(scan) => self.search(scan, &key, search),
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
                let Some(key) = below(plan, key)? else {
                    return Ok(None);
                };
                self.searched(plan.inputs()[0], key, search)?.map(|input| over(plan, input)).transpose()
            }
            _ => Ok(None),
        }
    }

    fn search(&self, scan: &TableScan, key: &Expr, search: &Search) -> Result<Option<LogicalPlan>> {
        let Ok(provider) = source_as_provider(&scan.source) else {
            return Ok(None);
        };
        let Some(collection) = (self.collection_of)(provider.as_ref()) else {
            return Ok(None);
        };
        let schema = collection.schema();
        let Some(query) = query(key, search.ascending, &schema) else {
            return Ok(None);
        };
        if scan.fetch.is_some() || !scan.filters.iter().all(is_row_predicate) || provider.schema() != schema.arrow {
            return Ok(None);
        }
        let arguments = Arguments { query, k: lit(search.k as i64), knobs: Default::default() };
        let all = || (0..schema.arrow.fields().len()).collect();
        let projection: Vec<usize> = scan.projection.clone().unwrap_or_else(all);
        if !projection.is_sorted() {
            return Ok(None);
        }
        let mut node =
            KnnNode::new(collection.clone(), scan.table_name.clone(), arguments)?.with_projection(projection)?;
        if let Some(filter) = conjunction(scan.filters.clone()) {
            node = node.with_filter(filter);
        }
        Ok(Some(node.into_plan()))
    }
}

/// What the sort asks for.
struct Search {
    k: usize,
    ascending: bool,
}

/// The constant that `key` compares the vectors of a collection with, if smaller keys (larger ones,
/// unless `ascending`) are nearer in the collection's own metric.
fn query(key: &Expr, ascending: bool, schema: &CollectionSchema) -> Option<Expr> {
    let Expr::ScalarFunction(call) = uncast(key) else {
        return None;
    };
    let nearer = match (call.name(), schema.metric) {
        ("l2_distance" | "l2_sq_distance" | "array_distance", Metric::L2) => ascending,
        ("cosine_distance", Metric::Cosine) => ascending,
        ("inner_product", Metric::InnerProduct) => !ascending,
        _ => false,
    };
    let [a, b] = &call.args[..] else {
        return None;
    };
    let is_vector = |e: &Expr| matches!(uncast(e), Expr::Column(c) if c.name == schema.vector_name());
    let is_constant = |e: &Expr| !e.any_column_refs() && !e.contains_outer() && !e.is_volatile() && !is_null(e);
    match (is_vector(a), is_vector(b)) {
        _ if !nearer => None,
        (true, false) if is_constant(b) => Some(b.clone()),
        (false, true) if is_constant(a) => Some(a.clone()),
        _ => None,
    }
}

fn uncast(e: &Expr) -> &Expr {
    match e {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => uncast(expr),
        Expr::Alias(alias) => uncast(&alias.expr),
        other => other,
    }
}

fn is_null(e: &Expr) -> bool {
    matches!(e, Expr::Literal(value, _) if value.is_null())
}

impl fmt::Debug for OrderByDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrderByDistance")
    }
}

impl OptimizerRule for OrderByDistance {
    fn name(&self) -> &str {
        "order_by_distance"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Sort(sort) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let (Some(k @ 1..=K_MAX), Some(first)) = (sort.fetch, sort.expr.first()) else {
            return Ok(Transformed::no(plan));
        };
        let search = Search { k, ascending: first.asc };
        match self.searched(&sort.input, first.expr.clone(), &search)? {
            Some(input) => Ok(Transformed::yes(over(&plan, input)?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}
