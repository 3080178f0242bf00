//! The types of columns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a column that files are loaded into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// `true` or `false`.
    Boolean,
    /// A whole number of 64 bits.
    Bigint,
    /// A decimal number, with every digit.
    Numeric,
    /// A binary floating-point number of 64 bits.
    #[serde(rename = "double precision")]
    Double,
    /// A day.
    Date,
    /// A day with a time in microseconds, without a time zone.
    Timestamp,
    /// An instant in microseconds.
    Timestamptz,
    /// A UUID.
    Uuid,
    /// A JSON document.
    Jsonb,
    /// Bytes.
    Bytea,
    /// A text.
    Text,
}

impl ColumnType {
    /// Every type.
    pub const ALL: [Self; 11] = [
        Self::Boolean,
        Self::Bigint,
        Self::Numeric,
        Self::Double,
        Self::Date,
        Self::Timestamp,
        Self::Timestamptz,
        Self::Uuid,
        Self::Jsonb,
        Self::Bytea,
        Self::Text,
    ];

    /// The type of this name, as definitions write it and as PostgreSQL knows it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|data_type| data_type.name() == name)
    }

    /// The name of the type in definitions and in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Bigint => "bigint",
            Self::Numeric => "numeric",
            Self::Double => "double precision",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Uuid => "uuid",
            Self::Jsonb => "jsonb",
            Self::Bytea => "bytea",
            Self::Text => "text",
        }
    }

    /// Whether a column of this type may have a minimum and a maximum.
    #[must_use]
    pub fn has_bounds(self) -> bool {
        matches!(self, Self::Bigint | Self::Numeric | Self::Double | Self::Date | Self::Timestamp | Self::Timestamptz)
    }

    /// Whether a column of this type may list its values.
    #[must_use]
    pub fn is_listable(self) -> bool {
        matches!(self, Self::Text | Self::Bigint | Self::Numeric | Self::Date)
    }

    /// Whether every value of this type has an equal value of the other type, which keeps its digits.
    #[must_use]
    pub fn widens_to(self, other: Self) -> bool {
        matches!((self, other), (Self::Bigint, Self::Numeric) | (Self::Date, Self::Timestamp))
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_name_in_json_and_sql() {
        for data_type in ColumnType::ALL {
            assert_eq!(serde_json::to_value(data_type).unwrap(), data_type.name());
            assert_eq!(ColumnType::of_name(data_type.name()), Some(data_type));
        }
    }
}
