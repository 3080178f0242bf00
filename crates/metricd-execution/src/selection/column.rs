//! The types of columns: which operators they have, and how their values are compared.
//!
//! A column is compared by operators of the schema `pg_catalog`, between values of exactly one built-in type. So no
//! operator of another schema can take part, whatever the search path has.

use std::borrow::Cow;

use metricd_domain::{Contract, ScalarType};

use super::operator::Operator::{
    self, Contained, Contains, Eq, Gt, Gte, Ilike, In, Is, IsDistinct, Like, Lt, Lte, Neq, Overlaps,
};
use super::value::Format;

/// What a type is to filters and sorts.
#[derive(Debug, PartialEq)]
pub(super) enum ColumnType<'a> {
    /// A type of single values.
    Scalar(Scalar<'a>),
    /// An array of one.
    Array(Scalar<'a>),
    /// `jsonb`, or a built-in range or multirange.
    Container(Scalar<'a>),
    /// Any other type.
    Other,
    /// A type whose values PostgreSQL cannot sort.
    Unsortable,
}

/// A type by which values are compared.
#[derive(Debug, PartialEq)]
pub(super) struct Scalar<'a> {
    /// The type in a cast.
    pub(super) sql: Cow<'a, str>,
    /// The type as PostgreSQL's `format_type` prints it.
    pub(super) printed: Cow<'a, str>,
    pub(super) format: Format<'a>,
    pub(super) family: Family,
}

/// How values of a type are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// By operators.
    Plain,
    Boolean,
    Text,
    /// The extension's `citext`, by its default operator class: as elements of arrays.
    Citext,
    Jsonb,
    Range,
}

/// The built-in types that can be compared: the name that `format_type` prints, and the type by which they are compared
/// with its printed name, if it is another one. PostgreSQL compares `character varying` and `cidr` by operators of the
/// other type.
const SCALARS: &[(&str, &str, Option<&str>, Format<'static>, Family)] = &[
    ("boolean", "bool", None, Format::Parameter(ScalarType::Boolean), Family::Boolean),
    ("smallint", "int2", None, Format::SmallInt, Family::Plain),
    ("integer", "int4", None, Format::Parameter(ScalarType::Integer), Family::Plain),
    ("bigint", "int8", None, Format::Parameter(ScalarType::Bigint), Family::Plain),
    ("oid", "oid", None, Format::Oid, Family::Plain),
    ("numeric", "numeric", None, Format::Parameter(ScalarType::Numeric), Family::Plain),
    ("real", "float4", None, Format::Real, Family::Plain),
    ("double precision", "float8", None, Format::Double, Family::Plain),
    ("text", "text", None, Format::Parameter(ScalarType::Text), Family::Text),
    ("character varying", "text", Some("text"), Format::Parameter(ScalarType::Text), Family::Text),
    ("character", "bpchar", None, Format::Parameter(ScalarType::Text), Family::Text),
    ("name", "text", Some("text"), Format::Parameter(ScalarType::Text), Family::Text),
    ("date", "date", None, Format::Parameter(ScalarType::Date), Family::Plain),
    ("time without time zone", "time", None, Format::Unvalidated, Family::Plain),
    ("time with time zone", "timetz", None, Format::Unvalidated, Family::Plain),
    ("timestamp without time zone", "timestamp", None, Format::Parameter(ScalarType::Timestamp), Family::Plain),
    ("timestamp with time zone", "timestamptz", None, Format::Instant, Family::Plain),
    ("interval", "interval", None, Format::Unvalidated, Family::Plain),
    ("uuid", "uuid", None, Format::Parameter(ScalarType::Uuid), Family::Plain),
    ("bytea", "bytea", None, Format::Bytes, Family::Plain),
    ("inet", "inet", None, Format::Unvalidated, Family::Plain),
    ("cidr", "inet", Some("inet"), Format::Unvalidated, Family::Plain),
    ("macaddr", "macaddr", None, Format::Unvalidated, Family::Plain),
    ("jsonb", "jsonb", None, Format::Json, Family::Jsonb),
    ("int4range", "int4range", None, Format::Unvalidated, Family::Range),
    ("int8range", "int8range", None, Format::Unvalidated, Family::Range),
    ("numrange", "numrange", None, Format::Unvalidated, Family::Range),
    ("tsrange", "tsrange", None, Format::Unvalidated, Family::Range),
    ("tstzrange", "tstzrange", None, Format::Unvalidated, Family::Range),
    ("daterange", "daterange", None, Format::Unvalidated, Family::Range),
    ("int4multirange", "int4multirange", None, Format::Unvalidated, Family::Range),
    ("int8multirange", "int8multirange", None, Format::Unvalidated, Family::Range),
    ("nummultirange", "nummultirange", None, Format::Unvalidated, Family::Range),
    ("tsmultirange", "tsmultirange", None, Format::Unvalidated, Family::Range),
    ("tstzmultirange", "tstzmultirange", None, Format::Unvalidated, Family::Range),
    ("datemultirange", "datemultirange", None, Format::Unvalidated, Family::Range),
];

/// Built-in types without an order whose values a result may have. PostgreSQL compares two rows up to the first field
/// without an order, so `record` is one of them.
const UNSORTABLE: [&str; 13] =
    ["json", "jsonpath", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "xid", "record", "void"];

const PLAIN: &[Operator] = &[Eq, Neq, Gt, Gte, Lt, Lte, In, IsDistinct, Is];
const TEXT: &[Operator] = &[Eq, Neq, Gt, Gte, Lt, Lte, In, IsDistinct, Like, Ilike, Is];
const CONTAINER: &[Operator] = &[Eq, Neq, Gt, Gte, Lt, Lte, IsDistinct, Contains, Contained, Overlaps, Is];
const JSONB: &[Operator] = &[Eq, Neq, IsDistinct, Contains, Contained, Is];

impl<'a> ColumnType<'a> {
    /// The type of this name in a contract.
    pub(super) fn of(type_name: &'a str, contract: &'a Contract) -> Self {
        if let Some(scalar) = Scalar::of(type_name, contract) {
            return match scalar.family {
                Family::Jsonb | Family::Range => Self::Container(scalar),
                _ => Self::Scalar(scalar),
            };
        }
        let element = type_name.strip_suffix("[]");
        match element.and_then(|element| Scalar::of(element, contract)) {
            // Elements of these may have commas and braces.
            Some(element) if !matches!(element.family, Family::Jsonb | Family::Range) => Self::Array(element),
            _ if UNSORTABLE.contains(&element.unwrap_or(type_name)) => Self::Unsortable,
            _ => Self::Other,
        }
    }

    /// The operators of a column of this type.
    pub(super) fn operators(&self) -> &'static [Operator] {
        match self {
            Self::Scalar(scalar) => match scalar.family {
                Family::Text | Family::Citext => TEXT,
                _ => PLAIN,
            },
            Self::Container(scalar) if scalar.family == Family::Jsonb => JSONB,
            Self::Array(_) | Self::Container(_) => CONTAINER,
            Self::Other | Self::Unsortable => &[Is],
        }
    }

    /// Whether PostgreSQL can sort a column of this type, as far as is known here.
    pub(super) fn is_sortable(&self) -> bool {
        *self != Self::Unsortable
    }

    /// Whether comparing values of the type calls only functions of PostgreSQL itself.
    pub(super) fn is_built_in(&self) -> bool {
        match self {
            Self::Scalar(scalar) | Self::Array(scalar) | Self::Container(scalar) => scalar.family != Family::Citext,
            Self::Other | Self::Unsortable => false,
        }
    }
}

