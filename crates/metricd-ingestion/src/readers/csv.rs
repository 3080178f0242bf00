//! Reads tables in CSV, with any separator and encoding.

use std::str::from_utf8;

use metricd_domain::{MAX_TABLE_COLUMNS, ReadOptions};

use super::text::{TextInput, decoded_beginning};
use super::{not_utf8, row_fault, too_many_columns, untyped_column};
use crate::buffer::strip_byte_order_mark;
use crate::columns::is_data;
use crate::csv::{CsvRecord, CsvRecords, Fields, explain_width};
use crate::{CellKind, Next, ReadError, ReadSeek, Reason, RowFault, SourceColumn, SourceRow, TableFormat, TableReader};

mod titles;

/// CSV, TSV, and any other text in rows and columns. It detects any text, so try other formats first.
#[derive(Debug, Clone, Copy, Default)]
pub struct CsvFormat;

impl TableFormat for CsvFormat {
    fn name(&self) -> &'static str {
        "CSV"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["csv", "tsv", "tab", "psv", "txt"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        decoded_beginning(beginning).is_some() || is_text(beginning)
    }

    fn open(&self, file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        Ok(Box::new(CsvReader::open(file, options)?))
    }
}

/// Reads the rows of a CSV file.
#[derive(Debug)]
struct CsvReader {
    records: CsvRecords<TextInput>,
    columns: Vec<SourceColumn>,
    /// The first record, if it has the names of the columns.
    header: Option<Vec<u8>>,
    /// The first row, if the file has no header.
    first: Option<(SourceRow, Next)>,
    /// The texts that mean no value without quotes, besides `\N`.
    nulls: Vec<String>,
}

impl CsvReader {
    fn open(file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Self, ReadError> {
        let separator = separator(options).map_err(|message| ReadError::content(Reason::FileMalformed, message))?;
        let nulls = options.nulls.clone();
        let mut input = TextInput::open(file, options.encoding.as_deref())?;
        if separator.is_none() && !options.no_header {
            titles::refuse(&mut input)?;
        }
        let mut records = CsvRecords::of_table(input, separator);
        let (columns, header, first) = match records.next()? {
            None => return Err(ReadError::content(Reason::FileEmpty, "the file has no content")),
            Some(CsvRecord::Fault { line, last_line, fault, .. }) => {
                let (reason, message) = fault.explain((line, last_line));
                return Err(ReadError::content(reason, format!("the first row cannot be read: {message}")));
            }
            Some(CsvRecord::Fields { fields, .. }) if fields.len() > MAX_TABLE_COLUMNS => {
                return Err(too_many_columns(fields.len()));
            }
            Some(CsvRecord::Fields { line, fields, is_last }) if options.no_header => {
                let columns: Vec<_> = fields.iter().map(|_| untyped_column("")).collect();
                let mut row = SourceRow::default();
                let next = read_row((&columns, &nulls), line, fields, is_last, &mut row);
                (columns, None, Some((row, next)))
            }
            Some(CsvRecord::Fields { fields, .. }) => (header(fields)?, Some(fields.record().to_owned()), None),
        };
        Ok(Self { records, columns, header, first, nulls })
    }
}

impl TableReader for CsvReader {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        row.clear();
        if let Some((first, next)) = self.first.take() {
            *row = first;
            return Ok(next);
        }
        Ok(match self.records.next()? {
            None => Next::End,
            Some(CsvRecord::Fault { line, last_line, fault, text }) => {
                let (reason, message) = fault.explain((line, last_line));
                Next::Fault(RowFault { last_line, ..row_fault(line, reason, message, text) })
            }
            Some(CsvRecord::Fields { line, fields, is_last }) => {
                if self.header.as_deref().is_some_and(|header| header == strip_byte_order_mark(fields.record())) {
                    let message = "the row repeats the header: the file may consist of several files";
                    Next::Fault(row_fault(line, Reason::HeaderRepeated, message, fields.record()))
                } else {
                    read_row((&self.columns, &self.nulls), line, fields, is_last, row)
                }
            }
        })
    }
}

/// Whether these bytes may be text: they have no control characters, and NUL characters only after the first line, or as
/// the other half of each character in UTF-16.
fn is_text(beginning: &[u8]) -> bool {
    if !beginning.contains(&0) {
        return true;
    }
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, 0 | b'\t' | b'\r' | b'\n');
    let first_line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_half = |parity| beginning.iter().skip(parity).step_by(2).all(|byte| *byte == 0);
    !beginning.iter().any(is_control) && (!first_line.contains(&0) || is_half(0) || is_half(1))
}

/// The declared separator.
pub(super) fn separator(format: &ReadOptions) -> Result<Option<u8>, String> {
    let is_separator = |byte: &u8| byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0);
    match format.delimiter {
        None => Ok(None),
        Some(delimiter) => u8::try_from(delimiter).ok().filter(is_separator).map(Some).ok_or_else(|| {
            format!("`{}` cannot separate fields: expected an ASCII character such as `;`", delimiter.escape_debug())
        }),
    }
}

/// The columns that a header names.
fn header(fields: Fields<'_>) -> Result<Vec<SourceColumn>, ReadError> {
    let column = |name| match from_utf8(name) {
        Ok(name) if name.contains('\0') => {
            let message = "the header has NUL characters: pass the encoding of the file, such as `--encoding utf-16le`";
            Err(ReadError::content(Reason::FileEncoding, message))
        }
        Ok(name) => Ok(untyped_column(name)),
        Err(error) => Err(ReadError::content(Reason::FileEncoding, not_utf8(error.valid_up_to()))),
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    if columns.iter().all(|column| is_data(&column.name)) {
        let names: String = fields.record().iter().take(80).map(|byte| char::from(*byte)).collect();
        let message = format!(
            "the first line has data instead of column names: `{names}`; add a line with the names, or pass `--no-header`"
        );
        return Err(ReadError::content(Reason::HeaderMissing, message));
    }
    Ok(columns)
}

/// Appends the fields to the row. Empty fields beyond the columns are ignored, as some programs end each line with a
/// separator.
fn read_row(
    (columns, nulls): (&[SourceColumn], &[String]),
    line: u64,
    fields: Fields<'_>,
    is_last: bool,
    row: &mut SourceRow,
) -> Next {
    let means_none = |text: &str| {
        let text = text.trim();
        text == "\\N" || nulls.iter().any(|null| null == text)
    };
    let width = columns.len();
    if fields.len() < width || fields.iter().skip(width).any(|field| !field.is_empty()) {
        let message = explain_width(fields.len(), width, is_last);
        return Next::Fault(row_fault(line, Reason::RowRagged, message, fields.record()));
    }
    for ((field, is_quoted), column) in fields.with_quotes().zip(columns) {
        match from_utf8(field) {
            Ok("") if !is_quoted => row.push_null(),
            // Quotes make a text of what means no value otherwise.
            Ok(text) if is_quoted && (text.is_empty() || means_none(text)) => row.push(CellKind::String, text),
            Ok(text) => row.push(CellKind::Untyped, text),
            Err(error) => {
                let fault = row_fault(line, Reason::TextEncoding, not_utf8(error.valid_up_to()), field);
                return Next::Fault(RowFault { column: Some(column.name.clone()), ..fault });
            }
        }
    }
    Next::Row { line }
}
