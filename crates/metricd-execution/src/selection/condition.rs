//! Conditions of filters, as SQL with bound values.

use metricd_database::quote_identifier;
use metricd_domain::{ContractColumn, ParameterValue, TimeZone};

use super::column::{ColumnType, Family, Scalar};
use super::grammar::{ParsedFilter, elements};
use super::operator::{Operator, listed};
use super::value::Format;

/// The maximum number of elements of a list or an array.
const MAX_ELEMENTS: usize = 1_000;

/// A condition on a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// The SQL before the number of the value's parameter, and after it.
    sql: (String, String),
    /// The value, unless the condition has none.
    pub(super) value: Option<Value>,
}

/// A value, and the type of its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bound: ParameterValue,
    /// The type, as PostgreSQL's `format_type` prints it.
    pub(super) type_name: String,
    /// Whether PostgreSQL may refuse the value, or take it for something else by its settings or the clock.
    pub(super) is_unvalidated: bool,
}

/// The right side of a comparison: the text and the type of the value, and the type in the cast of its parameter.
struct RightSide<'a> {
    text: String,
    printed: String,
    sql: String,
    format: Format<'a>,
}

impl Condition {
    /// The condition of a filter on this column, for a request in this time zone.
    ///
    /// # Errors
    ///
    /// What is wrong with the operator or the value, and what is expected.
    pub(super) fn of(
        filter: &ParsedFilter<'_>,
        column: &ContractColumn,
        column_type: &ColumnType<'_>,
        zone: &TimeZone,
    ) -> Result<Self, String> {
        let (operator, name) = (filter.operator, quote_identifier(&column.name));
        if !column_type.operators().contains(&operator) {
            return Err(format!(
                "a column of the type `{}` has no operator `{operator}`: expected {}",
                column.type_name,
                listed(column_type.operators())
            ));
        }
        let condition = match column_type {
            _ if operator == Operator::Is => Self::is(&name, column_type, filter.value)?,
            ColumnType::Scalar(scalar) => Self::scalar(&name, operator, scalar, filter.value, zone)?,
            ColumnType::Array(element) => {
                let elements = elements(filter.value, ('{', '}'), MAX_ELEMENTS)?;
                let right = RightSide {
                    text: element.format.array(&elements, true, zone)?,
                    printed: format!("{}[]", element.printed),
                    sql: format!("{}[]", element.sql),
                    format: element.format,
                };
                let left = format!("CAST({name} AS {}[])", element.sql);
                Self::comparison(&name, &left, operator, right)
            }
            ColumnType::Container(scalar) => {
                let right = RightSide::single(scalar, filter.value, zone)?;
                Self::comparison(&name, &format!("CAST({name} AS {})", scalar.sql), operator, right)
            }
            ColumnType::Other | ColumnType::Unsortable => return Err("there is no such operator".to_owned()),
        };
        Ok(if filter.is_negated { condition.within("NOT (", ")") } else { condition })
    }

    /// The SQL, with `$number` for the value.
    pub(super) fn sql(&self, number: usize) -> String {
        let (before, after) = &self.sql;
        if self.value.is_some() { format!("{before}${number}{after}") } else { format!("{before}{after}") }
    }

    fn within(self, before: &str, after: &str) -> Self {
        Self { sql: (format!("{before}{}", self.sql.0), format!("{}{after}", self.sql.1)), ..self }
    }

    fn is(name: &str, column_type: &ColumnType<'_>, value: &str) -> Result<Self, String> {
        let is_boolean = matches!(column_type, ColumnType::Scalar(scalar) if scalar.family == Family::Boolean);
        // `IS NULL` would also hold for a row whose fields are all NULL.
        let test = match value.to_ascii_lowercase().as_str() {
            "null" => "IS NOT DISTINCT FROM NULL",
            "not_null" => "IS DISTINCT FROM NULL",
            "true" if is_boolean => "IS TRUE",
            "false" if is_boolean => "IS FALSE",
            "unknown" if is_boolean => "IS UNKNOWN",
            _ if is_boolean => return Err("expected `null`, `not_null`, `true`, `false` or `unknown`".to_owned()),
            _ => return Err("expected `null` or `not_null`".to_owned()),
        };
        Ok(Self { sql: (format!("{name} {test}"), String::new()), value: None })
    }

