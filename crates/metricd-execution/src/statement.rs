//! One SQL statement, as the text of a query has to be.

mod dialect;

use metricd_domain::SqlText;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use self::dialect::TokenDialect;

/// SQL of which it is known that it is one statement, and begins as a query does.
///
/// Nothing else is known of it: whether it may be run, PostgreSQL says. That the text is one statement only is held a
/// second time by the protocol, which prepares no more than one. That it begins as a query does keeps out what has no
/// result and would outlive the transaction that it runs in, such as `PREPARE` and `COMMIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: SqlText,
    body_end: usize,
}

/// Why a text is not one statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// There are comments only, or semicolons.
    #[error("the SQL has nothing but comments: expected one SELECT statement")]
    Empty,
    /// The statement is something other than a query.
    #[error("the statement begins with `{word}`: expected a query, which begins with SELECT, WITH, VALUES or TABLE")]
    NotAQuery {
        /// What it begins with.
        word: String,
    },
    /// A second statement follows.
    #[error("a second statement begins at line {line}, column {column}: expected one SELECT statement")]
    Several {
        /// The line on which it begins, from 1.
        line: u64,
        /// The column, in characters from 1.
        column: u64,
    },
    /// The text cannot be split into tokens, as with a string that does not end.
    #[error("the SQL cannot be read at line {line}, column {column}: {message}")]
    Syntax {
        /// The line, from 1.
        line: u64,
        /// The column, in characters from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
}

impl Statement {
    /// Takes SQL that is one statement, with or without semicolons and comments around it.
    ///
    /// Where the tokenizer knows less than PostgreSQL, the text is refused rather than split in the wrong place: an `E'…'`
    /// string that spells a character as two surrogates (`\ud83d\ude00`) cannot be read.
    ///
    /// # Errors
    ///
    /// [`InvalidStatement`] where the text has no statement, more than one, or cannot be read.
    pub fn parse(sql: &SqlText) -> Result<Self, InvalidStatement> {
        let dialect = TokenDialect(PostgreSqlDialect {});
        let tokens = Tokenizer::new(&dialect, sql.as_str()).tokenize_with_location();
        let tokens = tokens.map_err(|error| InvalidStatement::Syntax {
            line: error.location.line,
            column: error.location.column,
            message: error.message,
        })?;
        let mut words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
        // A statement may stand behind a semicolon as well as before one.
        let is_semicolon = |token: &&&TokenWithSpan| token.token == Token::SemiColon;
        let first = words.find(|token| token.token != Token::SemiColon).ok_or(InvalidStatement::Empty)?;
        if !begins_a_query(&first.token) {
            return Err(InvalidStatement::NotAQuery { word: first.token.to_string().chars().take(40).collect() });
        }
        let mut last = first;
        let mut ended = false;
        for token in words {
            if is_semicolon(&&token) {
                ended = true;
            } else if ended {
                let Location { line, column } = token.span.start;
                return Err(InvalidStatement::Several { line, column });
            } else {
                last = token;
            }
        }
        let body_end = offset(sql.as_str(), last.span.end);
        Ok(Self { sql: sql.clone(), body_end })
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.sql.as_str()
    }

    /// The text up to the statement's last word, without the semicolon, so that it can stand in parentheses. The line on
    /// which it ends is not in a comment.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text()
            .get(..self.body_end)
            .unwrap_or_else(|| self.text())
            .trim_start_matches(|character: char| character.is_whitespace() || character == ';')
    }
}

/// Whether a query may begin with this: PostgreSQL's `SelectStmt`.
fn begins_a_query(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE),
        _ => false,
    }
}

