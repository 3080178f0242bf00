//! The workbook: its sheets, and the parts that they share.

use std::collections::HashMap;

use metricd_ingestion::ReadError;

use super::package::{MAX_PART_BYTES, Package, Part};
use super::strings::Strings;
use super::styles::{self, NumberFormat};
use super::xml::{Xml, attribute};
use crate::read::table::malformed;

/// The number of sheets that an error lists.
const SHOWN_SHEETS: usize = 20;

/// What is read of a workbook before its sheet.
#[derive(Debug)]
pub(super) struct Workbook {
    /// The part of the sheet.
    pub(super) sheet: Part,
    /// The texts that cells share.
    pub(super) strings: Strings,
    /// The number formats by the style of cells.
    pub(super) formats: Vec<NumberFormat>,
    /// Whether days are counted from 1904-01-01.
    pub(super) is_1904: bool,
}

/// A relation of a part to another one.
struct Relation {
    kind: String,
    target: String,
}

struct Sheet {
    name: String,
    relation: String,
    is_visible: bool,
}

impl Workbook {
    /// Reads the workbook of a package, and finds the sheet of this name, or the first one that is visible.
    pub(super) fn read(package: &mut Package, sheet: Option<&str>) -> Result<Self, ReadError> {
        let name = workbook_name(package)?;
        let part = package.part(&name).ok_or_else(|| no_workbook(package))?;
        let (sheets, is_1904) = read_sheets(part)?;
        let relations = read_relations(package, &name)?;
        let sheet = find_sheet(&sheets, &relations, sheet)?;
        let sheet =
            package.part(&sheet).cloned().ok_or_else(|| malformed("the workbook lacks the part of the sheet"))?;
        let shared = |kind: &str| {
            let relation = relations.values().find(|relation| relation.kind == kind);
            relation.and_then(|relation| package.part(&relation.target))
        };
        let strings = shared("sharedStrings").map(Strings::read).transpose()?.unwrap_or_default();
        let formats = shared("styles").map(styles::read).transpose()?.unwrap_or_default();
        Ok(Self { sheet, strings, formats, is_1904 })
    }
}

/// The name of the part with the workbook.
fn workbook_name(package: &Package) -> Result<String, ReadError> {
    let relations = read_relations(package, "")?;
    let workbook = relations.into_values().find(|relation| relation.kind == "officeDocument");
    workbook.map(|relation| relation.target).ok_or_else(|| no_workbook(package))
}

/// Why an archive is no workbook.
fn no_workbook(package: &Package) -> ReadError {
    let has = |name: &str| package.part(name).is_some();
    malformed(if has("mimetype") {
        "the file is an OpenDocument, such as ODS: save it as XLSX"
    } else {
        "the file is a ZIP archive without a workbook: expected XLSX"
    })
}

fn read_sheets(part: &Part) -> Result<(Vec<Sheet>, bool), ReadError> {
    let (mut sheets, mut is_1904) = (Vec::new(), false);
    if part.name().rsplit_once('.').is_some_and(|(_, extension)| extension == "bin") {
        return Err(malformed("the workbook is in the format XLSB: save it as XLSX"));
    }
    Xml::open(part, MAX_PART_BYTES)?.for_each_start(|element, start| {
        match element {
            "workbookPr" => is_1904 = matches!(attribute(start, "date1904")?.as_deref(), Some("1" | "true" | "on")),
            "sheet" => sheets.push(Sheet {
                name: attribute(start, "name")?.unwrap_or_default(),
                relation: attribute(start, "id")?.unwrap_or_default(),
                is_visible: attribute(start, "state")?.is_none_or(|state| state == "visible"),
            }),
            _ => {}
        }
        Ok(())
    })?;
    Ok((sheets, is_1904))
}

/// The name of the part of the sheet that is read.
fn find_sheet(
    sheets: &[Sheet],
    relations: &HashMap<String, Relation>,
    name: Option<&str>,
) -> Result<String, ReadError> {
    let target = |sheet: &Sheet| {
        let relation = relations.get(&sheet.relation);
        relation.filter(|relation| relation.kind == "worksheet").map(|relation| relation.target.clone())
    };
    let mut with_cells = sheets.iter().filter(|sheet| target(sheet).is_some());
    let found = match name {
        Some(name) => with_cells.find(|sheet| sheet.name == name),
        None => with_cells.clone().find(|sheet| sheet.is_visible).or_else(|| with_cells.next()),
    };
    found.and_then(target).ok_or_else(|| {
        let names: Vec<_> = sheets.iter().map(|sheet| format!("`{}`", sheet.name)).take(SHOWN_SHEETS).collect();
        let more = if sheets.len() > SHOWN_SHEETS { " and more" } else { "" };
        malformed(match name {
            Some(name) => format!("the workbook has no sheet `{name}`: it has {}{more}", names.join(", ")),
            None => "the workbook has no sheet with cells".to_owned(),
        })
    })
}

/// The relations of a part by their ids. `kind` is the last segment of the URI that names the type.
fn read_relations(package: &Package, part: &str) -> Result<HashMap<String, Relation>, ReadError> {
    let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
    let path = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
    let mut relations = HashMap::new();
    let Some(part) = package.part(&path) else { return Ok(relations) };
    Xml::open(part, MAX_PART_BYTES)?.for_each_start(|element, start| {
        if element == "Relationship" {
            let kind = attribute(start, "Type")?.unwrap_or_default();
            let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
            let target = resolve(folder, &attribute(start, "Target")?.unwrap_or_default());
            relations.insert(attribute(start, "Id")?.unwrap_or_default(), Relation { kind, target });
        }
        Ok(())
    })?;
    Ok(relations)
}

/// The name of a part that another part in this folder points to.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut segments: Vec<_> = folder.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in target.split('/') {
        match segment {
            "." | "" => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    segments.join("/")
}
