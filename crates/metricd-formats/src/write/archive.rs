//! Several results in one file: files of a zip archive, or sheets of a workbook.
//!
//! Each result is written into an archive of its own, whose only file has the rows. The compressed files are then copied into
//! one archive, without compressing them again.

use std::io::{Cursor, Write};

use metricd_execution::{
    ArchiveFormat, ArchiveMember, CsvWriter, EncodeError, MemberContent, NdjsonWriter, ResultHead, RowWriter,
};
use zip::{ZipArchive, ZipWriter};

use super::arrow_stream::ArrowStreamWriter;
use super::names::file_names;
use super::parquet_file::ParquetWriter;
use super::writer_error;
use super::xlsx::{SheetWriter, parts, sheet_names, sheet_path};
use super::zip_entry::{Storage, ZipEntryWriter};

/// The name of the file in the archive of one result.
const MEMBER: &str = "result";

/// The most bytes that a file adds to an archive in addition to its content, if its name is short.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// A writer of one result.
pub(super) fn member(format: ArchiveFormat, head: ResultHead) -> ZipEntryWriter {
    let rows: Box<dyn RowWriter> = match format {
        ArchiveFormat::Csv => Box::new(CsvWriter::default()),
        ArchiveFormat::Ndjson => Box::new(NdjsonWriter::default()),
        ArchiveFormat::Parquet => Box::new(ParquetWriter::buffered(head)),
        ArchiveFormat::Arrow => Box::new(ArrowStreamWriter::new(head)),
        ArchiveFormat::Xlsx => Box::new(SheetWriter::default()),
    };
    let storage = if format == ArchiveFormat::Parquet { Storage::Plain } else { Storage::Compressed };
    ZipEntryWriter::new(MEMBER, storage, rows)
}

/// The names of members.
pub(super) fn member_names(format: ArchiveFormat, heads: &[ResultHead]) -> Vec<String> {
    if format.is_workbook() {
        sheet_names(heads.iter().map(|head| head.title.as_str()))
    } else {
        file_names(heads.iter().map(|head| head.metric_id.as_str()), format.name())
    }
}

/// Makes the file of the members.
pub(super) fn archive(format: ArchiveFormat, title: &str, members: Vec<ArchiveMember>) -> Result<Vec<u8>, EncodeError> {
    let size_bytes = members.iter().map(|ArchiveMember { content, .. }| match content {
        MemberContent::Result(written) => written.len() + ENTRY_OVERHEAD_BYTES,
        MemberContent::Text(text) => text.len() + ENTRY_OVERHEAD_BYTES,
    });
    let mut archive = ZipWriter::new(Cursor::new(Vec::with_capacity(size_bytes.sum())));
    if format.is_workbook() {
        let names: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
        for (name, content) in parts(title, None, &names) {
            add_text(&mut archive, name, content.as_bytes())?;
        }
    }
    for (number, ArchiveMember { name, content }) in (1..).zip(members) {
        let path = if format.is_workbook() { sheet_path(number) } else { name };
        match content {
            MemberContent::Result(written) => copy(&mut archive, &path, &written)?,
            MemberContent::Text(text) if !format.is_workbook() => add_text(&mut archive, &path, &text)?,
            MemberContent::Text(_) => return Err(writer_error("a workbook has no texts")),
        }
    }
    Ok(archive.finish().map_err(writer_error)?.into_inner())
}

fn add_text(archive: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, text: &[u8]) -> Result<(), EncodeError> {
    archive.start_file(name, Storage::Compressed.options()).map_err(writer_error)?;
    archive.write_all(text).map_err(writer_error)
}

/// Copies the file of one result without compressing it again.
fn copy(archive: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, written: &[u8]) -> Result<(), EncodeError> {
    let mut written = ZipArchive::new(Cursor::new(written)).map_err(writer_error)?;
    let file = written.by_index_raw(0).map_err(writer_error)?;
    archive.raw_copy_file_rename(file, name).map_err(writer_error)
}
