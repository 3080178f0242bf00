//! Parses files of definitions, each independently of the others.

mod checks;
mod declarations;
mod item;
mod layout;
mod object;
mod table;

use std::collections::BTreeSet;

use metricd_domain::{
    Breakpoint, DashboardId, DashboardName, InvalidId, LayoutEntry, Location, MAX_ID_CHARS, Metric, MetricId,
    plain_json_error,
};

use self::object::{Object, at_pointer};
pub(crate) use self::table::DraftTables;
use super::merge::Located;
use crate::Reason;
use crate::buffer::strip_byte_order_mark;
use crate::findings::Findings;
use crate::json::Json;
use crate::json_records::members;

/// The keys of a file of definitions.
const KEYS: [&str; 5] = ["id", "name", "items", "layouts", "tables"];

/// A dashboard as one file of definitions describes it. Each of its entries is valid on its own.
#[derive(Debug, Clone)]
pub(crate) struct DraftDashboard {
    /// The id. `None` if it was refused.
    pub(crate) dashboard_id: Option<DashboardId>,
    /// Whether the file states the id. If it does, another name under the same id renames the dashboard.
    pub(crate) has_own_id: bool,
    /// The location of the id, or of the name from which it is derived.
    pub(crate) location: Location,
    pub(crate) name: DashboardName,
    pub(crate) metrics: Vec<Located<Metric>>,
    pub(crate) layout_entries: Vec<Located<(Breakpoint, LayoutEntry)>>,
    /// The number of items in the file, including invalid ones.
    pub(crate) item_count: u64,
    pub(crate) layout_entry_count: u64,
    /// Whether anything in the file was refused.
    pub(crate) has_refusals: bool,
    /// The ids of refused items, so that the findings of their layout entries can mention the refusal.
    pub(crate) refused_ids: BTreeSet<MetricId>,
}

/// What a file of definitions has.
#[derive(Debug)]
pub(crate) struct DraftDefinitions {
    /// The dashboard. `None` for a file that declares only tables.
    pub(crate) dashboard: Option<DraftDashboard>,
    pub(crate) tables: DraftTables,
}

/// Parses a file. `None` after it refused the file. `stem` is the name of a dashboard that has no name.
pub(crate) fn parse_definitions(
    file: &str,
    stem: &str,
    bytes: &[u8],
    findings: &mut Findings,
) -> Option<DraftDefinitions> {
    let refused_before = findings.refusal_count;
    let json = parse(file, bytes, findings)?;
    let root = match &json {
        Json::Object(members) => Object::new(file, String::new(), members),
        other => {
            not_definitions(file, &format!("the file holds {}", other.type_name()), findings);
            return None;
        }
    };
    if !KEYS[2..].iter().any(|key| root.has(key)) {
        not_definitions(file, "the object has none of `items`, `layouts` and `tables`", findings);
        return None;
    }
    root.notice_unknown_keys(&KEYS, findings);
    root.refuse_repeated_keys(&KEYS, findings);
    let tables = parse_tables(&root, findings);
    if !root.has("items") && !root.has("layouts") {
        return Some(DraftDefinitions { dashboard: None, tables });
    }
    let name = parse_name(&root, stem, findings);
    let has_own_id = root.get("id").is_some_and(|id| *id != Json::Null);
    let mut draft = DraftDashboard {
        dashboard_id: parse_dashboard_id(&root, &name, findings),
        has_own_id,
        location: ["id", "name"].into_iter().find(|key| root.has(key)).map_or_else(|| root.here(), |key| root.at(key)),
        name,
        metrics: Vec::new(),
        layout_entries: Vec::new(),
        item_count: 0,
        layout_entry_count: 0,
        has_refusals: false,
        refused_ids: BTreeSet::new(),
    };
    match root.get("items") {
        None | Some(Json::Null) => {}
        Some(Json::Array(items)) => {
            draft.item_count = items.len() as u64;
            for (index, item) in items.iter().enumerate() {
                item::parse_item(file, index, item, &mut draft, findings);
            }
        }
        Some(other) => root.refuse_type("items", "an array of items", other, findings),
    }
    match root.get("layouts") {
        None | Some(Json::Null) => {}
        Some(Json::Object(layouts)) => {
            layout::validate_layouts(&Object::new(file, "/layouts".to_owned(), layouts), &mut draft, findings);
        }
        Some(other) => root.refuse_type("layouts", "an object of layouts by breakpoint", other, findings),
    }
    draft.has_refusals = findings.refusal_count > refused_before;
    Some(DraftDefinitions { dashboard: Some(draft), tables })
}

