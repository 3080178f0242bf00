//! The stable codes of refusals and notices, with their meanings.

use metricd_execution::FindingCode;

macro_rules! reasons {
    ($($name:ident = $code:literal: $meaning:literal,)*) => {
        /// Why an entry is refused, or what a notice is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $meaning] $name,)*
            /// A finding in the SQL, by the guard or by PostgreSQL.
            Sql(FindingCode),
        }

        impl Reason {
            /// Every reason except those of [`FindingCode`].
            pub const OWN: &[Self] = &[$(Self::$name,)*];

            /// The stable code, which is the same in every release.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Sql(finding) => finding.code(),
                }
            }

            /// The meaning of the code, as a sentence without a full stop.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                    Self::Sql(finding) => finding.meaning(),
                }
            }
        }
    };
}

reasons! {
    FileEmpty = "file-empty": "the file has no content",
    FileEncoding = "file-encoding": "the file is not in UTF-8 or in the encoding that was passed",
    FileUnrecognised = "file-unrecognised": "the content is neither definitions, queries nor the rows of a table",
    FileMistaken = "file-mistaken": "the content of the file is of another kind than it was sent as",
    FileTooLarge = "file-too-large": "the file of definitions or queries exceeds the maximum size",
    TablesNotStored = "tables-not-stored": "the file has the rows of a table, and the data is in another database than the catalog",
    FileRepeated = "file-repeated": "the file was named more than once and is read once",
    FileSkipped = "file-passed-over": "a file of the folder has no extension of definitions, queries or tables and is not read",
    FileChanged = "file-changed": "the file changed while it was read",
    FileMalformed = "file-malformed": "the content of the file is not what its format allows",
    FileExpands = "file-expands": "the compressed file expands to more than a file may have",
    FileTruncated = "file-truncated": "the file ends before its JSON does",
    JsonSyntax = "json-syntax": "the file is not JSON",
    KeyUnknown = "key-unknown": "the key is unknown and was skipped",
    KeyRepeated = "key-repeated": "an object has the key more than once",
    TypeMismatch = "type-mismatch": "the value is of another JSON type than expected",
    NameInvalid = "name-invalid": "the dashboard's name is blank, too long or has control characters",
    IdMissing = "id-missing": "the id is missing or blank",
    IdInvalid = "id-invalid": "the id is too long or has characters outside `A-Z a-z 0-9 _ -`",
    IdConflict = "id-conflict": "the id already belongs to other content; the first one is kept",
    EditConflict = "edit-conflict": "what is stored was edited since files last wrote it, and the file's content differs; the edit is kept",
    EditOverwritten = "edit-overwritten": "what is stored was edited since files last wrote it, and the file's content replaces the edit, as requested",
    EntryRepeated = "entry-repeated": "the entry occurs more than once in the files with the same content and is stored once",
    QueryIdMissing = "query-id-missing": "the metric names no query",
    QueryIdContradiction = "query-id-contradiction": "`queryId` and `query_id` name different queries",
    QueryMissing = "query-missing": "the metric's query is neither in the files nor stored",
    QueryRefused = "query-refused": "the metric's query was refused, and the metric with it",
    QueryUnused = "query-unused": "no metric reads the query",
    MetricDeleted = "metric-deleted": "the metric is out of service and stays so; its definition in the files is stored",
    ParameterInvalid = "parameter-invalid": "the declaration of a parameter breaks a rule",
    TimeColumnInvalid = "time-column-invalid": "the time column is not the name of a column, or of a table and a column",
    PeriodInvalid = "period-invalid": "the declaration of periods is not `apply`, `column` or both",
    LimitsInvalid = "limits-invalid": "a limit of the metric is unknown or not a whole number from 1 on",
    EditableMissing = "editable-missing": "`isEditable` is missing; the metric is stored as not editable",
    SqlTooLong = "sql-too-long": "the SQL exceeds the maximum length",
    BreakpointUnknown = "breakpoint-unknown": "the layout's breakpoint is not one of lg, md, sm, xs, xxs",
    LayoutOutOfRange = "layout-out-of-range": "a position or size of the layout entry is out of range",
    LayoutMetricUnknown = "layout-metric-unknown": "the layout entry is for a metric that the dashboard does not have",
    LayoutConflict = "layout-conflict": "the metric is already in this layout, elsewhere; the first one is kept",
    TableInvalid = "table-invalid": "the declaration of a table breaks a rule, or the file cannot be a table",
    TableRefused = "table-refused": "the declaration of the table was refused, and its file with it",
    TableConflict = "table-conflict": "the name belongs to another table, or to a relation that no file has made",
    TableIncompatible = "table-incompatible": "the stored table cannot become the declared one without losing data",
    TableKeyword = "table-keyword": "the name of the table is a keyword that SQL has to quote",
    TableAltered = "table-altered": "others have changed the table in the database",
    TableRejected = "table-rejected": "PostgreSQL refuses the table, because of something in the database",
    TableViolated = "table-violated": "stored rows break the key, the required column or the check that is declared",
    TableEmptied = "table-emptied": "the files have no row for a table whose rows they replace",
    TableIncomplete = "table-incomplete": "rows were refused, and the stored rows that they would have replaced are removed",
    RowsRefusedBefore = "rows-refused-before": "rows of the file were refused when it was appended, and appending it again would repeat the others",
    MetricBroken = "metric-broken": "the SQL of a stored metric that reads the table would not be valid any more",
    HeaderMissing = "header-missing": "the first line has data instead of column names",
    HeaderRepeated = "header-repeated": "the row repeats the column names of the header",
    ColumnsTooMany = "columns-too-many": "the file has more columns than a table can have",
    TablesSeveral = "tables-several": "the file has the rows of more than one table",
    ColumnMissing = "column-missing": "the header lacks a column, or has it under another name",
    ColumnRepeated = "column-repeated": "the header has the column more than once",
    ColumnInvalid = "column-invalid": "no name of a column can be made of the header",
    ColumnUnnamed = "column-unnamed": "the column has no name in the file and is named by its position",
    ColumnKeyword = "column-keyword": "the name of the column is a keyword that SQL has to quote",
    ColumnUnknown = "column-unknown": "the column is unknown and was skipped",
    QuoteStray = "quote-stray": "a quote is misplaced",
    QuoteUnclosed = "quote-unclosed": "a quoted field does not end",
    RecordTooLong = "record-too-long": "a record exceeds the maximum length",
    RowKeyRepeated = "row-key-repeated": "an earlier row of the files has the same key and other values",
    RowKeyConflict = "row-key-conflict": "a stored row has the same key and other values",
    RowRagged = "row-ragged": "the row has more or fewer fields than the header",
    TextEncoding = "text-encoding": "the text is not in UTF-8 or in the encoding that was passed",
    TextNul = "text-nul": "the text has a NUL character",
    TextTooLong = "text-too-long": "the text exceeds the maximum length",
    TextPadded = "text-padded": "values of text have leading or trailing blanks, which are kept",
    DateInvalid = "date-invalid": "the date does not exist or is not written as YYYY-MM-DD",
    DateTimestamp = "date-timestamp": "the value is a timestamp other than midnight in UTC, not a date",
    NumberInvalid = "number-invalid": "the value is not a number in plain notation",
    NumberAmbiguous = "number-ambiguous": "a comma in the number separates thousands or is the decimal sign, and no number in the file shows which",
    NumberNotFinite = "number-not-finite": "the value is `NaN` or infinite, not an amount",
    NumberOutOfRange = "number-out-of-range": "the number has more digits than can be stored",
    BooleanInvalid = "boolean-invalid": "the value is not a boolean",
    TimestampInvalid = "timestamp-invalid": "the timestamp does not exist, has another notation, or lacks or has an offset",
    UuidInvalid = "uuid-invalid": "the value is not a UUID",
    JsonInvalid = "json-invalid": "the value is not a JSON document that can be stored",
    BytesInvalid = "bytes-invalid": "the value is not bytes in hexadecimal notation",
    ValueMissing = "value-missing": "a column that every row needs has no value",
    ValueOutOfRange = "value-out-of-range": "the value is less than the declared minimum of its column, or greater than the maximum",
    ValueNotListed = "value-not-listed": "the value is none of those that its column lists",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_documented_with_its_meaning() {
        let document = include_str!("../../../docs/ingestion.md");
        let documented: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        let rows: Vec<_> =
            Reason::OWN.iter().map(|reason| format!("| `{}` | {} |", reason.code(), reason.meaning())).collect();
        let codes: Vec<_> = documented.into_iter().filter(|row| !row.starts_with("| `--")).collect();
        assert_eq!(codes, rows);
    }

    #[test]
    fn every_code_is_unique() {
        let findings = FindingCode::ALL.iter().map(|code| Reason::Sql(*code));
        let codes: BTreeSet<_> = Reason::OWN.iter().copied().chain(findings).map(Reason::code).collect();
        assert_eq!(codes.len(), Reason::OWN.len() + FindingCode::ALL.len());
    }
}
