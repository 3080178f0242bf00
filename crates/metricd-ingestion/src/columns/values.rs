//! Checks values of each type, and writes them as PostgreSQL reads them.

use std::borrow::Cow;

use metricd_domain::{ColumnType, ReadOptions};

use super::fits::is_uuid;
use super::format::{ValueFormat, trim};
use super::{documents, numbers, times};
use crate::{CellKind, Reason};

/// The maximum size of a text or a document, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 1 << 20;

/// Why a value is refused: the code, and what was expected.
pub(super) type Fault = (Reason, Cow<'static, str>);

/// What a cell became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A value was appended.
    Value,
    /// The cell has no value, and nothing was appended.
    Null,
}

/// Appends a value of this type to a row of PostgreSQL's CSV.
///
/// # Errors
///
/// [`Fault`] if the value is refused. What was appended must be removed then.
#[inline]
pub(super) fn write(
    data_type: ColumnType,
    kind: CellKind,
    text: &str,
    format: &ValueFormat,
    output: &mut Vec<u8>,
) -> Result<Written, Fault> {
    let trimmed = match kind {
        CellKind::Null => return Ok(Written::Null),
        CellKind::Untyped => {
            let value = trim(text);
            if format.is_null(value) {
                return Ok(Written::Null);
            }
            value
        }
        CellKind::String if data_type != ColumnType::Text && format.is_null_text(text) => return Ok(Written::Null),
        _ => text,
    };
    match data_type {
        ColumnType::Text => write_text(text, output)?,
        ColumnType::Bigint => write_number(numbers::write_bigint, kind, trimmed, format, output)?,
        ColumnType::Numeric => write_number(numbers::write_numeric, kind, trimmed, format, output)?,
        ColumnType::Double => write_number(numbers::write_double, kind, trimmed, format, output)?,
        ColumnType::Boolean => write_boolean(trimmed, output)?,
        ColumnType::Date => write_date(&iso(kind, trimmed, format)?, output)?,
        ColumnType::Timestamp => write_timestamp(&iso(kind, trimmed, format)?, output)?,
        ColumnType::Timestamptz => write_timestamptz(&iso(kind, trimmed, format)?, output)?,
        ColumnType::Uuid => write_uuid(trimmed, output)?,
        ColumnType::Jsonb => write_document(trimmed, output)?,
        ColumnType::Bytea => write_bytes(trimmed, output)?,
    }
    Ok(Written::Value)
}

/// A value of this type as it is written to a row. Only the types whose values need no quotes are expected.
///
/// # Errors
///
/// What was expected, if the text is no value of the type.
pub(crate) fn written_value(data_type: ColumnType, kind: CellKind, text: &str) -> Result<String, String> {
    let format = ValueFormat::new(&ReadOptions::default()).map_err(|error| error.to_string())?;
    let mut output = Vec::new();
    match write(data_type, kind, text, &format, &mut output) {
        Ok(Written::Value) => String::from_utf8(output).map_err(|error| error.to_string()),
        Ok(Written::Null) => Err(format!("the text is blank: expected a value of the type `{data_type}`")),
        Err((_, message)) if message == EXPECTED_DAY => {
            Err("expected a day written as YYYY-MM-DD, whatever the `date_format` of the files".to_owned())
        }
        Err((_, message)) => Err(message.into_owned()),
    }
}

type NumberWriter = fn(&str, &mut Vec<u8>) -> Result<(), numbers::NumberFault>;

#[inline]
fn write_number(
    write: NumberWriter,
    kind: CellKind,
    text: &str,
    format: &ValueFormat,
    output: &mut Vec<u8>,
) -> Result<(), Fault> {
    let result = if format.decimal_comma && matches!(kind, CellKind::Untyped | CellKind::String) {
        numbers::require_point(text).and_then(|number| write(&number, output))
    } else {
        write(text, output)
    };
    let trailing = |fault: numbers::NumberFault| match text.strip_suffix('-') {
        // SAP writes the sign of a negative number at its end.
        Some(number) if number.starts_with(|first: char| first.is_ascii_digit()) && kind == CellKind::Untyped => {
            write_number(write, CellKind::String, &format!("-{}", number.trim_end()), format, output)
        }
        _ => Err((fault.0, fault.1.into())),
    };
    result.or_else(trailing)
}

fn write_boolean(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let is_any = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
    let value: &[u8] = if is_any(&["true", "t", "yes", "y", "on", "1"]) {
        b"true"
    } else if is_any(&["false", "f", "no", "n", "off", "0"]) {
        b"false"
    } else {
        return Err((Reason::BooleanInvalid, "expected `true` or `false`".into()));
    };
    output.extend_from_slice(value);
    Ok(())
}

/// The value in the notation of ISO 8601, if a format of dates is declared.
#[inline]
fn iso<'a>(kind: CellKind, text: &'a str, format: &ValueFormat) -> Result<Cow<'a, str>, Fault> {
    if !format.has_dates() || !matches!(kind, CellKind::Untyped | CellKind::String) {
        return Ok(Cow::Borrowed(text));
    }
    match format.iso(text) {
        Some(iso) => Ok(Cow::Owned(iso)),
        None if format.accepts_iso => Ok(Cow::Borrowed(text)),
        None => Err((Reason::DateInvalid, "expected the declared format of dates".into())),
    }
}