fn parse_tables(root: &Object<'_>, findings: &mut Findings) -> DraftTables {
    let mut draft = DraftTables::default();
    match root.get("tables") {
        None | Some(Json::Null) => {}
        Some(Json::Array(tables)) => {
            for (index, table) in tables.iter().enumerate() {
                table::parse_table(root.file, index, table, &mut draft, findings);
            }
        }
        Some(other) => root.refuse_type("tables", "an array of tables", other, findings),
    }
    draft
}

fn parse(file: &str, bytes: &[u8], findings: &mut Findings) -> Option<Json> {
    let bytes = strip_byte_order_mark(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count() as u64;
        let location = Location { file: file.to_owned(), line: Some(line), ..Location::default() };
        findings.refuse(location, None, Reason::FileEncoding, "the file is not UTF-8 from this line on");
        return None;
    }
    match serde_json::from_slice(bytes) {
        Ok(mut json) => {
            restore_digits(&mut json, bytes);
            Some(json)
        }
        Err(error) => {
            let location = Location { file: file.to_owned(), line: Some(error.line() as u64), ..Location::default() };
            let (reason, message) = if error.is_eof() {
                (Reason::FileTruncated, "the file ends before its JSON does".to_owned())
            } else {
                (Reason::JsonSyntax, format!("the file is not JSON: {}", plain_json_error(&error.to_string())))
            };
            findings.refuse(location, None, reason, message);
            None
        }
    }
}

/// Gives the numbers of declarations of tables every digit that they have in the file.
fn restore_digits(json: &mut Json, bytes: &[u8]) {
    let (Json::Object(entries), Ok(text)) = (json, std::str::from_utf8(bytes)) else { return };
    let texts = members(text.trim_start()).map(|(_, text)| text);
    for ((_, value), text) in entries.iter_mut().zip(texts).filter(|((key, _), _)| key == "tables") {
        value.restore_digits(text);
    }
}

fn not_definitions(file: &str, fault: &str, findings: &mut Findings) {
    let message = format!(
        "the JSON is not a file of definitions: {fault}; expected \
         `{{\"items\": [{{\"id\", \"queryId\", \"isEditable\"}}], \"layouts\": {{\"lg\": [...]}}}}` or `{{\"tables\": [...]}}`. The rows of a \
         table are an array of objects, or one object a line"
    );
    let location = at_pointer(file, "");
    findings.refuse(location, None, Reason::FileUnrecognised, message);
}

fn parse_name(root: &Object<'_>, stem: &str, findings: &mut Findings) -> DashboardName {
    match root.get("name") {
        None | Some(Json::Null) => {}
        Some(Json::String(text)) => match DashboardName::parse(text) {
            Ok(name) => return name,
            Err(error) => findings.refuse(root.at("name"), Some(text), Reason::NameInvalid, error.to_string()),
        },
        Some(other) => root.refuse_type("name", "a string", other, findings),
    }
    DashboardName::parse(stem).or_else(|_| DashboardName::parse("dashboard")).unwrap_or_else(|_| unreachable!())
}

/// The id in the file, or the id derived from the name. `None` after it was refused.
fn parse_dashboard_id(root: &Object<'_>, name: &DashboardName, findings: &mut Findings) -> Option<DashboardId> {
    match root.get("id") {
        None | Some(Json::Null) => {
            let id = derived_id(name.as_str());
            if id.is_none() {
                let message =
                    "no id can be derived from the name, which has none of `A-Z a-z 0-9 _`: give the dashboard an `id`";
                findings.refuse(root.at("name"), Some(name.as_str()), Reason::IdMissing, message);
            }
            id
        }
        Some(Json::String(text)) => match DashboardId::parse(text.clone()) {
            Ok(id) => Some(id),
            Err(error) => {
                let reason = if error == InvalidId::Blank { Reason::IdMissing } else { Reason::IdInvalid };
                findings.refuse(root.at("id"), Some(text), reason, error.to_string());
                None
            }
        },
        Some(other) => {
            root.refuse_type("id", "a string", other, findings);
            None
        }
    }
}

/// Derives an id from a name: lower case, with `-` for each character that an id must not have. `None` if nothing
/// remains. Two names with the same derived id are a conflict.
fn derived_id(name: &str) -> Option<DashboardId> {
    let mut id = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            id.push(character.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    id.truncate(MAX_ID_CHARS);
    DashboardId::parse(id.trim_end_matches('-')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_id_is_derived_from_its_name() {
        let id = |name: &str| derived_id(name).map(String::from);
        assert_eq!(id("Parts & Alerts (2025)").as_deref(), Some("parts-alerts-2025"));
        assert_eq!(id("日本"), None);
        assert_eq!(id(&"x".repeat(200)).map(|id| id.len()), Some(MAX_ID_CHARS));
    }
}
