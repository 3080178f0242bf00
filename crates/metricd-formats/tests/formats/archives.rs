//! Several results in one file.

use std::io::{Cursor, Read};

use calamine::{Data, Reader, Xlsx};
use metricd_execution::{
    ArchiveFormat, ArchiveMember, Column, EncodeError, FieldType, FileFormat, FileWriters, MemberContent, ResultHead,
    Row, RowWriter,
};
use metricd_formats::ResultFiles;
use zip::{CompressionMethod, DateTime, ZipArchive};

use crate::support::{Value, column, head, text, write};

fn columns() -> [Column; 2] {
    [column("n", "integer", FieldType::Integer), column("t", "text", FieldType::Text)]
}

fn rows() -> Vec<Vec<Value>> {
    vec![vec![Some(7_i32.to_be_bytes().to_vec()), text("é \"x\"")], vec![None, None]]
}

/// What the writer of a member writes of the rows.
fn member(format: ArchiveFormat, columns: &[Column], rows: &[Vec<Value>]) -> Result<Vec<u8>, EncodeError> {
    let (mut writer, mut out) = (ResultFiles.member(format, head()), Vec::new());
    writer.head(columns, &mut out)?;
    for row in rows {
        let row: Row = row.iter().map(Option::as_deref).collect();
        assert!(writer.row(row.fields(), 16 << 20, &mut out)?);
    }
    writer.finish(&mut out)?;
    Ok(out)
}

fn result(name: &str, written: Vec<u8>) -> ArchiveMember {
    ArchiveMember { name: name.to_owned(), content: MemberContent::Result(written) }
}

fn note(name: &str) -> ArchiveMember {
    ArchiveMember { name: name.to_owned(), content: MemberContent::Text(b"{}".to_vec()) }
}

fn archive(format: ArchiveFormat, members: Vec<ArchiveMember>) -> Vec<u8> {
    ResultFiles.archive(format, "All & any", members).unwrap()
}

/// The names and contents of an archive, in order. Reading a content checks its CRC.
fn files(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let count = archive.len();
    let read = |index| {
        let mut file = archive.by_index(index).unwrap();
        assert_eq!(file.last_modified(), Some(DateTime::default()), "{index}");
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (file.name().unwrap().into_owned(), content)
    };
    (0..count).map(read).collect()
}

#[test]
fn a_zip_archive_has_the_file_of_each_result() {
    for format in [ArchiveFormat::Csv, ArchiveFormat::Ndjson, ArchiveFormat::Parquet, ArchiveFormat::Arrow] {
        let members = || {
            vec![
                note("results.json"),
                result("b", member(format, &columns(), &rows()).unwrap()),
                result("a", member(format, &columns(), &[]).unwrap()),
                result("none", member(format, &[], &[vec![]]).unwrap()),
            ]
        };
        let file = archive(format, members());
        assert_eq!(file, archive(format, members()), "the same results make the same bytes");
        let files = files(&file);
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["results.json", "b", "a", "none"], "{format:?}");
        assert_eq!(files[0].1, b"{}");
        let expected: [Vec<u8>; 3] = match format {
            ArchiveFormat::Csv => ["n,t\r\n7,\"é \"\"x\"\"\"\r\n,\r\n", "n,t\r\n", "\r\n\r\n"].map(Into::into),
            ArchiveFormat::Ndjson => {
                ["{\"n\":7,\"t\":\"é \\\"x\\\"\"}\n{\"n\":null,\"t\":null}\n", "", "{}\n"].map(Into::into)
            }
            _ => {
                let file = if format == ArchiveFormat::Parquet { FileFormat::Parquet } else { FileFormat::Arrow };
                let write = |columns: &[Column], rows: &[Vec<Value>]| write(file, columns, rows).unwrap();
                [write(&columns(), &rows()), write(&columns(), &[]), write(&[], &[vec![]])]
            }
        };
        assert_eq!([&files[1].1, &files[2].1, &files[3].1], expected.each_ref(), "{format:?}");
        let mut archive = ZipArchive::new(Cursor::new(file)).unwrap();
        let stored = archive.by_name("b").unwrap().compression() == CompressionMethod::Stored;
        assert_eq!(stored, format == ArchiveFormat::Parquet, "{format:?}");
    }
}

