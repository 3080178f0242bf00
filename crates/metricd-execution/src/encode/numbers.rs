//! How numbers are written that many readers would round.

use std::borrow::Cow;

use super::{Column, FieldType};

/// How `numeric` and `bigint` are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Numbers {
    /// As numbers.
    #[default]
    Number,
    /// As texts with every digit: JavaScript, for example, keeps a number as a float of 15 digits.
    Text,
}

impl Numbers {
    /// The columns for a writer, in which `numeric` and `bigint` are quoted if they are to be texts.
    #[must_use]
    pub fn columns(self, columns: &[Column]) -> Cow<'_, [Column]> {
        match self {
            Self::Number => columns.into(),
            Self::Text => {
                let quoted = |column: &Column| Column { field_type: quoted(&column.field_type), ..column.clone() };
                columns.iter().map(quoted).collect()
            }
        }
    }
}

fn quoted(field_type: &FieldType) -> FieldType {
    match field_type {
        FieldType::BigInt | FieldType::Numeric(_) => FieldType::Quoted(Box::new(field_type.clone())),
        FieldType::Array(element) => FieldType::Array(Box::new(quoted(element))),
        field_type => field_type.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_quoted_also_in_arrays() {
        let column = |field_type| Column { name: "a".into(), type_name: "any".into(), field_type };
        let array = |element| FieldType::Array(Box::new(element));
        let columns = [FieldType::BigInt, FieldType::Integer, array(FieldType::Numeric(None))].map(column);
        assert_eq!(Numbers::Number.columns(&columns).as_ref(), columns);
        let types: Vec<_> = Numbers::Text.columns(&columns).iter().map(|column| column.field_type.clone()).collect();
        let quoted = |number| FieldType::Quoted(Box::new(number));
        assert_eq!(types, [quoted(FieldType::BigInt), FieldType::Integer, array(quoted(FieldType::Numeric(None)))]);
    }
}
