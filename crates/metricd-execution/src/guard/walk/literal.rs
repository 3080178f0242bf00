//! Constants.

use sqlparser::ast::{DataType, Value, ValueWithSpan};

use super::Walk;
use crate::FindingCode;

/// What stands for a moment in a constant of a date or a time, and what to write instead.
const CLOCK_WORDS: [(&str, &str); 4] =
    [("now", "now()"), ("today", "CURRENT_DATE"), ("tomorrow", "CURRENT_DATE + 1"), ("yesterday", "CURRENT_DATE - 1")];

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

    /// Refuses a constant of a date or a time that names a moment by a word. PostgreSQL reads it when the statement is
    /// prepared, so that the metric would stand still for as long as it stays so.
    pub(super) fn refuse_frozen_time(&mut self, literal: &ValueWithSpan, data_type: &DataType) {
        let is_time =
            matches!(data_type, DataType::Date | DataType::Datetime(_) | DataType::Time(..) | DataType::Timestamp(..));
        let is_time = is_time || matches!(data_type, DataType::Custom(name, _) if is_time_name(&name.to_string()));
        let Some(text) = literal.value.clone().into_string().filter(|_| is_time) else { return };
        let words = text.split(|character: char| !character.is_ascii_alphabetic());
        let named = |word: &str| CLOCK_WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        if let Some((_, instead)) = words.into_iter().find_map(named) {
            let message = format!("PostgreSQL settles this when it prepares the statement: write {instead}");
            self.find(FindingCode::FrozenTime, literal.span.start.into(), &text, message);
        }
    }
}

/// Whether the name, which is no word of the grammar, is that of a type with a date or a time.
fn is_time_name(name: &str) -> bool {
    ["timestamptz", "timetz", "abstime"].contains(&name.to_lowercase().as_str())
}
