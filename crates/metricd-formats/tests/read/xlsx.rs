//! Workbooks.

use std::io::{Cursor, Write};

use metricd_domain::ReadOptions;
use metricd_ingestion::{CellKind, ReadError, Reason};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use zip::write::SimpleFileOptions;

use crate::support::{check_flips, check_truncations, read, read_with, refusal};

const TYPES: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// A workbook with this XML in its sheet, these shared texts, and dates from 1900 or 1904.
fn raw(sheet: &str, strings: &str) -> Vec<u8> {
    raw_with(sheet, strings, "<workbookPr/>")
}

fn raw_with(sheet: &str, strings: &str, properties: &str) -> Vec<u8> {
    let relation = |id: u8, kind: &str, target: &str| {
        format!(r#"<Relationship Id="r{id}" Type="{TYPES}/{kind}" Target="{target}"/>"#)
    };
    let parts = [
        ("_rels/.rels", format!("<Relationships>{}</Relationships>", relation(1, "officeDocument", "xl/workbook.xml"))),
        (
            "xl/workbook.xml",
            format!(r#"<workbook>{properties}<sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>"#),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships>{}{}{}</Relationships>",
                relation(1, "worksheet", "/xl/worksheets/sheet1.xml"),
                relation(2, "sharedStrings", "sharedStrings.xml"),
                relation(3, "styles", "./styles.xml")
            ),
        ),
        ("xl/sharedStrings.xml", format!("<sst>{strings}</sst>")),
        (
            "xl/styles.xml",
            r#"<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="46"/></cellXfs></styleSheet>"#
                .to_owned(),
        ),
        ("xl/worksheets/sheet1.xml", format!("<worksheet><sheetData>{sheet}</sheetData><mergeCells/></worksheet>")),
    ];
    zipped(&parts.each_ref().map(|(name, content)| (*name, content.as_bytes())))
}

fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn written(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    fill(workbook.add_worksheet());
    workbook.save_to_buffer().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().lines()
}

#[test]
fn every_kind_of_cell_is_read() {
    let bytes = written(|sheet| {
        for (column, name) in ["number", "text", "date", "boolean", "time", "kept"].into_iter().enumerate() {
            sheet.write(0, u16::try_from(column).unwrap(), name).unwrap();
        }
        sheet.write(1, 0, 1.1).unwrap();
        sheet.write(1, 1, "007").unwrap();
        let date = ExcelDateTime::from_ymd(2025, 6, 1).unwrap();
        sheet.write_with_format(1, 2, &date, &Format::new().set_num_format("dd.mm.yyyy")).unwrap();
        sheet.write(1, 3, true).unwrap();
        let time = ExcelDateTime::from_hms(23, 59, 59.5).unwrap();
        sheet.write_with_format(1, 4, &time, &Format::new().set_num_format("hh:mm:ss.0")).unwrap();
        sheet.write_with_format(1, 5, 1.5, &Format::new().set_num_format("[h]:mm")).unwrap();
        sheet.write(2, 0, 1e20).unwrap();
    });
    let read = read(&bytes).unwrap();
    assert_eq!(read.names(), ["number", "text", "date", "boolean", "time", "kept"]);
    assert_eq!(read.types(), [None; 6]);
    let expected = ["1.1|007|2025-06-01|true|23:59:59.5|36:00:00", "100000000000000000000|NULL|NULL|NULL|NULL|NULL"];
    assert_eq!(read.lines(), expected);
    let kinds: Vec<_> = read.rows[0].as_ref().unwrap().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [CellKind::Number, CellKind::String, CellKind::Untyped, CellKind::Boolean, CellKind::String, CellKind::String]
    );
}

#[test]
fn the_dates_of_a_column_have_times_if_one_of_them_has() {
    let rows = r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>
        <row r="2"><c r="A2" s="1"><v>45809</v></c><c r="B2" s="1"><v>45809</v></c></row>
        <row r="3"><c r="A3" s="1"><v>45809.25</v></c><c r="B3" t="d"><v>2025-06-02</v></c></row>"#;
    let strings = "<si><t>at</t></si><si><t>day</t></si>";
    assert_eq!(lines(&raw(rows, strings)), ["2025-06-01 00:00:00|2025-06-01", "2025-06-01 06:00:00|2025-06-02"]);
    let from_1904 = raw_with(
        r#"<row><c t="inlineStr"><is><t>day</t></is></c></row><row><c s="1"><v>0</v></c></row>"#,
        "",
        r#"<workbookPr date1904="1"/>"#,
    );
    assert_eq!(lines(&from_1904), ["1904-01-01"]);
}

