//! Reads files of bytes with the readers of the crate.

use std::io::Cursor;
use std::sync::Arc;

use metricd_domain::{ColumnType, ReadOptions};
use metricd_formats::read_formats;
use metricd_ingestion::{CellKind, Next, ReadError, Reason, RowFault, SourceColumn, SourceRow, TableFormat};

/// The rows of a file.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) columns: Vec<SourceColumn>,
    pub(crate) rows: Vec<Result<Vec<(CellKind, String)>, RowFault>>,
}

impl Read {
    /// The texts of a column, with `None` for no value.
    pub(crate) fn texts(&self, column: usize) -> Vec<Option<&str>> {
        let cell = |row: &Vec<(CellKind, String)>| row[column].0;
        let rows = self.rows.iter().map(|row| row.as_ref().unwrap());
        rows.map(|row| (cell(row) != CellKind::Null).then_some(row[column].1.as_str())).collect()
    }

    /// The rows with `NULL` for no value and fields separated by `|`. A fault is its column, reason and message.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |row: &Result<Vec<(CellKind, String)>, RowFault>| match row {
            Ok(cells) => {
                let text = |(kind, text): &(CellKind, String)| match kind {
                    CellKind::Null => "NULL".to_owned(),
                    _ => text.clone(),
                };
                cells.iter().map(text).collect::<Vec<_>>().join("|")
            }
            Err(fault) => {
                let column = fault.column.as_deref().unwrap_or_default();
                format!("row {} {column} {}: {}", fault.line, fault.reason.code(), fault.message)
            }
        };
        self.rows.iter().map(line).collect()
    }

    pub(crate) fn types(&self) -> Vec<Option<ColumnType>> {
        self.columns.iter().map(|column| column.data_type).collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The faults with their row numbers.
    pub(crate) fn faults(&self) -> Vec<(u64, Reason)> {
        self.rows.iter().filter_map(|row| row.as_ref().err()).map(|fault| (fault.line, fault.reason)).collect()
    }
}

fn format_of(bytes: &[u8]) -> Option<Arc<dyn TableFormat>> {
    read_formats().into_iter().find(|format| format.detect(&bytes[..bytes.len().min(64)]))
}

/// Reads a file by the format that its beginning has.
pub(crate) fn read_with(bytes: &[u8], options: &ReadOptions) -> Result<Read, ReadError> {
    let Some(format) = format_of(bytes) else {
        let message = "no format".to_owned();
        return Err(ReadError::Content { reason: Reason::FileUnrecognised, message });
    };
    let mut reader = format.open(Box::new(Cursor::new(bytes.to_vec())), options)?;
    let mut read = Read { columns: reader.columns().to_vec(), rows: Vec::new() };
    let mut row = SourceRow::default();
    loop {
        match reader.read(&mut row)? {
            Next::Row { line } => {
                assert_eq!(row.len(), read.columns.len());
                assert!(line > 0);
                read.rows.push(Ok(row.cells().map(|(kind, text)| (kind, text.to_owned())).collect()));
            }
            Next::Fault(fault) => read.rows.push(Err(fault)),
            Next::End => return Ok(read),
        }
    }
}

pub(crate) fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    read_with(bytes, &ReadOptions::default())
}

/// The reason and the message of the error with which a file is refused.
pub(crate) fn refusal(bytes: &[u8]) -> (Reason, String) {
    match read(bytes).unwrap_err() {
        ReadError::Content { reason, message } => (reason, message),
        ReadError::Io(error) => panic!("{error}"),
    }
}

/// Every prefix of a file is refused, and never read in part.
pub(crate) fn check_truncations(bytes: &[u8]) {
    read(bytes).unwrap();
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "the first {length} of {} bytes", bytes.len());
    }
}

/// A flipped bit may change a value, but it neither causes a panic nor takes a row away.
pub(crate) fn check_flips(bytes: &[u8]) {
    let rows = read(bytes).unwrap().rows.len();
    let mut bytes = bytes.to_vec();
    for position in 0..bytes.len() {
        for mask in [0x01, 0x80] {
            bytes[position] ^= mask;
            if let Ok(read) = read(&bytes) {
                assert_eq!(read.rows.len(), rows, "byte {position} with {mask:#x}");
            }
            bytes[position] ^= mask;
        }
    }
}