const EXPECTED_DAY: &str = "expected a day written as YYYY-MM-DD; `date_format` declares another notation";

fn write_date(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    if times::is_day(bytes) || times::extended::is_date(bytes) {
        output.extend_from_slice(bytes);
        return Ok(());
    }
    let Some(day) = text.get(..10).filter(|day| times::is_written_as_day(day.as_bytes())) else {
        return Err((Reason::DateInvalid, EXPECTED_DAY.into()));
    };
    if !times::is_day(day.as_bytes()) {
        return Err((Reason::DateInvalid, "the day does not exist in the calendar".into()));
    }
    match times::timestamp(bytes) {
        Some(time) if time.is_midnight() => {
            output.extend_from_slice(day.as_bytes());
            Ok(())
        }
        _ if text[10..].starts_with(['T', 't', ' ']) => {
            let message =
                format!("expected a day such as `{day}`, found a timestamp; only midnight in UTC counts as a day");
            Err((Reason::DateTimestamp, message.into()))
        }
        _ => Err((Reason::DateInvalid, EXPECTED_DAY.into())),
    }
}

fn write_timestamp(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    match times::timestamp(bytes) {
        Some(time) if time.offset.is_none() => {
            time.write(output);
            Ok(())
        }
        Some(_) => {
            let message =
                "expected a timestamp without an offset: declare the type `timestamptz`, or remove the offset";
            Err((Reason::TimestampInvalid, message.into()))
        }
        None if times::is_day(bytes) => {
            output.extend_from_slice(bytes);
            output.extend_from_slice(b" 00:00:00");
            Ok(())
        }
        None if times::extended::write_timestamp(bytes, false, output) => Ok(()),
        None => Err(timestamp_fault(text, "2025-06-01 12:00:00")),
    }
}

fn write_timestamptz(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    match times::timestamp(bytes) {
        Some(time) if time.offset.is_some() => {
            time.write(output);
            Ok(())
        }
        None if times::extended::write_timestamp(bytes, true, output) => Ok(()),
        Some(_) => {
            let message = "the timestamp has no offset, so its instant is unknown: expected one such as \
                           `2025-06-01 12:00:00+02:00`";
            Err((Reason::TimestampInvalid, message.into()))
        }
        None => Err(timestamp_fault(text, "2025-06-01 12:00:00+02:00")),
    }
}

fn timestamp_fault(text: &str, example: &str) -> Fault {
    let day = text.get(..10).filter(|day| times::is_written_as_day(day.as_bytes()));
    let message = match day {
        Some(day) if !times::is_day(day.as_bytes()) => "the day does not exist in the calendar".into(),
        _ => format!("expected a timestamp such as `{example}`, with at most 6 digits after the seconds").into(),
    };
    (Reason::TimestampInvalid, message)
}

fn write_uuid(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    if !is_uuid(text.as_bytes()) {
        let message = "expected a UUID such as `0190f5fe-7c00-7a00-8000-000000000000`";
        return Err((Reason::UuidInvalid, message.into()));
    }
    output.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    Ok(())
}

fn write_document(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    documents::validate(text)
        .map_err(|message| (Reason::JsonInvalid, format!("expected a JSON document: {message}").into()))?;
    write_text(text, output)
}

fn write_bytes(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let digits = text.strip_prefix("\\x").unwrap_or("x");
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err((
            Reason::BytesInvalid,
            "expected bytes as hexadecimal digits after `\\x`, such as `\\x00ff`".into(),
        ));
    }
    output.extend_from_slice(text.as_bytes());
    Ok(())
}

#[inline]
fn write_text(text: &str, output: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_TEXT_BYTES {
        let message = format!("the text has {} bytes: expected at most {MAX_TEXT_BYTES}", bytes.len());
        return Err((Reason::TextTooLong, message.into()));
    }
    // Without a branch for each byte, so that several bytes are compared at once.
    let (mut is_special, mut has_quote, mut has_nul) = (false, false, false);
    for byte in bytes {
        is_special |= matches!(byte, b',' | b'\n' | b'\r');
        has_quote |= *byte == b'"';
        has_nul |= *byte == 0;
    }
    if has_nul {
        return Err((Reason::TextNul, "the text has a NUL character, which PostgreSQL cannot store".into()));
    }
    if has_quote {
        output.push(b'"');
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
            output.extend_from_slice(&rest[..=at]);
            output.push(b'"');
            rest = &rest[at + 1..];
        }
        output.extend_from_slice(rest);
        output.push(b'"');
    } else if is_special || bytes.is_empty() || bytes == b"\\." {
        output.push(b'"');
        output.extend_from_slice(bytes);
        output.push(b'"');
    } else {
        output.extend_from_slice(bytes);
    }
    Ok(())
}