#[test]
fn the_first_row_with_a_value_names_the_columns_and_empty_columns_are_left_out() {
    let bytes = written(|sheet| {
        sheet.write(3, 2, "a").unwrap();
        sheet.write(3, 4, 2024).unwrap();
        sheet.write(4, 2, 1).unwrap();
        sheet.write(6, 4, 2).unwrap();
        sheet.write(6, 6, "beyond").unwrap();
        sheet.write_blank(9, 9, &Format::new().set_bold()).unwrap();
        sheet.write(10, 2, "").unwrap();
    });
    let read = read(&bytes).unwrap();
    assert_eq!(read.names(), ["a", "2024", ""]);
    assert_eq!(read.lines(), ["1|NULL|NULL", "NULL|NULL|NULL", "NULL|2|beyond"]);
}

#[test]
fn texts_lose_their_formats_and_keep_their_blanks() {
    let strings = r#"<si><t>a</t></si><si><r><rPr><b/></rPr><t xml:space="preserve">bold </t></r><r><t>&amp; plain</t></r>
        <rPh sb="0" eb="1"><t>hint</t></rPh></si><si><t xml:space="preserve"> _x000D_&#x41;<![CDATA[<]]> </t></si>"#;
    let rows = r#"<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row><row><c t="s"><v>2</v></c></row>
        <row><c t="str"><f>A1</f><v> kept </v></c></row>"#;
    assert_eq!(lines(&raw(rows, strings)), ["bold & plain", " \rA< ", " kept "]);
}

#[test]
fn errors_and_formulas_without_a_value_are_faults_that_name_the_cell() {
    let rows = r#"<row><c t="str"><v>a</v></c><c t="str"><v>b</v></c></row>
        <row r="17"><c r="A17"><v>1</v></c><c r="B17" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>
        <row r="18"><c r="A18"><f>A1+1</f></c><c r="B18"><v>2</v></c></row>
        <row r="19"><c r="A19"><f>A1+1</f><v>3</v></c><c r="B19" t="str"><f>""</f><v></v></c></row>
        <row r="20"><c r="A20" s="1"><v>60</v></c></row>"#;
    let read = read(&raw(rows, "")).unwrap();
    let lines: Vec<_> = read.lines().into_iter().skip(15).collect();
    let expected = [
        "row 17 b number-invalid: the cell B17: the value is an error of the spreadsheet",
        "row 18 a number-invalid: the cell A18: the formula has no stored value: open the workbook in a spreadsheet \
         program and save it",
        "3|NULL",
        "row 20 a date-invalid: the cell A20: 1900-02-29 does not exist, although spreadsheets have it",
    ];
    assert_eq!(lines, expected);
    let fault = read.rows[15].as_ref().unwrap_err();
    assert_eq!(fault.value.as_deref(), Some("#DIV/0!"));
    let formula = written(|sheet| {
        sheet.write(0, 0, "a").unwrap();
        sheet.write_formula(1, 0, Formula::new("1+1").set_result("2")).unwrap();
    });
    assert_eq!(self::lines(&formula), ["2"]);
}

#[test]
fn a_sheet_is_chosen_by_its_name() {
    let mut workbook = Workbook::new();
    for (name, is_hidden) in [("Notes", true), ("First", false), ("Zweite Tabelle", false)] {
        let sheet = workbook.add_worksheet();
        sheet.set_name(name).unwrap().write(0, 0, name).unwrap();
        sheet.set_hidden(is_hidden).set_active(name == "First");
    }
    let bytes = workbook.save_to_buffer().unwrap();
    let named = |sheet: &str| read_with(&bytes, &ReadOptions { sheet: Some(sheet.to_owned()), ..Default::default() });
    assert_eq!(read(&bytes).unwrap().names(), ["First"]);
    assert_eq!(named("Zweite Tabelle").unwrap().names(), ["Zweite Tabelle"]);
    assert_eq!(named("Notes").unwrap().names(), ["Notes"]);
    let error = named("Third").unwrap_err().to_string();
    assert_eq!(error, "the workbook has no sheet `Third`: it has `Notes`, `First`, `Zweite Tabelle`");
}

#[test]
fn an_empty_sheet_is_refused() {
    assert_eq!(refusal(&written(|_| {})).0, Reason::FileEmpty);
}

