//! PostgreSQL's types: the encoding in which their values arrive, and the names that `format_type` prints.

use metricd_execution::FieldType;
use tokio_postgres::types::{Kind, Type};

/// The binary encoding of the type; `None` if its values arrive in text format.
pub(crate) fn field_type(data_type: &Type) -> Option<FieldType> {
    match data_type.kind() {
        _ if is_vector(data_type) => return None,
        Kind::Array(element) => return field_type(element).map(|element| FieldType::Array(Box::new(element))),
        Kind::Enum(_) => return Some(FieldType::Text),
        Kind::Domain(base) => return field_type(base),
        _ => {}
    }
    Some(match *data_type {
        Type::BOOL => FieldType::Boolean,
        Type::INT2 => FieldType::SmallInt,
        Type::INT4 => FieldType::Integer,
        Type::INT8 => FieldType::BigInt,
        Type::OID => FieldType::Oid,
        Type::FLOAT4 => FieldType::Real,
        Type::FLOAT8 => FieldType::Double,
        Type::NUMERIC => FieldType::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => FieldType::Text,
        Type::DATE => FieldType::Date,
        Type::TIMESTAMP => FieldType::Timestamp,
        Type::TIMESTAMPTZ => FieldType::TimestampTz,
        Type::UUID => FieldType::Uuid,
        Type::JSON => FieldType::Json,
        Type::JSONB => FieldType::Jsonb,
        Type::BYTEA => FieldType::Bytea,
        Type::VOID => FieldType::Void,
        _ => return None,
    })
}

/// The text encoding of the type. The delimiter of an array belongs to its element type.
pub(crate) fn text_type(data_type: &Type, delimiter: &impl Fn(&Type) -> u8) -> FieldType {
    let array = |element, delimiter| FieldType::ArrayLiteral { element: Box::new(element), delimiter };
    match data_type.kind() {
        _ if is_vector(data_type) => FieldType::Text,
        Kind::Array(element) => array(text_type(element, delimiter), delimiter(element)),
        Kind::Domain(base) => text_type(base, delimiter),
        // A pseudo-type, but an array.
        _ if *data_type == Type::RECORD_ARRAY => array(FieldType::Text, b','),
        _ => FieldType::Text,
    }
}

/// The system catalogs' vectors of numbers: stored as arrays, printed differently.
fn is_vector(data_type: &Type) -> bool {
    [Type::INT2_VECTOR, Type::OID_VECTOR].contains(data_type)
}

/// What `format_type(oid, NULL)` prints for a built-in type: the SQL standard name, if there is one. Names of other
/// types are looked up.
pub(crate) fn built_in_name(data_type: &Type) -> String {
    if let Kind::Array(element) = data_type.kind()
        && !is_vector(data_type)
    {
        return format!("{}[]", built_in_name(element));
    }
    let name = match *data_type {
        Type::BOOL => "boolean",
        Type::CHAR => "\"char\"",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::BPCHAR => "character",
        Type::VARCHAR => "character varying",
        Type::VARBIT => "bit varying",
        Type::RECORD_ARRAY => "record[]",
        Type::TIME => "time without time zone",
        Type::TIMETZ => "time with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        _ => data_type.name(),
    };
    name.to_owned()
}
