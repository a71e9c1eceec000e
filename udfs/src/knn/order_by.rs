//! `ORDER BY distance(column, constant) LIMIT k` is a search.

use std::fmt;

use datafusion::{
    arrow::datatypes::DataType,
    catalog::default_table_source::source_as_provider,
    common::{Result, tree_node::Transformed},
    logical_expr::{Cast, Expr, LogicalPlan, Sort, TableScan, TryCast, lit, utils::conjunction},
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
/// be part of the scan; anything but projections and aliases between the two forbids the change, and so does a
/// second sort expression, unless it is the ascending key, by which a search orders rows of equal distance too.
/// Where `k`, an OFFSET included, is more than a search takes, all rows are sorted.
pub struct OrderByDistance {
    collection_of: CollectionOf,
}

impl OrderByDistance {
    /// A rule for the tables that `collection_of` knows.
    pub fn new(collection_of: CollectionOf) -> Self {
        Self { collection_of }
    }

    fn searched(&self, plan: &LogicalPlan, search: Search) -> Result<Option<LogicalPlan>> {
        match plan {
            LogicalPlan::TableScan(scan) => self.search(scan, &search),
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {
                let Some(search) = search.below(plan)? else {
                    return Ok(None);
                };
                self.searched(plan.inputs()[0], search)?.map(|input| over(plan, input)).transpose()
            }
            _ => Ok(None),
        }
    }

    fn search(&self, scan: &TableScan, search: &Search) -> Result<Option<LogicalPlan>> {
        let Ok(provider) = source_as_provider(&scan.source) else {
            return Ok(None);
        };
        let Some(collection) = (self.collection_of)(provider.as_ref()) else {
            return Ok(None);
        };
        let schema = collection.schema();
        let Some(query) = query(&search.distance, search.ascending, &schema) else {
            return Ok(None);
        };
        let is_key = |e: &Expr| matches!(e, Expr::Column(c) if Some(c.name.as_str()) == schema.key_name());
        if search.then.as_ref().is_some_and(|then| !is_key(then)) {
            return Ok(None);
        }
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
    distance: Expr,
    ascending: bool,
    /// What orders rows of equal distance, ascending.
    then: Option<Expr>,
}

impl Search {
    /// Of a sort whose first expression may be a distance.
    fn of(sort: &Sort) -> Option<Self> {
        let k = sort.fetch.filter(|k| (1..=K_MAX).contains(k))?;
        let (first, then) = match &sort.expr[..] {
            [first] => (first, None),
            // What follows a key orders nothing.
            [first, second, ..] if second.asc => (first, Some(second.expr.clone())),
            _ => return None,
        };
        Some(Self { k, distance: first.expr.clone(), ascending: first.asc, then })
    }

    /// The same in terms of what is below `plan`.
    fn below(self, plan: &LogicalPlan) -> Result<Option<Self>> {
        let Some(distance) = below(plan, self.distance)? else { return Ok(None) };
        let then = match self.then {
            Some(then) => match below(plan, then)? {
                Some(then) => Some(then),
                None => return Ok(None),
            },
            None => None,
        };
        Ok(Some(Self { distance, then, ..self }))
    }
}

/// The constant that `key` compares the vectors of a collection with, if smaller keys (larger ones,
/// unless `ascending`) are nearer in the collection's own metric.
fn query(key: &Expr, ascending: bool, schema: &CollectionSchema) -> Option<Expr> {
    let Expr::ScalarFunction(call) = uncast(key, &is_real) else {
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
    let is_vector =
        |e: &Expr| matches!(uncast(e, &is_list_of_reals), Expr::Column(c) if c.name == schema.vector_name());
    let is_constant = |e: &Expr| !e.any_column_refs() && !e.contains_outer() && !e.is_volatile() && !is_null(e);
    match (is_vector(a), is_vector(b)) {
        _ if !nearer => None,
        (true, false) if is_constant(b) => Some(b.clone()),
        (false, true) if is_constant(a) => Some(a.clone()),
        _ => None,
    }
}

/// What is below aliases and casts to types that keep all there is to a value.
fn uncast<'e>(e: &'e Expr, keeps: &impl Fn(&DataType) -> bool) -> &'e Expr {
    match e {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) if keeps(field.data_type()) => {
            uncast(expr, keeps)
        }
        Expr::Alias(alias) => uncast(&alias.expr, keeps),
        other => other,
    }
}

fn is_real(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

fn is_list_of_reals(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            is_real(item.data_type())
        }
        _ => false,
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
        let Some(search) = Search::of(sort) else {
            return Ok(Transformed::no(plan));
        };
        match self.searched(&sort.input, search)? {
            Some(input) => Ok(Transformed::yes(over(&plan, input)?)),
            None => Ok(Transformed::no(plan)),
        }
    }
}
