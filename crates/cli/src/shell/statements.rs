//! Cutting text into statements.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Location, Token, Tokenizer},
};

use crate::error::{Error, Result};

/// The statements of `text`, which stand between semicolons that are in no quotes and no comment.
///
/// # Errors
/// Where quotes are not closed.
pub(crate) fn split(text: &str) -> Result<Vec<&str>> {
    let unfinished = |e| Error::invalid(format!("this is no SQL: {e}"));
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().map_err(unfinished)?;
    let mut positions = Positions::new(text);
    let mut statements = Vec::new();
    let mut start = 0;
    for tokens in tokens.split_inclusive(|token| token.token == Token::SemiColon) {
        let end = match tokens {
            [.., last] if last.token == Token::SemiColon => positions.byte(last.span.start),
            _ => text.len(),
        };
        if tokens.iter().any(|token| !matches!(token.token, Token::Whitespace(_) | Token::SemiColon)) {
            statements.push(text[start..end].trim());
        }
        start = text.len().min(end + 1);
    }
    Ok(statements)
}

/// Finds the bytes of ever later lines and columns, which the tokenizer counts in characters from 1.
struct Positions<'a> {
    rest: std::str::CharIndices<'a>,
    here: Location,
}

impl<'a> Positions<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.char_indices(), here: Location { line: 1, column: 1 } }
    }

    fn byte(&mut self, wanted: Location) -> usize {
        while self.here < wanted {
            match self.rest.next() {
                Some((_, '\n')) => self.here = Location { line: self.here.line + 1, column: 1 },
                Some(_) => self.here.column += 1,
                None => break,
            }
        }
        self.rest.offset()
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_cut() {
        let text = "SELECT ';', 'it''s', \"ä;b\"; -- one; two\n/* three; vier ß */ SELECT 2 ;;\n ; SELECT e'\\n;' ";
        let statements = split(text).unwrap();
        assert_eq!(
            statements,
            ["SELECT ';', 'it''s', \"ä;b\"", "-- one; two\n/* three; vier ß */ SELECT 2", "SELECT e'\\n;'"]
        );
    }

    #[test]
    fn statements_on_one_line_and_on_many_are_cut_alike() {
        for between in [";", "; ", ";\n", "\n;\n\n", ";\r\n"] {
            let text = ["SELECT 'ö'", "SELECT\t2", "SELECT\n3"].join(between);
            assert_eq!(split(&text).unwrap(), ["SELECT 'ö'", "SELECT\t2", "SELECT\n3"], "{between:?}");
        }
    }

    #[test]
    fn text_without_a_statement_has_none() {
        for text in ["", " \n", ";;", "-- just a remark", "/* so is this; */ ;"] {
            assert!(split(text).unwrap().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn open_quotes_are_an_error() {
        assert!(split("SELECT 'oh").is_err());
    }
}
