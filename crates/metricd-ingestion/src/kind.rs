//! Detects the kind of a file by its content.

use metricd_domain::FileKind;

use crate::Reason;
use crate::buffer::strip_byte_order_mark;
use crate::csv::{CsvRecord, CsvRecords, Header};
use crate::json::{Json, snake_case};
use crate::json_records::{JsonRecord, JsonRecords};

/// The columns of a file of queries.
pub(crate) const QUERY_COLUMNS: [&str; 2] = ["id", "query"];

/// The columns of a file of records.
pub(crate) const RECORD_COLUMNS: [&str; 7] =
    ["id", "date", "obsolescence", "alert_type", "parts_flagged", "obsolescence_val", "alert_category"];

/// Why the kind of a file is unknown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unrecognised {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The beginning of the file, if it helps to explain the fault.
    pub(crate) value: Option<String>,
}

impl Unrecognised {
    fn new(reason: Reason, message: impl Into<String>, value: Option<String>) -> Self {
        Self { reason, message: message.into(), value }
    }
}

/// Whether a file that begins with these bytes is JSON.
pub(crate) fn is_json(beginning: &[u8]) -> bool {
    let text = strip_byte_order_mark(beginning);
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Detects the kind of a file by its first bytes. 64 KiB suffice, unless a header is longer.
pub(crate) fn detect_kind(beginning: &[u8]) -> Result<FileKind, Unrecognised> {
    if beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff") {
        let message = "the file looks like UTF-16: save it as UTF-8";
        return Err(Unrecognised::new(Reason::FileEncoding, message, None));
    }
    let text = strip_byte_order_mark(beginning);
    match text.trim_ascii_start().first() {
        None => Err(Unrecognised::new(Reason::FileEmpty, "the file has no content", None)),
        Some(b'{' | b'[') => Ok(detect_json_kind(beginning)),
        Some(_) => detect_csv_kind(beginning),
    }
}

/// Detects definitions or records. A file has records if its first object is a record, in an array or on the first
/// line. An empty array has records, because definitions are an object. Everything else counts as definitions, and is
/// refused as such if it is malformed.
fn detect_json_kind(beginning: &[u8]) -> FileKind {
    let mut records = JsonRecords::new(beginning);
    let is_records = match records.next() {
        Ok(None) => true,
        Ok(Some(JsonRecord::Value { text, .. })) => is_record(text),
        Ok(Some(JsonRecord::Fault { .. })) | Err(_) => false,
    };
    if is_records { FileKind::Records } else { FileKind::Definitions }
}

/// Whether the text is an object with enough keys of a record, and with no key of definitions.
fn is_record(text: &[u8]) -> bool {
    // Invalid UTF-8 is refused when the record is read.
    let Ok(Json::Object(members)) = serde_json::from_str(&String::from_utf8_lossy(text)) else { return false };
    let keys: Vec<_> = members.iter().map(|(key, _)| snake_case(key)).collect();
    let has = |wanted: &str| keys.iter().any(|key| key == wanted);
    let columns = RECORD_COLUMNS.iter().filter(|column| has(column)).count();
    !has("items") && !has("layouts") && (columns >= 3 || has("id") && has("date"))
}

fn detect_csv_kind(beginning: &[u8]) -> Result<FileKind, Unrecognised> {
    let mut records = CsvRecords::new(beginning);
    let Ok(Some(CsvRecord::Fields { fields, .. })) = records.next() else {
        let message = format!("the file is neither JSON nor CSV with a header; {EXPECTED}");
        let value = String::from_utf8_lossy(beginning.get(..200).unwrap_or(beginning)).into_owned();
        return Err(Unrecognised::new(Reason::FileUnrecognised, message, Some(value)));
    };
    let header = Header::new(fields);
    let queries = header.count(&["query"]) + header.count_similar(&QUERY_COLUMNS);
    let records = header.count_similar(&RECORD_COLUMNS);
    if header.count(&QUERY_COLUMNS) == QUERY_COLUMNS.len() {
        Ok(FileKind::Queries)
    } else if records >= 3 {
        Ok(FileKind::Records)
    } else if queries >= 1 && records <= queries {
        Ok(FileKind::Queries)
    } else {
        Err(not_a_header(&header))
    }
}

const EXPECTED: &str = "expected a JSON object with `items`, CSV with the columns `id,query`, or records as CSV or JSON with \
                        `id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category`";

fn not_a_header(header: &Header) -> Unrecognised {
    let value = Some(header.names.join(","));
    let looks_like_sql = |name: &String| name.to_lowercase().contains("select");
    if header.names.iter().any(looks_like_sql) || header.names.len() == RECORD_COLUMNS.len() {
        let message = format!("the first line has data instead of column names; {EXPECTED}");
        return Unrecognised::new(Reason::HeaderMissing, message, value);
    }
    let message = format!("the content is neither definitions, queries nor records; {EXPECTED}");
    Unrecognised::new(Reason::FileUnrecognised, message, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_each_kind_by_its_content() {
        let kind = |text: &str| detect_kind(text.as_bytes()).ok();
        assert_eq!(kind("\u{feff}\n {\"items\": []}"), Some(FileKind::Definitions));
        assert_eq!(kind("{\n\"id\": \"d\", \"items\": []}"), Some(FileKind::Definitions));
        assert_eq!(kind("{\"id\": \"d\", \"date\": 1, \"items\": []}"), Some(FileKind::Definitions));
        assert_eq!(kind("[]"), Some(FileKind::Records));
        assert_eq!(kind("[ {\"id\": \"q1\", \"date\": \"2025-06-01\"}, nonsense"), Some(FileKind::Records));
        assert_eq!(kind("{\"id\": \"q1\", \"date\": \"2025-06-01\"}\n"), Some(FileKind::Records));
        assert_eq!(kind("{\"id\":1,\"alertType\":2,\"partsFlagged\":3}\n"), Some(FileKind::Records));
        assert_eq!(kind("[{\"id\": 1, \"query\": 2}]"), Some(FileKind::Definitions));
        assert_eq!(kind("id;query\n"), Some(FileKind::Queries));
        assert_eq!(kind("sep=;\r\nid;date;alert_type\r\n"), Some(FileKind::Records));
        assert_eq!(kind("id,query\n"), Some(FileKind::Queries));
        assert_eq!(kind("\"query\",\"id\"\n"), Some(FileKind::Queries));
        assert_eq!(kind("id,qurey\n"), Some(FileKind::Queries));
        assert_eq!(kind("date,id,alert_type\n"), Some(FileKind::Records));
        assert_eq!(kind("ID,Date,alert type,parts_flaged\n"), Some(FileKind::Records));
    }

    #[test]
    fn reports_why_the_kind_is_unknown() {
        let reason = |bytes: &[u8]| detect_kind(bytes).unwrap_err().reason;
        assert_eq!(reason(b""), Reason::FileEmpty);
        assert_eq!(reason(b"\xef\xbb\xbf \r\n"), Reason::FileEmpty);
        assert_eq!(reason(b"\xff\xfei\0d\0"), Reason::FileEncoding);
        assert_eq!(reason(b"q1,\"SELECT 1\"\n"), Reason::HeaderMissing);
        assert_eq!(reason(b"q1,2025-06-01,1,a,2,3,b\n"), Reason::HeaderMissing);
        assert_eq!(reason(b"hello\n"), Reason::FileUnrecognised);
    }
}
