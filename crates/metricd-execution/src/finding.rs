//! Findings: what is wrong with SQL, each with a stable code, a position, and what to write instead.

use std::fmt;

use metricd_domain::visible;

use crate::{InvalidStatement, Position};

macro_rules! finding_codes {
    ($($name:ident = $code:literal: $meaning:literal,)*) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode {
            $(#[doc = $meaning] $name,)*
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code, which is the same in every release.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The meaning of the code: a sentence without a full stop.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

finding_codes! {
    Blank = "sql-blank": "the SQL is blank or has nothing but comments",
    NotAQuery = "sql-not-a-query": "the SQL is a statement other than a query",
    SeveralStatements = "sql-several-statements": "the SQL has more than one statement",
    Unreadable = "sql-unreadable": "the SQL cannot be split into tokens, as with a string that does not end",
    NotUnderstood = "sql-not-understood": "the guard does not understand this part of the SQL, and so cannot vouch for it",
    Writes = "sql-writes": "a part of the SQL would write: INSERT, UPDATE, DELETE, MERGE or INTO",
    Locks = "sql-locks": "a locking clause such as FOR UPDATE",
    RelationNotAllowed = "sql-relation-not-allowed": "a relation outside the data schemas",
    FunctionNotAllowed = "sql-function-not-allowed": "a function that stored SQL may not call",
    TypeNotAllowed = "sql-type-not-allowed": "a type that stored SQL may not name",
    OperatorNotAllowed = "sql-operator-not-allowed": "an operator outside PostgreSQL's own ones",
    FrozenTime = "sql-frozen-time": "a constant such as `date 'today'`, also by its column's type (`date > 'yesterday'`), which PostgreSQL evaluates when it prepares the statement",
    NumberedParameter = "sql-numbered-parameter": "a parameter by number where parameters have names",
    ParameterName = "sql-parameter-name": "a parameter whose name no request can use",
    ParameterUnused = "sql-parameter-unused": "a declared parameter that the SQL does not use",
    ColumnRepeated = "sql-column-repeated": "two columns of the result have one name",
    TimeColumn = "sql-time-column": "the declared time column is in no table that the SQL reads",
    TooComplex = "sql-too-complex": "the resolved query is too large: by `*`, joins, many relations or long lists",
    Period = "sql-period": "the period that the definition declares cannot be applied to the SQL",
    Unresolved = "sql-unresolved": "PostgreSQL cannot resolve the SQL",
}

/// A part of SQL that is not allowed or invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The kind of finding.
    pub code: FindingCode,
    /// The position in the text of the author.
    pub position: Position,
    /// The offending part of the author's text, shortened.
    pub snippet: String,
    /// What is wrong, and what to write instead; lower case, without a full stop.
    pub message: String,
}

/// The maximum number of characters of a snippet.
const MAX_SNIPPET_CHARS: usize = 60;

impl Finding {
    pub(crate) fn new(code: FindingCode, position: Position, snippet: &str, message: impl Into<String>) -> Self {
        let mut shown: String = snippet.chars().take(MAX_SNIPPET_CHARS).collect();
        if snippet.chars().nth(MAX_SNIPPET_CHARS).is_some() {
            shown.push('…');
        }
        Self { code, position, snippet: shown, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.snippet.is_empty() {
            write!(formatter, "{}: {}", self.position, self.message)
        } else {
            write!(formatter, "{}, at `{}`: {}", self.position, visible(&self.snippet), self.message)
        }
    }
}

impl From<&InvalidStatement> for Finding {
    fn from(error: &InvalidStatement) -> Self {
        let (code, snippet) = match error {
            InvalidStatement::Empty => (FindingCode::Blank, ""),
            InvalidStatement::NotAQuery { first_token, .. } => (FindingCode::NotAQuery, first_token.as_str()),
            InvalidStatement::Several { .. } => (FindingCode::SeveralStatements, ";"),
            InvalidStatement::Syntax { .. } => (FindingCode::Unreadable, ""),
            InvalidStatement::NumberedParameter { placeholder, .. } => {
                (FindingCode::NumberedParameter, placeholder.as_str())
            }
            InvalidStatement::ParameterName { .. } => (FindingCode::ParameterName, ":"),
        };
        Self::new(code, error.position(), snippet, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_documented_with_its_meaning() {
        let document = include_str!("../../../docs/guard.md");
        let documented: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let rows: Vec<_> =
            FindingCode::ALL.iter().map(|code| format!("| `{}` | {} |", code.code(), code.meaning())).collect();
        assert_eq!(documented, rows);
    }

    #[test]
    fn the_snippet_is_the_authors_text() {
        for snippet in ["'x''y'", r#""na\me""#, "e'\\n'"] {
            let finding = Finding::new(FindingCode::Unresolved, Position::START, snippet, "m");
            assert_eq!(finding.snippet, snippet);
            assert!(finding.to_string().contains(snippet), "{finding}");
        }
    }

    #[test]
    fn codes_are_unique_and_snippets_are_bounded() {
        let codes: BTreeSet<_> = FindingCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), FindingCode::ALL.len());
        let finding = Finding::new(FindingCode::Unresolved, Position::START, &"\u{1b}".repeat(100), "m");
        assert_eq!(finding.snippet, format!("{}…", "\u{1b}".repeat(60)));
        assert!(finding.to_string().contains(&format!("at `{}…`", "\\u{1b}".repeat(60))), "{finding}");
    }
}