impl<'a> Scalar<'a> {
    fn of(type_name: &'a str, contract: &'a Contract) -> Option<Self> {
        if let Some((printed, sql, compared_as, format, family)) =
            SCALARS.iter().find(|(printed, ..)| *printed == type_name)
        {
            let printed = compared_as.unwrap_or(printed);
            let sql = Cow::Owned(format!("pg_catalog.{sql}"));
            return Some(Self { sql, printed: printed.into(), format: *format, family: *family });
        }
        let of_type = |format, family| Self { sql: type_name.into(), printed: type_name.into(), format, family };
        if type_name.ends_with("[]") {
            None
        } else if let Some(labels) = contract.labels(type_name) {
            Some(of_type(Format::Label(labels), Family::Plain))
        } else if type_name == "citext" || type_name.ends_with(".citext") {
            Some(of_type(Format::Parameter(ScalarType::Text), Family::Citext))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use metricd_domain::{ContractColumn, ContractParts};

    use super::*;

    #[test]
    fn a_type_has_the_operators_that_make_sense() {
        let enums = [("mood".to_owned(), vec!["sad".to_owned()])].into();
        let columns = vec![ContractColumn::new("mood", "mood")];
        let contract = Contract::new(ContractParts { columns, enums, ..ContractParts::default() }).unwrap();
        let names = |type_name: &str| {
            let column = ColumnType::of(type_name, &contract);
            let names: Vec<_> = column.operators().iter().map(|operator| operator.name()).collect();
            (names.join(" "), column.is_sortable())
        };
        let plain = "eq neq gt gte lt lte in isdistinct is";
        let text = "eq neq gt gte lt lte in isdistinct like ilike is";
        let range = "eq neq gt gte lt lte isdistinct cs cd ov is";
        for (types, operators, is_sortable) in [
            (&["integer", "numeric", "boolean", "timestamp with time zone", "uuid", "bytea", "mood"][..], plain, true),
            (&["text", "character varying", "character", "name", "citext", "public.citext"], text, true),
            (&["text[]", "mood[]", "citext[]", "int4range", "datemultirange"], range, true),
            (&["jsonb"], "eq neq isdistinct cs cd is", true),
            (
                &["money", "jsonb[]", "int4range[]", "sales", "\"Text\"", "x.text", "integer[][]", "notcitext"],
                "is",
                true,
            ),
            (&["json", "json[]", "point", "xml[]", "record"], "is", false),
        ] {
            for type_name in types {
                assert_eq!(names(type_name), (operators.to_owned(), is_sortable), "{type_name}");
            }
        }
    }
}