    fn scalar(
        name: &str,
        operator: Operator,
        scalar: &Scalar<'_>,
        text: &str,
        zone: &TimeZone,
    ) -> Result<Self, String> {
        let left = format!("CAST({name} AS {})", scalar.sql);
        let is_citext = scalar.family == Family::Citext;
        match operator {
            Operator::Like | Operator::Ilike => {
                let right = RightSide::pattern(text)?;
                // The operators of `citext` ignore case; without the extension's schema, these do.
                let (left, operator) = if is_citext {
                    (format!("CAST({name} AS {})", right.sql), Operator::Ilike)
                } else {
                    (left, operator)
                };
                Ok(Self::comparison(name, &left, operator, right))
            }
            Operator::In => {
                let elements = elements(text, ('(', ')'), MAX_ELEMENTS)?;
                let right = RightSide {
                    text: scalar.format.array(&elements, false, zone)?,
                    printed: format!("{}[]", scalar.printed),
                    sql: format!("{}[]", scalar.sql),
                    format: scalar.format,
                };
                if is_citext {
                    let left = format!("ARRAY[{left}]");
                    Ok(Self::comparison(name, &left, Operator::Contained, right).unless_null(name))
                } else {
                    let before = format!("{left} OPERATOR(pg_catalog.{}) ANY (CAST(", operator.sql_name());
                    Ok(Self { sql: (before, format!(" AS {}))", right.sql)), value: Some(right.into()) })
                }
            }
            _ => {
                let right = RightSide::single(scalar, text, zone)?;
                if !is_citext {
                    return Ok(Self::comparison(name, &left, operator, right));
                }
                let before = format!("ARRAY[{left}] OPERATOR(pg_catalog.{}) ARRAY[CAST(", operator.sql_name());
                let compared = Self { sql: (before, format!(" AS {})]", right.sql)), value: Some(right.into()) };
                Ok(match operator {
                    Operator::IsDistinct => compared.or_null(name),
                    _ => compared.unless_null(name),
                })
            }
        }
    }

    /// The comparison of the left side with the value.
    fn comparison(name: &str, left: &str, operator: Operator, right: RightSide<'_>) -> Self {
        let before = format!("{left} OPERATOR(pg_catalog.{}) CAST(", operator.sql_name());
        let compared = Self { sql: (before, format!(" AS {})", right.sql)), value: Some(right.into()) };
        if operator == Operator::IsDistinct { compared.or_null(name) } else { compared }
    }

    /// `IS DISTINCT FROM` would search its operator by name.
    fn or_null(self, name: &str) -> Self {
        self.within(&format!("({name} IS NOT DISTINCT FROM NULL OR "), ")")
    }

    /// NULL for NULL, which an array with it is not.
    fn unless_null(self, name: &str) -> Self {
        self.within(&format!("CASE WHEN {name} IS NOT DISTINCT FROM NULL THEN NULL ELSE "), " END")
    }
}

impl<'a> RightSide<'a> {
    fn single(scalar: &Scalar<'a>, text: &str, zone: &TimeZone) -> Result<Self, String> {
        let value = scalar.format.parse(text, zone).map_err(|message| match text {
            "null" => format!("{message}; `is.null` selects NULL"),
            _ => message,
        })?;
        let (printed, sql) = (scalar.printed.to_string(), scalar.sql.to_string());
        Ok(Self { text: value, printed, sql, format: scalar.format })
    }

    /// A pattern of `LIKE`, in which `*` stands for `%`.
    fn pattern(text: &str) -> Result<Self, String> {
        let format = Format::Parameter(metricd_domain::ScalarType::Text);
        let pattern = format.parse(text, &TimeZone::default())?.replace('*', "%");
        let backslashes = pattern.len() - pattern.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            return Err("a pattern cannot end with a single `\\`, which makes the next character literal".to_owned());
        }
        Ok(Self { text: pattern, printed: "text".to_owned(), sql: "pg_catalog.text".to_owned(), format })
    }
}

impl From<RightSide<'_>> for Value {
    fn from(right: RightSide<'_>) -> Self {
        let RightSide { text, printed, format, .. } = right;
        let bound = ParameterValue::unvalidated(&text);
        Self { bound, type_name: printed, is_unvalidated: format.is_unvalidated() }
    }
}
