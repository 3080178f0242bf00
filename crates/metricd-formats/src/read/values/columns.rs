//! The columns of a schema of Arrow, and their types in PostgreSQL.

use std::collections::HashSet;

use arrow_schema::extension::EXTENSION_TYPE_NAME_KEY;
use arrow_schema::{DataType, Field, Fields};
use metricd_domain::ColumnType;
use metricd_ingestion::{ReadError, SourceColumn};

use crate::read::table::malformed;

/// The maximum number of levels of lists, structs and maps in each other.
pub(in crate::read) const MAX_DEPTH: usize = 64;

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::read) enum Form {
    /// By the type of the array.
    Plain,
    /// 16 bytes that are a UUID.
    Uuid,
    /// A text that is a JSON document.
    Json,
    /// A list, struct or map, as JSON.
    Nested,
}

/// Describes a column. `has_nanoseconds` says whether PostgreSQL would lose digits of its timestamps: they are text then.
pub(in crate::read) fn describe(field: &Field, has_nanoseconds: bool) -> Result<(SourceColumn, Form), ReadError> {
    let (data_type, form) = column_type(field, field.data_type(), has_nanoseconds)?;
    let metadata = field.metadata();
    let description = ["description", "comment"].into_iter().find_map(|key| metadata.get(key));
    let description = description.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok((SourceColumn { name: field.name().clone(), data_type: Some(data_type), description }, form))
}

fn column_type(field: &Field, data_type: &DataType, has_nanoseconds: bool) -> Result<(ColumnType, Form), ReadError> {
    let extension = field.metadata().get(EXTENSION_TYPE_NAME_KEY).map(String::as_str);
    let is_json = extension == Some("arrow.json");
    let column_type = match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => ColumnType::Bigint,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => ColumnType::Numeric,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Double,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(..) if has_nanoseconds => ColumnType::Text,
        DataType::Timestamp(_, None) => ColumnType::Timestamp,
        DataType::Timestamp(_, Some(_)) => ColumnType::Timestamptz,
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
            if is_json =>
        {
            return Ok((ColumnType::Jsonb, Form::Json));
        }
        DataType::Null
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => ColumnType::Text,
        DataType::FixedSizeBinary(16) if extension == Some("arrow.uuid") => return Ok((ColumnType::Uuid, Form::Uuid)),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ColumnType::Bytea
        }
        DataType::Dictionary(_, values) => return column_type(field, values, has_nanoseconds),
        DataType::RunEndEncoded(_, values) => return column_type(field, values.data_type(), has_nanoseconds),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_)
        | DataType::Map(..) => {
            check_nested(field.name(), data_type, 0)?;
            return Ok((ColumnType::Jsonb, Form::Nested));
        }
        DataType::Union(..) => return Err(unsupported(field.name(), "is a union")),
    };
    Ok((column_type, Form::Plain))
}

/// Refuses nested types whose values JSON cannot express.
fn check_nested(column: &str, data_type: &DataType, depth: usize) -> Result<(), ReadError> {
    if depth > MAX_DEPTH {
        return Err(unsupported(column, &format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::RunEndEncoded(_, item) => check_nested(column, item.data_type(), depth + 1),
        DataType::Dictionary(_, values) => check_nested(column, values, depth + 1),
        DataType::Struct(fields) => check_struct(column, fields, depth),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(unsupported(column, "has a map without entries"));
            };
            if fields.first().is_some_and(|key| key.data_type().is_nested()) {
                return Err(unsupported(column, "has a map whose keys are lists, structs or maps"));
            }
            check_struct(column, fields, depth)
        }
        DataType::Union(..) => Err(unsupported(column, "has a union")),
        _ => Ok(()),
    }
}

fn check_struct(column: &str, fields: &Fields, depth: usize) -> Result<(), ReadError> {
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name()) {
            return Err(unsupported(column, &format!("has a struct with two fields named `{}`", field.name())));
        }
        check_nested(column, field.data_type(), depth + 1)?;
    }
    Ok(())
}

fn unsupported(column: &str, why: &str) -> ReadError {
    malformed(format!("the column `{column}` {why}, which cannot be stored: write it as text or JSON"))
}
