//! Parses the records of JSON files.

use std::borrow::Cow;

use metricd_domain::plain_json_error;
use serde::de::IgnoredAny;

use super::{COLUMN_COUNT, NUMBER_COLUMNS, RecordParser, Refused, RowOutcome, RowPosition, Texts};
use crate::Reason;
use crate::csv::MAX_RECORD_BYTES;
use crate::findings::Findings;
use crate::json::snake_case;
use crate::json_records::{JsonFault, JsonRecord, members};
use crate::kind::RECORD_COLUMNS;

/// The maximum number of unknown keys of a file that are reported.
const MAX_UNKNOWN_KEYS: usize = 100;

impl RecordParser {
    /// Parses a JSON record, and reports its faults.
    pub(crate) fn parse_json(&mut self, record: &JsonRecord<'_>, findings: &mut Findings) -> RowOutcome {
        let (position, text) = match record {
            JsonRecord::Value { line, index, text } => (RowPosition { line: *line, index: *index }, *text),
            JsonRecord::Fault { line, fault } => {
                self.refuse_json(RowPosition { line: *line, index: None }, *fault, findings);
                return RowOutcome::Refused;
            }
        };
        let Some(object) = self.parse_object(position, text, findings) else { return RowOutcome::Refused };
        let Ok(texts) = self.texts(position, object, findings) else { return RowOutcome::Refused };
        self.parse_texts(position, texts, findings)
    }

    fn refuse_json(&self, position: RowPosition, fault: JsonFault, findings: &mut Findings) {
        let (reason, message) = match fault {
            JsonFault::Truncated => (Reason::FileTruncated, "the file ends before its JSON does".to_owned()),
            JsonFault::Structure => (
                Reason::JsonSyntax,
                "expected an array of records with commas between them: the rest of the file is not read".to_owned(),
            ),
            JsonFault::TooLong => {
                (Reason::RecordTooLong, format!("a record has more than {MAX_RECORD_BYTES} bytes, or does not end"))
            }
        };
        findings.refuse(self.location(position), None, reason, message);
    }

    /// The text of the record. `None` after it was refused because it is not a JSON object.
    fn parse_object<'a>(&self, position: RowPosition, text: &'a [u8], findings: &mut Findings) -> Option<&'a str> {
        let value = String::from_utf8_lossy(&text[..text.len().min(400)]);
        let (reason, message) = match std::str::from_utf8(text) {
            Err(error) => {
                let message = format!("the text is not UTF-8 from byte {} on", error.valid_up_to() + 1);
                (Reason::TextEncoding, message)
            }
            Ok(text) => match serde_json::from_str::<IgnoredAny>(text) {
                Err(error) => {
                    let message = plain_json_error(&error.to_string());
                    let message = message.split(" at line ").next().unwrap_or_default();
                    (Reason::JsonSyntax, format!("the record is not JSON: {message}"))
                }
                Ok(_) if text.starts_with('{') => return Some(text),
                Ok(_) => (Reason::TypeMismatch, "expected an object with the columns as its keys".to_owned()),
            },
        };
        findings.refuse(self.location(position), Some(&value), reason, message);
        None
    }

    /// The texts of the columns. A missing or null value is empty.
    fn texts<'a>(
        &mut self,
        position: RowPosition,
        object: &'a str,
        findings: &mut Findings,
    ) -> Result<Texts<'a>, Refused> {
        let mut found: [Option<&str>; COLUMN_COUNT] = [None; COLUMN_COUNT];
        let mut is_repeated = false;
        for (key, value) in members(object) {
            let key: String = serde_json::from_str(key).unwrap_or_default();
            match RECORD_COLUMNS.iter().position(|column| *column == snake_case(&key)) {
                Some(index) if found[index].replace(value).is_some() => {
                    let message = format!("the record has the key `{}` more than once", RECORD_COLUMNS[index]);
                    findings.refuse(self.location(position), Some(value), Reason::KeyRepeated, message);
                    is_repeated = true;
                }
                Some(_) => {}
                None => self.notice_unknown(position, key, findings),
            }
        }
        if is_repeated {
            return Err(Refused);
        }
        let row = self.location(position);
        Ok(std::array::from_fn(|index| {
            let column = RECORD_COLUMNS[index];
            let value = found[index].unwrap_or("null");
            let expected = if NUMBER_COLUMNS.contains(&column) { "a number" } else { "a string" };
            let type_name = match value.as_bytes().first() {
                Some(b'n') => return Ok(Cow::Borrowed("")),
                Some(b'"') => return serde_json::from_str::<String>(value).map(Cow::Owned).map_err(|_| Refused),
                Some(b't' | b'f') => "a boolean",
                Some(b'{') => "an object",
                Some(b'[') => "an array",
                _ if NUMBER_COLUMNS.contains(&column) => return Ok(Cow::Borrowed(value)),
                _ => "a number",
            };
            let location = metricd_domain::Location { column: Some(column.to_owned()), ..row.clone() };
            let message = format!("`{column}` is {type_name}: expected {expected}");
            findings.refuse(location, Some(value), Reason::TypeMismatch, message);
            Err(Refused)
        }))
    }

    fn notice_unknown(&mut self, position: RowPosition, key: String, findings: &mut Findings) {
        if self.unknown_keys.len() < MAX_UNKNOWN_KEYS && !self.unknown_keys.contains(&key) {
            let message = format!("the key `{key}` is unknown and is ignored in every record of the file");
            findings.notice(self.location(position), Reason::KeyUnknown, message);
            self.unknown_keys.push(key);
        }
    }
}
