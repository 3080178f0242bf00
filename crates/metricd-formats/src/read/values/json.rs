//! Lists, structs and maps as JSON.

use std::collections::HashSet;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_schema::DataType;
use metricd_ingestion::Reason;

use super::columns::{Form, MAX_DEPTH};
use super::{Fault, get, resolve, text};

/// Appends a value that [`resolve`] has found as JSON. Numbers have all their digits.
pub(super) fn write(array: &dyn Array, index: usize, depth: usize, out: &mut String) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        let message = format!("the value is nested deeper than {MAX_DEPTH} levels");
        return Err(Fault::new(Reason::FileMalformed, message, None));
    }
    match array.data_type() {
        DataType::List(_) => write_list(array.as_list::<i32>().value(index).as_ref(), depth, out),
        DataType::LargeList(_) => write_list(array.as_list::<i64>().value(index).as_ref(), depth, out),
        DataType::ListView(_) => write_list(array.as_list_view::<i32>().value(index).as_ref(), depth, out),
        DataType::LargeListView(_) => write_list(array.as_list_view::<i64>().value(index).as_ref(), depth, out),
        DataType::FixedSizeList(..) => write_list(array.as_fixed_size_list().value(index).as_ref(), depth, out),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            out.push('{');
            for (position, (field, column)) in fields.iter().zip(columns).enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_string(field.name(), out)?;
                out.push(':');
                write_or_null(column.as_ref(), index, depth, out)?;
            }
            out.push('}');
            Ok(())
        }
        DataType::Map(..) => write_map(&array.as_map().value(index), depth, out),
        DataType::Boolean => super::write(array, index, Form::Plain, out),
        _ if is_number(array.data_type()) => write_number(array, index, out),
        _ => write_scalar(array, index, out),
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_decimal()
}

fn write_or_null(array: &dyn Array, index: usize, depth: usize, out: &mut String) -> Result<(), Fault> {
    text::check_room(out, 0)?;
    if let Some((array, index)) = resolve(array, index) {
        return write(array, index, depth + 1, out);
    }
    out.push_str("null");
    Ok(())
}

fn write_list(items: &dyn Array, depth: usize, out: &mut String) -> Result<(), Fault> {
    out.push('[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(',');
        }
        write_or_null(items, index, depth, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_map(entries: &arrow_array::StructArray, depth: usize, out: &mut String) -> Result<(), Fault> {
    let [keys, values] = entries.columns() else {
        return Err(Fault::new(Reason::FileMalformed, "a map does not consist of keys and values", None));
    };
    let mut written = HashSet::new();
    out.push('{');
    for index in 0..entries.len() {
        if index > 0 {
            out.push(',');
        }
        let Some((key_array, key_index)) = resolve(keys.as_ref(), index) else {
            return Err(Fault::new(Reason::FileMalformed, "a key of a map is null", None));
        };
        let mut key = String::new();
        super::write(key_array, key_index, Form::Plain, &mut key)?;
        write_string(&key, out)?;
        out.push(':');
        write_or_null(values.as_ref(), index, depth, out)?;
        if let Some(repeated) = written.replace(key) {
            let message = "a map has a key twice, and JSON keeps the last value only";
            return Err(Fault::new(Reason::KeyRepeated, message, Some(repeated)));
        }
    }
    out.push('}');
    Ok(())
}

fn write_number(array: &dyn Array, index: usize, out: &mut String) -> Result<(), Fault> {
    let is_finite = match array.data_type() {
        DataType::Float16 => get::<Float16Type>(array, index).is_finite(),
        DataType::Float32 => get::<Float32Type>(array, index).is_finite(),
        DataType::Float64 => get::<Float64Type>(array, index).is_finite(),
        _ => true,
    };
    if !is_finite {
        let message = "a number in a nested value is `NaN` or infinite, which JSON cannot express";
        return Err(Fault::new(Reason::NumberNotFinite, message, None));
    }
    super::write(array, index, Form::Plain, out)
}

/// Appends a text, bytes, a date or a time as a JSON string, in the form of PostgreSQL's `to_jsonb`.
fn write_scalar(array: &dyn Array, index: usize, out: &mut String) -> Result<(), Fault> {
    match array.data_type() {
        DataType::Utf8 => return write_string(array.as_string::<i32>().value(index), out),
        DataType::LargeUtf8 => return write_string(array.as_string::<i64>().value(index), out),
        DataType::Utf8View => return write_string(array.as_string_view().value(index), out),
        _ => {}
    }
    let mut value = String::new();
    if !super::write_moment(array, index, 'T', "+00:00", &mut value)? {
        text::check_room(out, 0)?;
        super::write(array, index, Form::Plain, &mut value)?;
    }
    write_string(&value, out)
}

/// Appends a JSON string.
fn write_string(value: &str, out: &mut String) -> Result<(), Fault> {
    text::check_room(out, value.len())?;
    out.push('"');
    let mut rest = value;
    while let Some(position) = rest.find(|character: char| matches!(character, '"' | '\\' | '\0'..='\x1f')) {
        let (plain, special) = rest.split_at(position);
        out.push_str(plain);
        match special.as_bytes().first() {
            Some(0) => return Err(text::nul(value)),
            Some(b'\n') => out.push_str("\\n"),
            Some(byte @ (b'"' | b'\\')) => out.extend(['\\', char::from(*byte)]),
            Some(byte) => {
                out.push_str("\\u00");
                text::push_hex(*byte, out);
            }
            None => {}
        }
        rest = special.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
    Ok(())
}
