//! The XML of a sheet.

use metricd_execution::{Column, EncodeError, Fields, RowWriter};

use super::super::Refusal;
use super::cell::{CellColumn, HEADER_STYLE, write_text_cell};
use super::parts::{SHEET_END, sheet_begin};

/// The most rows of a sheet, with the header.
const MAX_ROWS: u32 = 1_048_576;

/// The most columns of a sheet.
const MAX_COLUMNS: usize = 16_384;

/// Writes a row of names, which stays visible, and a row for each row of the result.
#[derive(Default)]
pub(in crate::write) struct SheetWriter {
    columns: Vec<CellColumn>,
    row_count: u32,
}

impl SheetWriter {
    fn begin_row(&mut self, out: &mut Vec<u8>) -> String {
        self.row_count += 1;
        let row = itoa::Buffer::new().format(self.row_count).to_owned();
        out.extend_from_slice(b"<row r=\"");
        out.extend_from_slice(row.as_bytes());
        out.extend_from_slice(b"\">");
        row
    }
}

impl RowWriter for SheetWriter {
    fn head(&mut self, columns: &[Column], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if columns.len() > MAX_COLUMNS {
            return Err(EncodeError::TooLarge(format!("a sheet has at most {MAX_COLUMNS} columns")));
        }
        self.columns = columns.iter().enumerate().map(|(index, column)| CellColumn::new(index, column)).collect();
        out.extend_from_slice(sheet_begin(self.columns.iter().map(CellColumn::width)).as_bytes());
        let row = self.begin_row(out);
        for column in &self.columns {
            write_text_cell(column.letters(), &row, HEADER_STYLE, column.name(), out)
                .map_err(|refusal| column.error(&refusal))?;
        }
        out.extend_from_slice(b"</row>");
        Ok(())
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        if out.len() + fields.size_bytes() > max_bytes {
            return Ok(false);
        }
        if self.row_count == MAX_ROWS {
            let most = MAX_ROWS - 1;
            let message =
                format!("a sheet has at most {most} rows below its header: request fewer rows, or another format");
            return Err(EncodeError::TooLarge(message));
        }
        let row = self.begin_row(out);
        let (mut fields, begin) = (fields, out.len());
        for column in &mut self.columns {
            let field = fields.next().ok_or_else(|| column.error(&Refusal::Malformed))?;
            let Some(bytes) = field else { continue };
            column.write(&row, bytes, out).map_err(|refusal| column.error(&refusal))?;
        }
        if out.len() == begin {
            // Readers do not count a last row without cells.
            out.extend_from_slice(format!("<c r=\"A{row}\"/>").as_bytes());
        }
        out.extend_from_slice(b"</row>");
        Ok(true)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(SHEET_END.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use metricd_execution::{FieldType, Row};

    use super::*;

    #[test]
    fn a_row_below_the_last_of_a_sheet_is_refused() {
        let (mut writer, mut out) = (SheetWriter::default(), Vec::new());
        let column = Column { name: "n".into(), type_name: "integer".into(), field_type: FieldType::Integer };
        writer.head(&[column], &mut out).unwrap();
        writer.row_count = MAX_ROWS - 1;
        let row = Row::from_iter([None]);
        assert!(writer.row(row.fields(), 1 << 20, &mut out).unwrap());
        let error = writer.row(row.fields(), 1 << 20, &mut out).unwrap_err();
        assert!(matches!(&error, EncodeError::TooLarge(message) if message.contains("1048575")), "{error}");
    }
}
