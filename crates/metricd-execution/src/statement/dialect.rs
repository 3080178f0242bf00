//! How PostgreSQL's text is split into tokens.

use std::any::TypeId;

use sqlparser::dialect::{Dialect, PostgreSqlDialect};

/// sqlparser's PostgreSQL as far as its tokenizer asks, but for two things in which it differs from PostgreSQL's `scan.l`,
/// and which matter only to somebody who wants to know what the tokens mean.
///
/// - It takes `+--` and `-/*` for operators, where PostgreSQL sees an operator and a comment. Here no operator has more than
///   a few characters, so that the comment is found.
/// - It reads the escapes of `U&'…'`, always with a backslash, where `UESCAPE` may name another character. Without that
///   it sees `U`, `&` and a plain string, which ends at the same position.
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
