//! The dialect of the tokenizer.

use std::any::TypeId;

use sqlparser::dialect::{Dialect, PostgreSqlDialect};

/// sqlparser's dialect for PostgreSQL, as far as the tokenizer uses it. It lacks two features that differ from
/// PostgreSQL's `scan.l`:
///
/// - Custom operators. sqlparser reads `+--` and `-/*` as operators; PostgreSQL reads an operator and a comment.
///   Without the feature, operators are short, and the comment is found.
/// - `U&'…'` strings. sqlparser always reads their escapes with a backslash, but `UESCAPE` may name another character.
///   Without the feature, the tokens are `U`, `&` and a plain string, which ends at the same position.
#[derive(Debug)]
pub(super) struct TokenDialect(pub(super) PostgreSqlDialect);

impl Dialect for TokenDialect {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        self.0.is_delimited_identifier_start(character)
    }

    fn is_identifier_start(&self, character: char) -> bool {
        self.0.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        self.0.is_identifier_part(character)
    }

    fn supports_nested_comments(&self) -> bool {
        self.0.supports_nested_comments()
    }

    fn supports_string_escape_constant(&self) -> bool {
        self.0.supports_string_escape_constant()
    }
}
