//! Detects the kind of a file by its content.

use std::sync::Arc;

use metricd_domain::FileKind;

use crate::Reason;
use crate::buffer::strip_byte_order_mark;
use crate::csv::{CsvRecord, CsvRecords, Header};
use crate::json::Json;
use crate::json_records::{JsonRecord, JsonRecords};
use crate::source::TableFormat;

/// The columns of a file of queries.
pub(crate) const QUERY_COLUMNS: [&str; 2] = ["id", "query"];

/// Why the kind of a file is unknown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unrecognised {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The beginning of the file, if it helps to explain the fault.
    pub(crate) value: Option<String>,
}

impl Unrecognised {
    pub(crate) fn new(reason: Reason, message: impl Into<String>, value: Option<String>) -> Self {
        Self { reason, message: message.into(), value }
    }
}

/// The kind of a file, with the format of its rows if it has rows.
#[derive(Debug)]
pub(crate) enum Kind {
    Definitions,
    Queries,
    Table(Arc<dyn TableFormat>),
}

impl Kind {
    pub(crate) fn file_kind(&self) -> FileKind {
        match self {
            Self::Definitions => FileKind::Definitions,
            Self::Queries => FileKind::Queries,
            Self::Table(_) => FileKind::Table,
        }
    }
}

/// Detects the kind of a file by its first bytes, and by its extension if it is one JSON object. 64 KiB suffice, unless a
/// header is longer. The first of the formats that detects the file reads its rows.
pub(crate) fn detect_kind(
    beginning: &[u8],
    extension: Option<&str>,
    formats: &[Arc<dyn TableFormat>],
) -> Result<Kind, Unrecognised> {
    let text = strip_byte_order_mark(beginning);
    let is_rows = match text.trim_ascii_start().first() {
        None => return Err(Unrecognised::new(Reason::FileEmpty, "the file has no content", None)),
        Some(b'{' | b'[') if is_definitions(beginning, extension) => return Ok(Kind::Definitions),
        Some(b'{' | b'[') => true,
        Some(_) => !is_queries(beginning),
    };
    if !is_rows {
        return Ok(Kind::Queries);
    }
    let format = formats.iter().find(|format| format.detect(beginning));
    format.map(|format| Kind::Table(Arc::clone(format))).ok_or_else(|| {
        let value = String::from_utf8_lossy(beginning.get(..200).unwrap_or(beginning)).into_owned();
        Unrecognised::new(Reason::FileUnrecognised, Reason::FileUnrecognised.meaning(), Some(value))
    })
}

/// Whether a file that begins with these bytes is JSON.
pub(crate) fn is_json(beginning: &[u8]) -> bool {
    matches!(strip_byte_order_mark(beginning).trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Whether the JSON is a file of definitions, and not the rows of a table: an array of objects, or an object on each
/// line. What is malformed from its beginning on is refused as definitions.
fn is_definitions(beginning: &[u8], extension: Option<&str>) -> bool {
    let mut values = JsonRecords::new(beginning);
    let is_array = strip_byte_order_mark(beginning).trim_ascii_start().starts_with(b"[");
    let is_lines = matches!(extension, Some("ndjson" | "jsonl"));
    match values.next() {
        // An empty array.
        Ok(None) => false,
        Ok(Some(JsonRecord::Value { text, .. })) => match keys_of(text) {
            Some(keys) if keys.iter().any(|key| DEFINITION_KEYS.contains(&key.as_str())) => true,
            Some(_) if is_array || is_lines => false,
            // One object alone is no table: it may be anything, such as a configuration.
            Some(_) => !matches!(values.next(), Ok(Some(JsonRecord::Value { .. }))),
            // What is malformed is refused by its line.
            None => !is_array && !is_lines,
        },
        Ok(Some(JsonRecord::Fault { .. })) | Err(_) => true,
    }
}

/// A file of definitions has at least one of these keys.
const DEFINITION_KEYS: [&str; 3] = ["items", "layouts", "tables"];

/// The keys of the object. `None` if the text is not an object.
fn keys_of(text: &[u8]) -> Option<Vec<String>> {
    // Invalid UTF-8 is refused when the object is read.
    let Ok(Json::Object(members)) = serde_json::from_str(&String::from_utf8_lossy(text)) else { return None };
    Some(members.into_iter().map(|(key, _)| key).collect())
}

/// Whether the text is CSV with the columns `id` and `query`, or with two columns that are similar to these.
fn is_queries(beginning: &[u8]) -> bool {
    let mut records = CsvRecords::new(beginning);
    let Ok(Some(CsvRecord::Fields { fields, .. })) = records.next() else { return false };
    let header = Header::new(fields);
    // A column such as `query_id` is meant as the id. Search statistics have a column `query` as well.
    let has_id =
        header.count_similar(&["id"]) > 0 || header.names.iter().any(|name| name.to_lowercase().ends_with("id"));
    header.count(&QUERY_COLUMNS) == QUERY_COLUMNS.len()
        || header.names.len() == QUERY_COLUMNS.len() && has_id && header.count_similar(&["query"]) > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readers::text_formats;

    use metricd_domain::FileKind::{Definitions, Queries, Table};

    fn kind(text: &str) -> Option<FileKind> {
        detect_kind(text.as_bytes(), None, &text_formats()).ok().map(|kind| kind.file_kind())
    }

    #[test]
    fn detects_each_kind_by_its_content() {
        for text in
            ["\u{feff}\n {\"items\": []}", "{\n\"id\": \"d\", \"tables\": []}", "{\"a\": 1}", "{\"layouts\": 1}\n{}"]
        {
            assert_eq!(kind(text), Some(Definitions), "{text}");
        }
        for text in
            ["id;query\n", "id,query\n", "\"query\",\"id\"\n", "id,qurey\n", "id,query,note\n", "query_id,query\n"]
        {
            assert_eq!(kind(text), Some(Queries), "{text}");
        }
        let rows = [
            "[]",
            "[{\"a\": 1}, nonsense",
            "{\"a\":1}\n{\"a\":2}",
            "a,b\n1,2",
            "query,clicks,date\n",
            "query,clicks\n",
            "hello\n",
            "[1]",
        ];
        for text in rows {
            assert_eq!(kind(text), Some(Table), "{text}");
        }
        let one = detect_kind(b"{\"a\": 1}", Some("ndjson"), &text_formats());
        assert_eq!(one.unwrap().file_kind(), Table);
        let broken = detect_kind(b"{\"a\": \"\\ud800\"}\n{\"a\": 1}", Some("jsonl"), &text_formats());
        assert_eq!(broken.unwrap().file_kind(), Table);
        // One NUL makes no binary file; UTF-16 without a byte order mark needs its encoding passed.
        assert_eq!(kind("a,b\n1,\0\n"), Some(Table));
        assert_eq!(kind("a\0,\0b\0\n\0"), Some(Table));
        assert_eq!(kind("\u{7f}ELF\0\0\0\u{1}"), None);
        assert_eq!(detect_kind(b"\xef\xbb\xbf \r\n", None, &text_formats()).unwrap_err().reason, Reason::FileEmpty);
    }
}