/// Where in the text a place is that is counted in lines and characters.
fn offset(text: &str, place: Location) -> usize {
    let (mut line, mut column) = (1, 1);
    for (offset, character) in text.char_indices() {
        if (line, column) >= (place.line, place.column) {
            return offset;
        }
        if character == '\n' {
            (line, column) = (line + 1, 1);
        } else {
            column += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(sql: &str) -> Result<Statement, InvalidStatement> {
        Statement::parse(&SqlText::parse(sql).unwrap())
    }

    #[test]
    fn a_statement_is_taken_with_what_stands_around_it() {
        for (sql, body) in [
            ("SELECT 1", "SELECT 1"),
            ("-- Title\nSELECT 1; -- done\n", "-- Title\nSELECT 1"),
            (";; SELECT 1 ;;", "SELECT 1"),
            ("SELECT 'é;' AS \"a;b\";", "SELECT 'é;' AS \"a;b\""),
            ("SELECT\r\n'\u{1f600}'\r\n; /* a /* b; */ c; */", "SELECT\r\n'\u{1f600}'"),
            ("SELECT $$;$$, $tag$ ; $tag$;", "SELECT $$;$$, $tag$ ; $tag$"),
            ("SELECT E'\\';', 'a\\', ';'; --", "SELECT E'\\';', 'a\\', ';'"),
            ("SELECT 'it''s', $1;", "SELECT 'it''s', $1"),
            ("SELECT 1 /* end */", "SELECT 1"),
            ("(select 1) union (select 2)", "(select 1) union (select 2)"),
            ("WITH x AS (SELECT 1) TABLE x", "WITH x AS (SELECT 1) TABLE x"),
            ("values (1)", "values (1)"),
            ("SELECT 1 -- one\r; -- two", "SELECT 1"),
            ("SELECT 'a' -- it's;\n 'b';", "SELECT 'a' -- it's;\n 'b'"),
            ("SELECT 1 =-- it's;\n 1;", "SELECT 1 =-- it's;\n 1"),
            ("SELECT 1-/*;*/1;", "SELECT 1-/*;*/1"),
            ("SELECT U&'d!0061\\' UESCAPE '!', u&\"a;\\0041\";", "SELECT U&'d!0061\\' UESCAPE '!', u&\"a;\\0041\""),
            ("SELECT $t$ $$ ; $u$ $t$, $_é$'$_é$, x$$;", "SELECT $t$ $$ ; $u$ $t$, $_é$'$_é$, x$$"),
            ("SELECT e'\\\\', b'1', X'1f', n'a\\', 1_0;", "SELECT e'\\\\', b'1', X'1f', n'a\\', 1_0"),
            ("SELECT '{}'::jsonb ? 'a', @ -5, |/ 4;", "SELECT '{}'::jsonb ? 'a', @ -5, |/ 4"),
        ] {
            assert_eq!(parse(sql).map(|statement| statement.body().to_owned()).as_deref(), Ok(body), "{sql:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_statement() {
        for sql in ["-- nothing", "/* nothing */ ;", ";", "--\n--"] {
            assert_eq!(parse(sql), Err(InvalidStatement::Empty), "{sql:?}");
        }
        assert_eq!(parse("SELECT 1;\n  SELECT 2"), Err(InvalidStatement::Several { line: 2, column: 3 }));
        assert_eq!(parse("SELECT 1; DROP TABLE x; --"), Err(InvalidStatement::Several { line: 1, column: 11 }));
        assert!(matches!(parse("SELECT 'x"), Err(InvalidStatement::Syntax { line: 1, .. })));
        assert!(matches!(parse("SELECT /* x"), Err(InvalidStatement::Syntax { .. })));
        assert!(matches!(parse("SELECT $t$ x $u$"), Err(InvalidStatement::Syntax { .. })));
        assert!(matches!(parse("SELECT E'\\ud83d\\ude00'"), Err(InvalidStatement::Syntax { .. })));
    }

    #[test]
    fn refuses_what_is_no_query() {
        for sql in [
            "COMMIT",
            "PREPARE p AS SELECT 1",
            "SET ROLE x",
            "COPY t TO STDOUT",
            "DO $$ $$",
            "EXPLAIN SELECT 1",
            "\"select\" 1",
            "DEALLOCATE ALL",
            "'SELECT' 1",
            "/* SELECT */ INSERT INTO t VALUES (1)",
        ] {
            assert!(matches!(parse(sql), Err(InvalidStatement::NotAQuery { .. })), "{sql:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_a_body_is_one_statement(sql in "[ \\n\\r;'\"$a-cEU&+@\\\\/*é-]{0,40}") {
            if let Ok(sql) = SqlText::parse(format!("SELECT {sql}"))
                && let Ok(statement) = Statement::parse(&sql)
            {
                let body = parse(statement.body()).unwrap();
                prop_assert_eq!(body.body(), statement.body());
            }
        }
    }
}
