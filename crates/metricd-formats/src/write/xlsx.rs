//! Writes workbooks of Office Open XML.
//!
//! The rows of a sheet are compressed as they come, into a zip archive that is never read again. Libraries for XLSX keep the
//! sheet, in memory or in a file, until the workbook is saved, so that a client would wait for the last row. `sheet` writes
//! the XML of a sheet, `cell` a value, and `parts` the other files of the archive. `text` escapes texts and names sheets.

mod cell;
mod parts;
mod sheet;
mod text;

use metricd_execution::{ResultHead, RowWriter};

use super::zip_entry::{Storage, ZipEntryWriter};

pub(super) use self::parts::{parts, sheet_path};
pub(super) use self::sheet::SheetWriter;
pub(super) use self::text::sheet_names;

/// A writer of a workbook whose only sheet has the result.
pub(super) fn workbook_writer(head: &ResultHead) -> impl RowWriter + 'static {
    let ResultHead { metric_id, title, query_id, query_version, .. } = head;
    let subject = format!("metric {metric_id}, query {query_id} in version {query_version}");
    let parts = parts(title, Some(&subject), &sheet_names([title.as_str()]));
    ZipEntryWriter::new(sheet_path(1), Storage::Compressed, Box::new(SheetWriter::default())).after(parts)
}
