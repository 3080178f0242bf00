//! PostgreSQL's types: the encoding in which their values arrive, and the names that `format_type` prints.

use metricd_execution::{DeclaredDigits, FieldType};
use tokio_postgres::types::{Kind, Type};

/// The binary encoding of the type with this modifier; `None` if its values arrive in text format.
pub(crate) fn field_type(data_type: &Type, modifier: i32) -> Option<FieldType> {
    match data_type.kind() {
        _ if is_vector(data_type) => return None,
        // The modifier of an array is that of its elements.
        Kind::Array(element) => {
            return field_type(element, modifier).map(|element| FieldType::Array(Box::new(element)));
        }
        Kind::Enum(_) => return Some(FieldType::Text),
        // PostgreSQL reports a domain as its base type with the base type's modifier, but not as an element.
        Kind::Domain(base) => return field_type(base, modifier),
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
        Type::NUMERIC => FieldType::Numeric(declared_digits(modifier)),
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

/// The length of a varlena header, which PostgreSQL adds to the modifier of a `numeric`.
const VARLENA_HEADER_BYTES: i32 = 4;

/// The digits of a `numeric` with this modifier; `None` if the type declares none.
///
/// The modifier has the precision in its upper 16 bits, and the scale as a signed number in the lower 11
/// (`make_numeric_typmod` in PostgreSQL's `numeric.c`).
fn declared_digits(modifier: i32) -> Option<DeclaredDigits> {
    let packed = modifier.checked_sub(VARLENA_HEADER_BYTES).filter(|packed| *packed >= 0)?;
    let scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
    Some(DeclaredDigits { precision: u16::try_from(packed >> 16).ok()?, scale: i16::try_from(scale).ok()? })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modifier_of_a_numeric_has_its_digits() {
        // `SELECT atttypmod` for columns of these types.
        for (modifier, digits) in [
            (-1, None),
            (786_438, Some((12, 2))),
            (65_540, Some((1, 0))),
            (2_490_372, Some((38, 0))),
            (65_536_004 + 1000, Some((1000, 1000))),
            (5 << 16 | 0x7FE, Some((5, -6))),
        ] {
            let found = declared_digits(modifier).map(|DeclaredDigits { precision, scale }| (precision, scale));
            assert_eq!(found, digits, "{modifier}");
        }
    }

    #[test]
    fn the_modifier_of_an_array_is_that_of_its_elements() {
        let digits = DeclaredDigits { precision: 12, scale: 2 };
        let element = FieldType::Numeric(Some(digits));
        assert_eq!(field_type(&Type::NUMERIC_ARRAY, 786_438), Some(FieldType::Array(Box::new(element))));
        assert_eq!(field_type(&Type::INT8, -1), Some(FieldType::BigInt));
    }
}
