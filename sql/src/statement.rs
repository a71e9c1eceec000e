//! From text to a plan.

use std::borrow::Cow;

use datafusion::{
    common::{Result, TableReference, plan_err},
    logical_expr::LogicalPlan,
    prelude::SessionContext,
    sql::{
        parser::Statement,
        sqlparser::{
            ast::Statement as SqlStatement,
            dialect::GenericDialect,
            tokenizer::{Location, Token, Tokenizer},
        },
    },
};

use crate::table_options::{put_options, take_options};

/// Parses and plans one statement; nothing takes effect before [`execute`](crate::execute).
///
/// Parameters are `$1`, `$2`, .. or, as JDBC and DB-API write them, `?` in the order of the text.
///
/// # Errors
/// The text is no single statement, or names what is not there.
pub async fn plan(ctx: &SessionContext, sql: &str) -> Result<LogicalPlan> {
    Ok(parse(ctx, sql).await?.plan)
}

/// A plan, and what its text says of where it reads.
pub(crate) struct Parsed {
    pub plan: LogicalPlan,
    /// The relations that a query names; `None`: the statement is none.
    pub relations: Option<Vec<TableReference>>,
}

/// [`plan`], with the relations it was made from.
pub(crate) async fn parse(ctx: &SessionContext, sql: &str) -> Result<Parsed> {
    let state = ctx.state();
    let dialect = state.config_options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(&numbered(sql)?, &dialect)?;
    let options = take_options(&mut statement)?;
    let is_query = matches!(&statement, Statement::Statement(s) if matches!(**s, SqlStatement::Query(_)));
    let relations = is_query.then(|| state.resolve_table_references(&statement)).transpose()?;
    let plan = put_options(state.statement_to_plan(statement).await?, options);
    Ok(Parsed { plan, relations })
}

/// `sql` with its `?` numbered, in the order of the text.
fn numbered(sql: &str) -> Result<Cow<'_, str>> {
    if !sql.contains('?') {
        return Ok(sql.into());
    }
    // Text that is no SQL is left to the parser, which says so better.
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location() else {
        return Ok(sql.into());
    };
    let placeholders = || {
        tokens.iter().filter_map(|t| if let Token::Placeholder(p) = &t.token { Some((p, t.span.start)) } else { None })
    };
    let marks: Vec<usize> = placeholders().filter(|(p, _)| *p == "?").map(|(_, at)| offset(sql, at)).collect();
    if marks.len() < placeholders().count() && !marks.is_empty() {
        return plan_err!("parameters are written ? or $1, not both in one statement");
    }
    let mut text = String::with_capacity(sql.len() + 2 * marks.len());
    let mut done = 0;
    for (i, at) in marks.into_iter().enumerate() {
        text.push_str(&sql[done..at]);
        text.push_str(&format!("${}", i + 1));
        done = at + 1;
    }
    text.push_str(&sql[done..]);
    Ok(text.into())
}

/// The byte at a line and column, both counted from 1 and in characters.
fn offset(text: &str, at: Location) -> usize {
    let line: usize = text.split_inclusive('\n').take(at.line as usize - 1).map(str::len).sum();
    line + text[line..].chars().take(at.column as usize - 1).map(char::len_utf8).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_are_numbered_in_the_order_of_the_text() {
        let text = |sql| numbered(sql).expect("a statement").into_owned();
        assert_eq!(text("SELECT ? FROM t WHERE a = ?"), "SELECT $1 FROM t WHERE a = $2");
        assert_eq!(
            text("SELECT 'é?''?', \"?\" -- ?\n, ? /* ? */ FROM ü\n WHERE 'ß' = ?"),
            "SELECT 'é?''?', \"?\" -- ?\n, $1 /* ? */ FROM ü\n WHERE 'ß' = $2"
        );
        assert_eq!(text("SELECT $2, '?'"), "SELECT $2, '?'");
        assert!(numbered("SELECT $1, ?").is_err());
    }
}
