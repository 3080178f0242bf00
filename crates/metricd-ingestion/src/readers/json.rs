//! Reads tables in JSON: an array of objects, or one object a line (NDJSON).

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::from_utf8;

use memchr::memchr;
use metricd_domain::{MAX_TABLE_COLUMNS, ReadOptions, plain_json_error};
use serde::de::IgnoredAny;

use super::text::{TextInput, decoded_beginning};
use super::{not_utf8, row_fault, too_many_columns, untyped_column};
use crate::csv::MAX_RECORD_BYTES;
use crate::json_records::{JsonFault, JsonRecord, JsonRecords, members};
use crate::kind::is_json;
use crate::{CellKind, Next, ReadError, ReadSeek, Reason, RowFault, SourceColumn, SourceRow, TableFormat, TableReader};

/// JSON and NDJSON. The columns are the keys of all objects, in the order of their first occurrence, so opening a file
/// reads it once.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonFormat;

impl TableFormat for JsonFormat {
    fn name(&self) -> &'static str {
        "JSON"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["json", "ndjson", "jsonl"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        decoded_beginning(beginning).map_or_else(|| is_json(beginning), |text| is_json(text.as_bytes()))
    }

    fn open(&self, file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        let mut input = TextInput::open(file, options.encoding.as_deref())?;
        let (columns, keys) = columns(&mut input)?;
        input.rewind()?;
        Ok(Box::new(JsonReader { records: JsonRecords::new(input), columns, keys }))
    }
}

/// Reads the objects of a JSON file.
#[derive(Debug)]
struct JsonReader {
    records: JsonRecords<TextInput>,
    columns: Vec<SourceColumn>,
    /// The position of the column of each key.
    keys: HashMap<String, usize>,
}

/// The keys of all objects as columns, in the order of their first occurrence, and the position of each.
fn columns(input: &mut TextInput) -> Result<(Vec<SourceColumn>, HashMap<String, usize>), ReadError> {
    let mut records = JsonRecords::new(input);
    let (mut columns, mut keys) = (Vec::new(), HashMap::new());
    while let Some(record) = records.next()? {
        let text = match record {
            JsonRecord::Value { text, .. } => text,
            JsonRecord::Fault { line, fault } => {
                end_of_file(line, fault)?;
                continue;
            }
        };
        // What is not an object is a fault of its row.
        let Ok(object) = object(text) else { continue };
        for (index, (key, _)) in members(object).enumerate() {
            let Some(key) = string(key) else { continue };
            if is_column(&columns, index, &key) || keys.contains_key(key.as_ref()) {
                continue;
            }
            if columns.len() == MAX_TABLE_COLUMNS {
                return Err(too_many_columns(columns.len() + 1));
            }
            keys.insert(key.to_string(), columns.len());
            columns.push(untyped_column(key));
        }
    }
    Ok((columns, keys))
}

/// Whether the column at this position has this name. In most files, the keys of each object are in the same order.
fn is_column(columns: &[SourceColumn], position: usize, name: &str) -> bool {
    columns.get(position).is_some_and(|column| column.name == name)
}

/// The error of a fault after which the rest of the file cannot be read. A line that is too long is only skipped.
fn end_of_file(line: u64, fault: JsonFault) -> Result<(), ReadError> {
    match fault {
        JsonFault::Truncated => {
            let message = format!("line {line}: the file ends before its JSON does");
            Err(ReadError::content(Reason::FileTruncated, message))
        }
        JsonFault::Structure => {
            let message =
                format!("line {line}: expected an array of objects with commas between them, and nothing after it");
            Err(ReadError::content(Reason::JsonSyntax, message))
        }
        JsonFault::TooLong => Ok(()),
    }
}

impl TableReader for JsonReader {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn may_lack_columns(&self) -> bool {
        true
    }

    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        row.clear();
        Ok(match self.records.next()? {
            None => Next::End,
            Some(JsonRecord::Fault { line, fault }) => {
                end_of_file(line, fault)?;
                let message = format!("a record has more than {MAX_RECORD_BYTES} bytes, or does not end");
                Next::Fault(row_fault(line, Reason::RecordTooLong, message, b""))
            }
            Some(JsonRecord::Value { line, text, .. }) => {
                match object(text)
                    .map_err(|(reason, message)| row_fault(line, reason, message, text))
                    .and_then(|object| read_object(&self.columns, &self.keys, line, object, row))
                {
                    Ok(()) => Next::Row { line },
                    Err(fault) => {
                        row.clear();
                        Next::Fault(fault)
                    }
                }
            }
        })
    }
}

/// The text of an object.
fn object(text: &[u8]) -> Result<&str, (Reason, String)> {
    let text = from_utf8(text).map_err(|error| (Reason::TextEncoding, not_utf8(error.valid_up_to())))?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) if text.starts_with('{') => Ok(text),
        Ok(_) => Err((Reason::TypeMismatch, "expected an object with the columns as its keys".to_owned())),
        Err(error) => {
            let message = plain_json_error(&error.to_string());
            let message = message.split(" at line ").next().unwrap_or_default();
            Err((
                Reason::JsonSyntax,
                format!("the record is not JSON: {message}; expected an array of objects, or one object a line"),
            ))
        }
    }
}

/// Appends the values of an object to the row.
fn read_object(
    columns: &[SourceColumn],
    keys: &HashMap<String, usize>,
    line: u64,
    object: &str,
    row: &mut SourceRow,
) -> Result<(), RowFault> {
    let fault = |reason, message: String, value: &str| row_fault(line, reason, message, value.as_bytes());
    let mut values: Vec<Option<&str>> = vec![None; columns.len()];
    let mut expected = 0;
    for (key, value) in members(object) {
        let Some(name) = string(key) else {
            return Err(fault(Reason::JsonSyntax, "a key has an escape of half a surrogate pair".to_owned(), key));
        };
        let is_expected = is_column(columns, expected, &name);
        let position = if is_expected { Some(expected) } else { keys.get(name.as_ref()).copied() };
        let Some(slot) = position.and_then(|position| values.get_mut(position)) else {
            return Err(fault(
                Reason::FileChanged,
                format!("the key `{name}` was added while the file was read"),
                value,
            ));
        };
        if slot.replace(value).is_some() {
            let message = format!("the record has the key `{name}` more than once");
            return Err(RowFault { column: Some(name.into_owned()), ..fault(Reason::KeyRepeated, message, value) });
        }
        expected = position.unwrap_or(expected) + 1;
    }
    for (value, column) in values.into_iter().zip(columns) {
        let value = value.unwrap_or("null");
        match value.as_bytes().first() {
            Some(b'n') => row.push_null(),
            Some(b'"') => {
                let Some(text) = string(value) else {
                    let message = "the string has an escape of half a surrogate pair".to_owned();
                    let fault = fault(Reason::JsonSyntax, message, value);
                    return Err(RowFault { column: Some(column.name.clone()), ..fault });
                };
                row.push(CellKind::String, &text);
            }
            Some(b't' | b'f') => row.push(CellKind::Boolean, value),
            Some(b'{' | b'[') => row.push(CellKind::Json, value),
            _ => row.push(CellKind::Number, value),
        }
    }
    Ok(())
}

/// The content of a string in valid JSON. `None` if it has half of a surrogate pair.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let [b'"', inner @ .., b'"'] = json.as_bytes() else { return None };
    if memchr(b'\\', inner).is_some() {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    json.get(1..json.len() - 1).map(Cow::Borrowed)
}
