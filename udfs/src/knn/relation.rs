//! `knn(..)` in a FROM clause.
//!
//! A table function cannot do it: DataFusion's SQL planner refuses named arguments there, and
//! hands over a name before knowing whether it is a column.

use std::{collections::BTreeMap, fmt};

use arrow_schema::{DataType, Field};
use datafusion::{
    common::{
        DFSchema, Result, TableReference,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr,
        expr::Placeholder,
        planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning},
    },
    sql::sqlparser::ast::{Expr as SqlExpr, FunctionArg, FunctionArgExpr, ObjectName, TableFactor, Value},
};
use drift_engine::{Collection, Database};

use super::{Arguments, KnnNode, Knob, arguments::query_type};
use crate::error::{collection, invalid};

const USAGE: &str = "knn('collection', query, k [, recall => 0.95] [, nprobe => 20] [, exact => true] [, ef => 100] [, deadline_ms => 50])";

/// The arguments that need no name, in their order.
const POSITIONS: [&str; 3] = ["collection", "query", "k"];

/// Plans `knn(..)`.
pub struct KnnRelationPlanner {
    database: Database,
}

impl KnnRelationPlanner {
    /// A planner of searches in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

impl fmt::Debug for KnnRelationPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnnRelationPlanner({})", self.database.uri())
    }
}

impl RelationPlanner for KnnRelationPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (args, alias) = match relation {
            TableFactor::Table { name, args: Some(args), alias, .. } if is_knn(&name) => (args.args, alias),
            TableFactor::Function { name, args, alias, .. } if is_knn(&name) => (args, alias),
            other => return Ok(RelationPlanning::Original(Box::new(other))),
        };
        let (collection, arguments) = Call::read(args)?.plan(&self.database, context)?;
        let node = KnnNode::new(collection, TableReference::bare("knn"), arguments)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(node.into_plan(), alias))))
    }
}

fn is_knn(name: &ObjectName) -> bool {
    matches!(&name.0[..], [part] if part.as_ident().is_some_and(|i| i.value.eq_ignore_ascii_case("knn")))
}

/// The call as written: what each argument is, positions and names resolved.
struct Call {
    collection: SqlExpr,
    arguments: Arguments<SqlExpr>,
}

impl Call {
    fn read(args: Vec<FunctionArg>) -> Result<Self> {
        let mut positions = POSITIONS.into_iter();
        let mut given: BTreeMap<String, SqlExpr> = BTreeMap::new();
        for arg in args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(value) => match positions.next() {
                    Some(position) => (position.to_string(), value),
                    None => return Err(invalid(format!("knn has too many arguments: {USAGE}"))),
                },
                FunctionArg::Named { name, arg, .. } => (name.value.to_lowercase(), arg),
                FunctionArg::ExprNamed { name, arg, .. } => (name.to_string().to_lowercase(), arg),
            };
            let FunctionArgExpr::Expr(value) = value else {
                return Err(invalid(format!("knn cannot take {value}: {USAGE}")));
            };
            if given.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("the argument '{name}' of knn is given twice")));
            }
        }
        let is_known = |name: &str| POSITIONS.contains(&name) || Knob::ALL.iter().any(|knob| knob.name() == name);
        if let Some(unknown) = given.keys().find(|name| !is_known(name)) {
            return Err(invalid(format!("knn has no argument '{unknown}': {USAGE}")));
        }
        let mut take = |name: &str| {
            given.remove(name).ok_or_else(|| invalid(format!("the argument '{name}' of knn is missing: {USAGE}")))
        };
        let (collection, query, k) = (take("collection")?, take("query")?, take("k")?);
        let knobs = Knob::ALL.into_iter().filter_map(|knob| Some((knob, given.remove(knob.name())?))).collect();
        Ok(Self { collection, arguments: Arguments { query, k, knobs } })
    }

    fn plan(
        self,
        database: &Database,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<(Collection, Arguments<Expr>)> {
        let collection = collection(database, &collection_name(self.collection, context)?)?;
        let mut plan = |e: SqlExpr, data_type| planned(e, data_type, context);
        let Arguments { query, k, knobs } = self.arguments;
        let arguments = Arguments {
            query: plan(query, query_type(&collection.schema()))?,
            k: plan(k, DataType::Int64)?,
            knobs: knobs.into_iter().map(|(knob, e)| Ok((knob, plan(e, knob.data_type())?))).collect::<Result<_>>()?,
        };
        Ok((collection, arguments))
    }
}

/// A name as a string (`'docs'`) or as one writes a table (`docs`).
fn collection_name(name: SqlExpr, context: &dyn RelationPlannerContext) -> Result<String> {
    match name {
        SqlExpr::Value(value) => match value.value {
            Value::SingleQuotedString(name) => Ok(name),
            other => Err(invalid(format!("knn searches a collection, not {other}: {USAGE}"))),
        },
        SqlExpr::Identifier(name) => Ok(context.normalize_ident(name)),
        SqlExpr::CompoundIdentifier(mut names) if !names.is_empty() => {
            Ok(context.normalize_ident(names.swap_remove(names.len() - 1)))
        }
        other => Err(invalid(format!("knn searches a collection, not {other}: {USAGE}"))),
    }
}

/// An argument as a plan expression; a parameter in it is of `data_type`.
fn planned(expr: SqlExpr, data_type: DataType, context: &mut dyn RelationPlannerContext) -> Result<Expr> {
    let text = expr.to_string();
    let expr = context.sql_to_expr(expr, &DFSchema::empty())?;
    if expr.any_column_refs() || expr.contains_outer() {
        return Err(invalid(format!(
            "knn searches for one vector, and '{text}' differs from row to row: give an array, a parameter or a scalar subquery"
        )));
    }
    let typed = |e| match e {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Field::new(&id, data_type.clone(), true);
            Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field: Some(field.into()) })))
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.transform(typed)?.data)
}
