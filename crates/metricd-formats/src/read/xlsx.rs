//! XLSX: a sheet of a workbook, cell by cell, in constant memory but for the texts that cells share.
//!
//! The sheet is read twice. The first pass finds its columns, and whether the dates of a column have times.

mod cells;
mod dates;
mod numbers;
mod package;
mod strings;
mod styles;
mod workbook;
mod xml;

use std::collections::BTreeMap;

use metricd_domain::{MAX_TABLE_COLUMNS, ReadOptions};
use metricd_ingestion::{
    CellKind, Next, ReadError, ReadSeek, Reason, RowFault, SourceColumn, SourceRow, TableFormat, TableReader,
};

use self::cells::{Cell, CellFault, Cells, Value, cell_name};
use self::package::{OLE_MAGIC, Package};
use self::workbook::Workbook;
use super::file::SharedFile;
use super::table::{check_columns, guard, malformed};
use super::values::MAX_ROW_BYTES;

/// XLSX.
#[derive(Debug)]
pub(super) struct Xlsx;

impl TableFormat for Xlsx {
    fn name(&self) -> &'static str {
        "XLSX"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["xlsx", "xlsm"]
    }

    fn detect(&self, beginning: &[u8]) -> bool {
        // Other workbooks are refused with advice.
        beginning.starts_with(b"PK\x03\x04") || beginning.starts_with(OLE_MAGIC)
    }

    fn open(&self, file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError> {
        let file = SharedFile::new(file)?;
        guard(|| Ok(Box::new(SheetReader::open(&file, options)?) as Box<dyn TableReader>))
    }
}

/// What the first pass has found out about a column of the sheet.
#[derive(Debug, Default)]
struct ColumnFacts {
    name: String,
    /// Whether a date of the column has a time other than midnight.
    has_times: bool,
}

/// Reads the rows of a sheet.
#[derive(Debug)]
struct SheetReader {
    cells: Cells,
    columns: Vec<SourceColumn>,
    /// For each column, its position in the sheet, and whether its dates are written with a time.
    layout: Vec<(u32, bool)>,
    /// The first cell of the next row.
    ahead: Option<Cell>,
    /// The row of the sheet that is read next, from 0.
    row: u32,
    failed: bool,
}

impl SheetReader {
    fn open(file: &SharedFile, options: &ReadOptions) -> Result<Self, ReadError> {
        let mut package = Package::open(file)?;
        let workbook = Workbook::read(&mut package, options.sheet.as_deref())?;
        let mut cells = Cells::open(workbook)?;
        let (header, facts) = examine(&mut cells)?;
        check_columns(facts.len())?;
        let columns = facts.values();
        let columns =
            columns.map(|facts| SourceColumn { name: facts.name.clone(), data_type: None, description: None });
        let columns = columns.collect();
        let layout = facts.iter().map(|(column, facts)| (*column, facts.has_times)).collect();
        let mut cells = cells.restart()?;
        let mut ahead = cells.next_value()?;
        while ahead.as_ref().is_some_and(|cell| cell.row <= header) {
            ahead = cells.next_value()?;
        }
        Ok(Self { cells, columns, layout, ahead, row: header + 1, failed: false })
    }

    fn next_row(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        if self.ahead.is_none() {
            return Ok(Next::End);
        }
        let line = u64::from(self.row) + 1;
        let mut fault = None;
        for index in 0..self.layout.len() {
            let Some(&(column, has_times)) = self.layout.get(index) else { break };
            let Some(cell) = self.ahead.take_if(|cell| cell.row == self.row && cell.column == column) else {
                row.push_null();
                continue;
            };
            let name = cell_name(cell.row, cell.column);
            self.ahead = self.cells.next_value()?;
            if self.ahead.as_ref().is_some_and(|next| (next.row, next.column) <= (cell.row, cell.column)) {
                return Err(malformed(format!("the cells of the sheet are not in their order after {name}")));
            }
            let mut outcome = Ok(());
            row.push_with(kind_of(&cell.value), |text| {
                let room = MAX_ROW_BYTES.saturating_sub(text.len());
                outcome = self.cells.write(&cell.value, has_times, room, text);
            });
            if let Err(CellFault { reason, message, value }) = outcome
                && fault.is_none()
            {
                let column = self.columns.get(index).map(|column| column.name.clone());
                let message = format!("the cell {name}: {message}");
                fault = Some(RowFault { line, last_line: line, reason, message, value, column });
            }
        }
        if self.ahead.as_ref().is_some_and(|cell| cell.row <= self.row) {
            return Err(malformed(format!("the cells of row {line} are not in their order, or the file has changed")));
        }
        self.row += 1;
        Ok(fault.map_or(Next::Row { line }, Next::Fault))
    }
}

/// Reads the sheet to its end. Returns the row of the header, and the columns that have a value.
fn examine(cells: &mut Cells) -> Result<(u32, BTreeMap<u32, ColumnFacts>), ReadError> {
    let mut header = None;
    let mut facts: BTreeMap<u32, ColumnFacts> = BTreeMap::new();
    while let Some(cell) = cells.next_value()? {
        let header = *header.get_or_insert(cell.row);
        let column = facts.entry(cell.column).or_default();
        if cell.row == header {
            let written = cells.write(&cell.value, false, MAX_ROW_BYTES, &mut column.name);
            if let Err(CellFault { message, .. }) = written {
                let name = cell_name(cell.row, cell.column);
                return Err(malformed(format!("the cell {name}, which names a column: {message}")));
            }
        } else {
            column.has_times |= Cells::has_time(&cell.value);
        }
        if facts.len() > MAX_TABLE_COLUMNS {
            return Err(malformed(format!("the sheet has more than {MAX_TABLE_COLUMNS} columns")));
        }
    }
    cells.finish()?;
    let header = header.ok_or_else(|| ReadError::Content {
        reason: Reason::FileEmpty,
        message: "the sheet has no values".to_owned(),
    })?;
    Ok((header, facts))
}

fn kind_of(value: &Value) -> CellKind {
    match value {
        Value::Number(_) => CellKind::Number,
        Value::Boolean(_) => CellKind::Boolean,
        Value::Date(_) => CellKind::Untyped,
        Value::Text(_) | Value::Shared(_) | Value::Fault(_) => CellKind::String,
    }
}

impl TableReader for SheetReader {
    fn columns(&self) -> &[SourceColumn] {
        &self.columns
    }

    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError> {
        row.clear();
        if self.failed {
            return Err(malformed("the rest of the file cannot be read"));
        }
        let next = guard(|| self.next_row(row));
        self.failed = next.is_err();
        next
    }
}
