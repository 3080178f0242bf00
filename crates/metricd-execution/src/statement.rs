//! Parses SQL into one statement and its parameters.

mod dialect;
mod placeholder;
mod reading;

use std::ops::Range;

use metricd_domain::{InvalidParameterName, ParameterName, SqlText};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::Tokenizer;

use self::dialect::TokenDialect;
use self::placeholder::Placeholder;
use self::reading::StatementReader;
use crate::Position;

/// SQL that is one statement and begins like a query, with the positions of its parameters.
///
/// The [`Guard`](crate::Guard) checks what the statement may do, and PostgreSQL resolves what it means. The protocol
/// also ensures that the text is one statement, because it prepares only one. A statement that begins like a query has
/// a result and does not outlive its transaction, unlike `PREPARE` and `COMMIT`.
///
/// `:name` is a parameter wherever an expression is allowed, but not in strings, comments and quoted names. Between the
/// brackets of a subscript, a colon separates the bounds of a slice, so a parameter there needs parentheses:
/// `days[(:n)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    sql: SqlText,
    body: Range<usize>,
    parameters: Vec<ParameterName>,
    placeholders: Vec<Placeholder>,
    /// The ranges that belong to no expression: comments, and the prefix and escape of `U&'…'` strings.
    blanks: Vec<Range<usize>>,
}

/// Why a text is not one statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatement {
    /// The text has only comments and semicolons.
    #[error("the SQL has nothing but comments: expected one SELECT statement")]
    Empty,
    /// The statement is not a query.
    #[error("expected a query, which begins with SELECT, WITH, VALUES or TABLE")]
    NotAQuery {
        /// The first token of the statement.
        first_token: String,
        /// The position of the statement, token or parameter.
        position: Position,
    },
    /// Another statement follows.
    #[error("a second statement begins here: expected one SELECT statement")]
    Several {
        /// The position at which the second statement begins.
        position: Position,
    },
    /// The text cannot be split into tokens, for example because a string is not terminated.
    #[error("the SQL cannot be read: {message}")]
    Syntax {
        /// The position of the statement, token or parameter.
        position: Position,
        /// What is wrong there.
        message: String,
    },
    /// A parameter has a number instead of a name.
    #[error("a parameter by number: write parameters by name, such as `:day`")]
    NumberedParameter {
        /// The position of the statement, token or parameter.
        position: Position,
        /// The parameter, such as `$1`.
        placeholder: String,
    },
    /// A parameter has a name that requests cannot use.
    #[error("{cause}")]
    ParameterName {
        /// The position of the statement, token or parameter.
        position: Position,
        /// What is wrong with the name.
        cause: InvalidParameterName,
    },
}

impl InvalidStatement {
    /// The position of the error.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Empty => Position::START,
            Self::NotAQuery { position, .. }
            | Self::Several { position }
            | Self::Syntax { position, .. }
            | Self::NumberedParameter { position, .. }
            | Self::ParameterName { position, .. } => *position,
        }
    }
}

impl Statement {
    /// Parses SQL that is one statement, with or without semicolons and comments around it.
    ///
    /// If the tokenizer knows less than PostgreSQL, the text is refused rather than split at the wrong position. This
    /// affects two kinds of `E'…'` strings: those with a character as two surrogates (`\ud83d\ude00`), and those that
    /// continue in another piece, whose backslashes PostgreSQL reads like those of the first.
    ///
    /// # Errors
    ///
    /// [`InvalidStatement`] names the rule that the text breaks, and the position.
    pub fn parse(sql: &SqlText) -> Result<Self, InvalidStatement> {
        let dialect = TokenDialect(PostgreSqlDialect {});
        let tokens = Tokenizer::new(&dialect, sql.as_str()).tokenize_with_location();
        let tokens = tokens.map_err(|error| InvalidStatement::Syntax {
            position: error.location.into(),
            message: unclosed(error.message),
        })?;
        StatementReader::of(sql).read(&tokens)
    }

    /// The whole text of the author.
    #[must_use]
    pub fn text(&self) -> &str {
        self.sql.as_str()
    }

    /// The text from the first token of the statement to the last, without semicolons. It can be put in parentheses.
    #[must_use]
    pub fn body(&self) -> &str {
        self.text().get(self.body.clone()).unwrap_or_else(|| self.text())
    }