#[test]
fn a_workbook_has_a_sheet_for_each_result() {
    let format = ArchiveFormat::Xlsx;
    let names = ResultFiles.member_names(format, &vec![head(); 50]);
    let members = names.iter().map(|name| result(name, member(format, &columns(), &rows()).unwrap()));
    let empty = [("No rows", &columns()[..], vec![]), ("<No> & \"columns\"", &[], vec![vec![]])];
    let empty = empty.map(|(name, columns, rows)| result(name, member(format, columns, &rows).unwrap()));
    let file = archive(format, members.chain(empty).collect());
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(&file)).unwrap();
    let found = book.sheet_names();
    assert_eq!((found.len(), found[0].as_str(), found[49].as_str()), (52, "Values_ all_any", "Values_ all_any (50)"));
    assert_eq!(found[50..], ["No rows", "<No> & \"columns\""]);
    for name in &names {
        let sheet = book.worksheet_range(name).unwrap();
        // This reader skips the last row, which has no values.
        assert_eq!((sheet.get_size(), sheet.get_value((1, 0))), ((2, 2), Some(&Data::Float(7.0))), "{name}");
        assert_eq!(sheet.get_value((1, 1)), Some(&Data::String("é \"x\"".to_owned())));
    }
    assert_eq!(book.worksheet_range("No rows").unwrap().get_size(), (1, 2));
    assert!(book.worksheet_range("<No> & \"columns\"").unwrap().get_size().1 <= 1);
    let properties = &files(&file).into_iter().find(|(name, _)| name == "docProps/core.xml").unwrap().1;
    assert!(String::from_utf8_lossy(properties).contains("<dc:title>All &amp; any</dc:title><dc:creator>"));
}

#[test]
fn files_are_named_after_ids_and_sheets_after_titles() {
    let head = |id: &str, title: &str| ResultHead { metric_id: id.into(), title: title.into(), ..head() };
    let heads = [head("a", "Cost"), head("A", "cost"), head("nul", "History")];
    assert_eq!(ResultFiles.member_names(ArchiveFormat::Parquet, &heads), ["a.parquet", "A-2.parquet", "nul_.parquet"]);
    assert_eq!(ResultFiles.member_names(ArchiveFormat::Xlsx, &heads), ["Cost", "cost (2)", "History_"]);
    assert!(ResultFiles.member_names(ArchiveFormat::Csv, &[]).is_empty());
}

#[test]
fn a_value_that_a_format_cannot_hold_fails_the_member_alone() {
    let infinity = [vec![Some(i32::MAX.to_be_bytes().to_vec())]];
    let day = [column("d", "date", FieldType::Date)];
    for format in [ArchiveFormat::Parquet, ArchiveFormat::Arrow] {
        let error = member(format, &day, &infinity).unwrap_err();
        assert!(matches!(error, EncodeError::Unrepresentable { column, .. } if column == "d"), "{format:?}");
    }
    let huge = [vec![text(&"x".repeat(32_768))]];
    let error = member(ArchiveFormat::Xlsx, &[column("t", "text", FieldType::Text)], &huge).unwrap_err();
    assert!(matches!(error, EncodeError::Unrepresentable { .. }), "{error}");
    assert!(member(ArchiveFormat::Csv, &[column("t", "text", FieldType::Text)], &huge).is_ok());
}

#[test]
fn what_a_member_keeps_is_limited() {
    const MAX_BYTES: usize = 2 << 20;
    // Texts that hardly compress.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{state:016x}")
    };
    for format in ArchiveFormat::ALL {
        let (mut writer, mut out) = (ResultFiles.member(format, head()), Vec::new());
        let mut write = |writer: &mut Box<dyn RowWriter>, out: &mut Vec<u8>| {
            let value: String = (0..8).map(|_| random()).collect();
            writer.row(Row::from_iter([Some(value.as_bytes())]).fields(), MAX_BYTES, out).unwrap()
        };
        writer.head(&[column("t", "text", FieldType::Text)], &mut out).unwrap();
        let mut count = 0;
        while write(&mut writer, &mut out) {
            count += 1;
            assert!(count < 1_000_000 && out.len() <= MAX_BYTES, "{format:?}: {count}, {}", out.len());
        }
        // A row of any size is refused then.
        assert!(
            !writer
                .row(Row::from_iter([Some(vec![b'x'; MAX_BYTES].as_slice())]).fields(), MAX_BYTES, &mut out)
                .unwrap()
        );
        writer.finish(&mut out).unwrap();
        assert!((MAX_BYTES / 2..MAX_BYTES + (512 << 10)).contains(&out.len()), "{format:?}: {count}, {}", out.len());
        assert_eq!(files(&archive(format, vec![result("a", out)])).len(), if format.is_workbook() { 7 } else { 1 });
    }
}

#[test]
fn members_that_are_none_are_errors() {
    for (format, members) in [
        (ArchiveFormat::Csv, vec![result("a", b"no archive".to_vec())]),
        (ArchiveFormat::Csv, vec![result("a", Vec::new())]),
        (ArchiveFormat::Xlsx, vec![note("a")]),
        (ArchiveFormat::Csv, vec![note("a"), note("a")]),
    ] {
        let error = ResultFiles.archive(format, "", members).unwrap_err();
        assert!(matches!(error, EncodeError::Writer(_)), "{error}");
    }
}
