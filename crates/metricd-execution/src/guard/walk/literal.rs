//! Constants.

use sqlparser::ast::{Value, ValueWithSpan};

use super::Walk;

impl Walk<'_> {
    pub(super) fn literal(&mut self, literal: &ValueWithSpan) {
        if literal.span.start.line > 0 {
            self.place = literal.span.start.into();
        }
        match &literal.value {
            Value::Number(_, is_long) => self.refuse_if(*is_long, "a number that ends in L"),
            Value::SingleQuotedString(_)
            | Value::DollarQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::UnicodeStringLiteral(_)
            | Value::SingleQuotedByteStringLiteral(_)
            | Value::NationalStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::Boolean(_)
            | Value::Null
            // A parameter by name: one by number has been refused before there was a tree.
            | Value::Placeholder(_) => {}
            Value::TripleSingleQuotedString(_)
            | Value::TripleDoubleQuotedString(_)
            | Value::DoubleQuotedByteStringLiteral(_)
            | Value::TripleSingleQuotedByteStringLiteral(_)
            | Value::TripleDoubleQuotedByteStringLiteral(_)
            | Value::SingleQuotedRawStringLiteral(_)
            | Value::DoubleQuotedRawStringLiteral(_)
            | Value::TripleSingleQuotedRawStringLiteral(_)
            | Value::TripleDoubleQuotedRawStringLiteral(_)
            | Value::QuoteDelimitedStringLiteral(_)
            | Value::NationalQuoteDelimitedStringLiteral(_)
            | Value::DoubleQuotedString(_) => self.refuse(literal, "this kind of string"),
        }
    }
}
