//! `CREATE TABLE .. WITH (metric = 'cosine', key = 'id', vector = 'embedding', compression = 'auto')`.
//!
//! DataFusion's planner knows no such clause: it is taken out of the statement before planning and
//! put into the plan after.

use std::{collections::BTreeMap, fmt, sync::Arc};

use datafusion::{
    common::{DFSchemaRef, Result, plan_err},
    logical_expr::{DdlStatement, Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore},
    sql::{
        parser::Statement,
        sqlparser::ast::{
            CreateTable, CreateTableOptions, Expr as SqlExpr, SqlOption, Statement as SqlStatement, Value,
        },
    },
};

/// Options by name.
pub(crate) type Options = BTreeMap<String, String>;

/// Takes the options out of a CREATE TABLE statement.
pub(crate) fn take_options(statement: &mut Statement) -> Result<Options> {
    let Statement::Statement(statement) = statement else {
        return Ok(Options::new());
    };
    let SqlStatement::CreateTable(CreateTable { table_options, .. }) = statement.as_mut() else {
        return Ok(Options::new());
    };
    match std::mem::take(table_options) {
        CreateTableOptions::None => Ok(Options::new()),
        CreateTableOptions::With(options) => options.iter().map(option).collect(),
        other => plan_err!("'{other}': write the options of a table as WITH (name = 'value')"),
    }
}

fn option(option: &SqlOption) -> Result<(String, String)> {
    if let SqlOption::KeyValue { key, value } = option {
        let value = match value {
            SqlExpr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => Some(text.clone()),
                _ => None,
            },
            SqlExpr::Identifier(word) => Some(word.value.clone()),
            _ => None,
        };
        if let Some(value) = value {
            return Ok((key.value.to_lowercase(), value));
        }
    }
    plan_err!("'{option}': write the options of a table as WITH (name = 'value')")
}

/// Puts `options` on the input of a CREATE TABLE plan.
pub(crate) fn put_options(plan: LogicalPlan, options: Options) -> LogicalPlan {
    match plan {
        LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(mut create)) if !options.is_empty() => {
            let node = Arc::new(WithOptions { options, input: create.input.as_ref().clone() });
            create.input = Arc::new(LogicalPlan::Extension(Extension { node }));
            LogicalPlan::Ddl(DdlStatement::CreateMemoryTable(create))
        }
        other => other,
    }
}

/// The options on the input of a CREATE TABLE plan, and the input itself.
pub(crate) fn split_options(input: &LogicalPlan) -> (Options, &LogicalPlan) {
    if let LogicalPlan::Extension(extension) = input
        && let Some(node) = extension.node.as_any().downcast_ref::<WithOptions>()
    {
        return (node.options.clone(), &node.input);
    }
    (Options::new(), input)
}

/// Carries the options of a table; it never runs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd)]
struct WithOptions {
    options: Options,
    input: LogicalPlan,
}

impl fmt::Debug for WithOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_for_explain(f)
    }
}

impl UserDefinedLogicalNodeCore for WithOptions {
    fn name(&self) -> &str {
        "WithOptions"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let options: Vec<_> = self.options.iter().map(|(name, value)| format!("{name} = '{value}'")).collect();
        write!(f, "WithOptions: {}", options.join(", "))
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs.into_iter().next().unwrap_or_else(|| self.input.clone());
        Ok(Self { options: self.options.clone(), input })
    }
}
