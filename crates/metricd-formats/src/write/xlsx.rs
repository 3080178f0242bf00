//! Writes workbooks of Office Open XML with one sheet.
//!
//! The rows are compressed as they come, into a zip archive that is never read again. Libraries for XLSX keep the sheet, in
//! memory or in a file, until the workbook is saved, so that a client would wait for the last row. `parts` are the other
//! files of the archive, `cell` writes a value, and `text` escapes texts.

mod cell;
mod parts;
mod text;

use std::io::Write;
use std::mem;

use metricd_execution::{Column, EncodeError, Fields, ResultHead, RowWriter};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use self::cell::{CellColumn, HEADER_STYLE, write_text_cell};
use super::{Output, Refusal, writer_error};

/// The most rows of a sheet, with the header.
const MAX_ROWS: u32 = 1_048_576;

/// The most columns of a sheet.
const MAX_COLUMNS: usize = 16_384;

/// XML of this size is compressed, in bytes.
const MAX_PENDING_BYTES: usize = 64 << 10;

/// The most XML of a sheet, in bytes. Larger files need an extension of zip that not every reader knows.
const MAX_SHEET_BYTES: u64 = u32::MAX as u64;

/// Zlib's level from 1 to 9: most of the time is spent on compression.
const COMPRESSION_LEVEL: i64 = 3;

/// Writes a row of names, which stays visible, and a row for each row of the result.
pub(super) struct XlsxWriter {
    head: ResultHead,
    columns: Vec<CellColumn>,
    archive: Option<ZipWriter<StreamWriter<Output>>>,
    output: Output,
    /// XML that is not compressed yet.
    pending: Vec<u8>,
    row_count: u32,
    sheet_bytes: u64,
}

impl XlsxWriter {
    pub(super) fn new(head: ResultHead) -> Self {
        Self {
            head,
            columns: Vec::new(),
            archive: None,
            output: Output::default(),
            pending: Vec::new(),
            row_count: 0,
            sheet_bytes: 0,
        }
    }

    /// Writes a complete file of the archive.
    fn write_part(&mut self, name: &str, content: &str) -> Result<(), EncodeError> {
        self.begin_part(name)?;
        self.archive().write_all(content.as_bytes()).map_err(writer_error)
    }

    fn begin_part(&mut self, name: &str) -> Result<(), EncodeError> {
        self.archive().start_file(name, options()).map_err(writer_error)
    }

    fn archive(&mut self) -> &mut ZipWriter<StreamWriter<Output>> {
        let output = &self.output;
        self.archive.get_or_insert_with(|| ZipWriter::new_stream(output.clone()))
    }

    /// Compresses what is pending.
    fn compress(&mut self) -> Result<(), EncodeError> {
        let pending = mem::take(&mut self.pending);
        self.sheet_bytes += pending.len() as u64;
        if self.sheet_bytes > MAX_SHEET_BYTES {
            let message = "a sheet has at most 4 GiB of XML: request fewer rows or columns, or another format";
            return Err(EncodeError::TooLarge(message.to_owned()));
        }
        self.archive().write_all(&pending).map_err(writer_error)?;
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    fn begin_row(&mut self) {
        self.row_count += 1;
        self.pending.extend_from_slice(b"<row r=\"");
        self.pending.extend_from_slice(itoa::Buffer::new().format(self.row_count).as_bytes());
        self.pending.extend_from_slice(b"\">");
    }

    fn end_row(&mut self) {
        self.pending.extend_from_slice(b"</row>");
    }
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(COMPRESSION_LEVEL))
}

impl RowWriter for XlsxWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if columns.len() > MAX_COLUMNS {
            return Err(EncodeError::TooLarge(format!("a sheet has at most {MAX_COLUMNS} columns")));
        }
        let sheet_name = text::sheet_name(&self.head.title);
        for (name, content) in parts::parts(&self.head, &sheet_name) {
            self.write_part(name, &content)?;
        }
        self.begin_part(parts::SHEET)?;
        self.columns = columns.iter().enumerate().map(|(index, column)| CellColumn::new(index, column)).collect();
        self.pending = parts::sheet_begin(self.columns.iter().map(CellColumn::width)).into_bytes();
        self.begin_row();
        let row = itoa::Buffer::new().format(self.row_count).to_owned();
        for column in &self.columns {
            write_text_cell(column.letters(), &row, HEADER_STYLE, column.name(), &mut self.pending)
                .map_err(|refusal| column.error(&refusal))?;
        }
        self.end_row();
        self.output.drain_into(out);
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if out.len() + self.pending.len() + fields.size_bytes() > max_bytes {
            return Ok(false);
        }
        if self.row_count == MAX_ROWS {
            let most = MAX_ROWS - 1;
            let message =
                format!("a sheet has at most {most} rows below its header: request fewer rows, or another format");
            return Err(EncodeError::TooLarge(message));
        }
        self.begin_row();
        let row = itoa::Buffer::new().format(self.row_count).to_owned();
        let (mut fields, begin) = (fields, self.pending.len());
        for column in &mut self.columns {
            let field = fields.next().ok_or_else(|| column.error(&Refusal::Malformed))?;
            let Some(bytes) = field else { continue };
            column.write(&row, bytes, &mut self.pending).map_err(|refusal| column.error(&refusal))?;
        }
        if self.pending.len() == begin {
            // Readers do not count a last row without cells.
            self.pending.extend_from_slice(format!("<c r=\"A{row}\"/>").as_bytes());
        }
        self.end_row();
        if self.pending.len() >= MAX_PENDING_BYTES {
            self.compress()?;
            self.output.drain_into(out);
        }
        Ok(true)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.pending.extend_from_slice(parts::SHEET_END.as_bytes());
        self.compress()?;
        if let Some(archive) = self.archive.take() {
            archive.finish().map_err(writer_error)?;
        }
        self.output.drain_into(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use metricd_execution::{FieldType, Row};

    use super::*;

    #[test]
    fn a_row_below_the_last_of_a_sheet_is_refused() {
        let (mut writer, mut out) = (XlsxWriter::new(ResultHead::default()), Vec::new());
        let column = Column { name: "n".into(), type_name: "integer".into(), field_type: FieldType::Integer };
        writer.head(&[column], &mut out).unwrap();
        writer.row_count = MAX_ROWS - 1;
        let row = Row::from_iter([None]);
        assert!(writer.row(row.fields(), 1 << 20, &mut out).unwrap());
        let error = writer.row(row.fields(), 1 << 20, &mut out).unwrap_err();
        assert!(matches!(&error, EncodeError::TooLarge(message) if message.contains("1048575")), "{error}");
    }

    #[test]
    fn more_xml_than_a_zip_entry_holds_is_refused() {
        let (mut writer, mut out) = (XlsxWriter::new(ResultHead::default()), Vec::new());
        writer.head(&[], &mut out).unwrap();
        writer.sheet_bytes = MAX_SHEET_BYTES;
        assert!(matches!(writer.finish(&mut out), Err(EncodeError::TooLarge(_))));
    }
}