    /// The names of the parameters, each once, in the order in which they first occur.
    #[must_use]
    pub fn parameters(&self) -> &[ParameterName] {
        &self.parameters
    }

    pub(crate) fn body_range(&self) -> Range<usize> {
        self.body.clone()
    }

    pub(crate) fn placeholders(&self) -> &[Placeholder] {
        &self.placeholders
    }

    pub(crate) fn blanks(&self) -> &[Range<usize>] {
        &self.blanks
    }
}

/// Rewords the message of the tokenizer if it is about a missing end.
fn unclosed(message: String) -> String {
    let (what, end) = match message.as_str() {
        "Unterminated string literal"
        | "Unterminated encoded string literal"
        | "Unterminated unicode encoded string literal" => ("a string", "'"),
        "Unterminated dollar-quoted string" | "Unterminated dollar-quoted, expected $" => {
            ("a string in dollar signs", "$")
        }
        "Unexpected EOF while in a multi-line comment" => ("a comment", "*/"),
        "Expected close delimiter '\"' before EOF." => ("a name in double quotes", "\""),
        _ => return message,
    };
    format!("{what} does not end: its closing `{end}` is missing")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(sql: &str) -> Result<Statement, InvalidStatement> {
        Statement::parse(&SqlText::parse(sql).unwrap())
    }

    #[test]
    fn a_statement_may_have_comments_and_semicolons_around_it() {
        for (sql, body) in [
            ("SELECT 1", "SELECT 1"),
            ("-- Title\nSELECT 1; -- done\n", "SELECT 1"),
            (";; SELECT 1 ;;", "SELECT 1"),
            ("SELECT 'é;' AS \"a;b\";", "SELECT 'é;' AS \"a;b\""),
            ("SELECT\r\n'\u{1f600}'\r\n; /* a /* b; */ c; */", "SELECT\r\n'\u{1f600}'"),
            ("SELECT $$;$$, $tag$ ; $tag$;", "SELECT $$;$$, $tag$ ; $tag$"),
            ("SELECT E'\\';', 'a\\', ';'; --", "SELECT E'\\';', 'a\\', ';'"),
            ("SELECT 'it''s', :a;", "SELECT 'it''s', :a"),
            ("SELECT 1 /* end */", "SELECT 1"),
            ("(select 1) union (select 2)", "(select 1) union (select 2)"),
            ("WITH x AS (SELECT 1) TABLE x", "WITH x AS (SELECT 1) TABLE x"),
            ("values (1)", "values (1)"),
            ("SELECT 1 -- one\r; -- two", "SELECT 1"),
            ("SELECT 'a' -- it's;\n 'b';", "SELECT 'a' -- it's;\n 'b'"),
            ("SELECT 1 =-- it's;\n 1;", "SELECT 1 =-- it's;\n 1"),
            ("SELECT 1-/*;*/1;", "SELECT 1-/*;*/1"),
            ("SELECT U&'d!0061\\' UESCAPE '!', u&'a;\\0041';", "SELECT U&'d!0061\\' UESCAPE '!', u&'a;\\0041'"),
            ("SELECT $t$ $$ ; $u$ $t$, $_é$'$_é$, x$$;", "SELECT $t$ $$ ; $u$ $t$, $_é$'$_é$, x$$"),
            ("SELECT e'\\\\', b'1', X'1f', n'a\\', 1_0;", "SELECT e'\\\\', b'1', X'1f', n'a\\', 1_0"),
            ("SELECT '{}'::jsonb ? 'a', @ -5, |/ 4;", "SELECT '{}'::jsonb ? 'a', @ -5, |/ 4"),
        ] {
            assert_eq!(parse(sql).map(|statement| statement.body().to_owned()).as_deref(), Ok(body), "{sql:?}");
        }
    }

    #[test]
    fn refuses_texts_other_than_one_statement() {
        for sql in ["-- nothing", "/* nothing */ ;", ";", "--\n--"] {
            assert_eq!(parse(sql), Err(InvalidStatement::Empty), "{sql:?}");
        }
        assert_eq!(
            parse("SELECT 1;\n  SELECT 2"),
            Err(InvalidStatement::Several { position: Position { line: 2, column: 3 } })
        );
        assert_eq!(
            parse("SELECT 1; DROP TABLE x; --"),
            Err(InvalidStatement::Several { position: Position { line: 1, column: 11 } })
        );
        assert!(matches!(parse("SELECT 'x"), Err(InvalidStatement::Syntax { position: Position { line: 1, .. }, .. })));
        assert!(matches!(parse("SELECT /* x"), Err(InvalidStatement::Syntax { .. })));
        assert!(matches!(parse("SELECT $t$ x $u$"), Err(InvalidStatement::Syntax { .. })));
        assert!(matches!(parse("SELECT E'\\ud83d\\ude00'"), Err(InvalidStatement::Syntax { .. })));
    }

    /// PostgreSQL ends an operator at a comment. If metricd did not, a quote in the comment would begin a string, which
    /// could hide anything.
    #[test]
    fn a_comment_is_found_after_every_operator() {
        let characters = ["+", "-", "*", "/", "<", ">", "=", "~", "!", "@", "#", "%", "^", "&", "|", "`", "?"];
        let mut operators = vec![String::new()];
        for _ in 0..3 {
            let longer =
                operators.iter().flat_map(|operator| characters.map(|character| format!("{operator}{character}")));
            operators = longer.chain(operators.iter().cloned()).collect();
        }
        for operator in operators {
            for (comment, rest) in [("--'", "\n2"), ("/*'*/", "2")] {
                let run = format!("{operator}{comment}");
                let begin = [run.find("--"), run.find("/*")].into_iter().flatten().min();
                // Otherwise the comment begins inside the operator, and is a different one.
                if begin == Some(operator.len()) {
                    let sql = format!("SELECT 1 {run}{rest} AS x, ';' AS y");
                    if let Ok(statement) = parse(&sql) {
                        let at = sql.find(comment).unwrap();
                        assert!(statement.blanks().iter().any(|blank| blank.start == at), "{sql:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn refuses_texts_that_postgresql_splits_differently() {
        for sql in [
            "SELECT E'a'\n'\\'||' , pg_sleep(5)::text -- '",
            "SELECT e'a' -- more\n'b'",
            "SELECT 5 #--'\n 1, pg_sleep(5) --'",
            "SELECT 5 |/*'*/ 1, pg_sleep(5) --'",
            "SELECT '' ||/*'*/ '', pg_sleep(5) --'",
        ] {
            assert!(matches!(parse(sql), Err(InvalidStatement::Syntax { .. })), "{sql:?}");
        }
        assert!(parse("SELECT E'a' || 'b', 'a'\n'b', 5 # -1, |/ 4, 4 - -1").is_ok());
    }

    #[test]
    fn a_parameter_is_a_colon_and_a_name_in_the_position_of_an_expression() {
        for (sql, names) in [
            ("SELECT :a, :b, :a", vec!["a", "b"]),
            ("SELECT ':a', \":b\", $$:c$$, E'\\':d', 'x'::text /* :e */ -- :f", vec![]),
            ("SELECT :a::date, x::date, CAST(:b AS text)", vec!["a", "b"]),
            ("SELECT x[1:n], x[:n], x[(:n)], x[f(:m)]", vec!["n", "m"]),
            ("SELECT ARRAY[:a, :b], array[[:c],[:d]]", vec!["a", "b", "c", "d"]),
            ("SELECT make_interval(days := :n), a : b", vec!["n"]),
            ("SELECT U&':a' UESCAPE '!', :b", vec!["b"]),
            ("SELECT 1 WHERE a=:start_date AND b>=:end_date", vec!["start_date", "end_date"]),
        ] {
            let found: Vec<_> = parse(sql).unwrap().parameters().iter().map(|name| name.as_str().to_owned()).collect();
            assert_eq!(found, names, "{sql}");
        }
        assert!(matches!(parse("SELECT $1"), Err(InvalidStatement::NumberedParameter { .. })));
        assert!(matches!(parse("SELECT :limit"), Err(InvalidStatement::ParameterName { .. })));
        assert!(matches!(parse("SELECT :\u{e9}"), Err(InvalidStatement::ParameterName { .. })));
        assert!(matches!(parse("SELECT U&\"a\""), Err(InvalidStatement::Syntax { .. })));
    }

    #[test]
    fn refuses_statements_other_than_queries() {
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
