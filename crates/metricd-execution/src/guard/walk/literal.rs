//! Checks constants.

use sqlparser::ast::{ArrayElemTypeDef, DataType, Value, ValueWithSpan};

use super::{SpecialDate, Walk, folded};
use crate::FindingCode;
use crate::special_date::{special_date_as_written, special_date_in};

impl Walk<'_> {
    pub(super) fn literal(&mut self, literal: &ValueWithSpan) {
        if literal.span.start.line > 0 {
            self.position = literal.span.start.into();
        }
        if let Some((spelled, replacement)) =
            literal.value.clone().into_string().and_then(|value| special_date_as_written(&value))
        {
            self.uses.special_dates.push(SpecialDate { position: self.position, literal: spelled, replacement });
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
            // A named parameter. Numbered parameters are refused before the text is parsed.
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

    /// Refuses a special date literal in a constant of a date or time type. PostgreSQL evaluates it when it prepares
    /// the statement, so the metric would keep showing an old date.
    pub(super) fn refuse_frozen_time(&mut self, literal: &ValueWithSpan, data_type: &DataType) {
        let Some(text) = literal.value.clone().into_string().filter(|_| is_time(data_type)) else { return };
        if let Some(replacement) = special_date_in(&text) {
            let message = format!(
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write {replacement}"
            );
            self.find(FindingCode::FrozenTime, literal.span.start.into(), &text, message);
        }
    }
}

/// Whether the type is a date or a time, or an array or a range of them.
fn is_time(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date | DataType::Datetime(_) | DataType::Time(..) | DataType::Timestamp(..) => true,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Parenthesis(element)) => {
            is_time(element)
        }
        DataType::Custom(name, _) => {
            let name = name.0.last().and_then(|part| part.as_ident()).map(folded).unwrap_or_default();
            let names = ["date", "timestamp", "timestamptz", "time", "timetz", "daterange", "tsrange", "tstzrange"];
            names.contains(&name.as_str()) || name.ends_with("multirange")
        }
        _ => false,
    }
}