#[test]
fn a_file_that_is_no_xlsx_is_refused_with_advice() {
    let ods: &[(&str, &[u8])] = &[("mimetype", b"application/vnd.oasis.opendocument.spreadsheet")];
    assert!(refusal(&zipped(ods)).1.contains("save it as XLSX"));
    assert!(refusal(&zipped(&[("a.txt", b"a")])).1.contains("without a workbook"));
    assert!(refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 encrypted").1.contains("without a password"));
    assert!(refusal(b"PK\x03\x04 truncated").1.contains("not a complete ZIP archive"));
    let binary: &[(&str, &[u8])] = &[
        ("_rels/.rels", br#"<R><Relationship Id="1" Type="x/officeDocument" Target="xl/workbook.bin"/></R>"#),
        ("xl/workbook.bin", b"\0"),
    ];
    assert!(refusal(&zipped(binary)).1.contains("XLSB"));
}

#[test]
fn a_part_that_expands_too_far_is_refused() {
    let blanks = " ".repeat(64 << 20);
    let (reason, message) = refusal(&raw(&blanks, ""));
    assert_eq!(reason, Reason::FileExpands);
    assert!(message.starts_with("the part `xl/worksheets/sheet1.xml` of the workbook expands"));
    // The directory of the archive claims less than there is.
    let mut bytes = raw(&" ".repeat(1 << 20), "");
    let size = u32::try_from((1 << 20) + "<worksheet><sheetData></sheetData><mergeCells/></worksheet>".len()).unwrap();
    let positions: Vec<_> = (0..bytes.len() - 4).filter(|at| bytes[*at..at + 4] == size.to_le_bytes()).collect();
    assert!(!positions.is_empty());
    for position in positions {
        bytes[position..position + 4].copy_from_slice(&1_000_u32.to_le_bytes());
    }
    assert!(refusal(&bytes).1.contains("longer than the directory of the archive says"));
}

#[test]
fn a_text_that_many_cells_of_a_row_share_is_limited() {
    let strings = format!("<si><t>a</t></si><si><t>{}</t></si>", "x".repeat(10 << 20));
    let names: String = (0..10).map(|_| r#"<c t="s"><v>0</v></c>"#).collect();
    let cells: String = (0..10).map(|_| r#"<c t="s"><v>1</v></c>"#).collect();
    let bytes = raw(&format!("<row>{names}</row><row>{cells}</row><row><c><v>1</v></c></row>"), &strings);
    let read = read(&bytes).unwrap();
    assert_eq!(read.faults(), [(2, Reason::RecordTooLong)]);
    assert_eq!(read.rows.len(), 2);
}

#[test]
fn a_tag_without_an_end_does_not_fill_the_memory() {
    let bytes = raw(&format!("<row r=\"{}", "1".repeat(20 << 20)), "");
    assert!(matches!(
        read(&bytes),
        Err(ReadError::Content { reason: Reason::FileMalformed | Reason::FileExpands, .. })
    ));
}

#[test]
fn entities_are_not_expanded() {
    let rows = r#"<row><c t="str"><v>&bomb;</v></c></row>"#;
    assert!(refusal(&raw(rows, "")).1.contains("an XML entity that is not defined"));
}

#[test]
fn a_sheet_that_is_not_valid_is_refused() {
    for rows in [
        r#"<row><c t="s"><v>7</v></c></row>"#,
        r#"<row><c t="x"><v>7</v></c></row>"#,
        r#"<row r="1048577"><c><v>7</v></c></row>"#,
        r#"<row r="0"><c><v>7</v></c></row>"#,
        r#"<row><c r="XFE1"><v>7</v></c></row>"#,
        "<row><c><v>7</c></row>",
        r#"<row><c r="A1"><v>1</v></c></row><row><c r="A3"><v>1</v></c></row><row><c r="A2"><v>1</v></c></row>"#,
        r#"<row><c r="A1"><v>1</v></c></row><row><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>"#,
    ] {
        assert_eq!(refusal(&raw(rows, "")).0, Reason::FileMalformed, "{rows}");
    }
    let columns: String = (0..1_601).map(|_| "<c><v>1</v></c>").collect();
    assert_eq!(refusal(&raw(&format!("<row>{columns}</row>"), "")).1, "the sheet has more than 1600 columns");
}

#[test]
fn every_truncation_is_refused() {
    check_truncations(&raw(r#"<row><c t="s"><v>0</v></c></row><row><c><v>1</v></c></row>"#, "<si><t>a</t></si>"));
}

#[test]
fn no_flipped_bit_causes_a_panic() {
    check_flips(&raw(r#"<row><c t="s"><v>0</v></c></row><row><c s="1"><v>1.5</v></c></row>"#, "<si><t>a</t></si>"));
}
