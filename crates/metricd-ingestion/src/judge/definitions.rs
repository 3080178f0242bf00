//! Files of definitions: what a single file says, before it is known what else there is.

mod declarations;
mod item;
mod layout;
mod object;

use std::collections::BTreeSet;

use metricd_domain::{Breakpoint, DashboardId, DashboardName, LayoutEntry, Location, MAX_ID_CHARS, Metric, MetricId};

use self::object::{Object, at_pointer};
use super::merge::Located;
use crate::Reason;
use crate::findings::Findings;
use crate::json::Json;

/// What a file of definitions says of its dashboard, as far as it is good in itself.
#[derive(Debug)]
pub(crate) struct DraftDashboard {
    pub(crate) dashboard_id: DashboardId,
    pub(crate) name: DashboardName,
    pub(crate) metrics: Vec<Located<Metric>>,
    pub(crate) layout_entries: Vec<Located<(Breakpoint, LayoutEntry)>>,
    /// How many items the file has, and how many layout entries, the bad ones included.
    pub(crate) item_count: u64,
    pub(crate) layout_entry_count: u64,
    /// Ids of items that were refused, so that layout entries for them can say so.
    pub(crate) refused_ids: BTreeSet<MetricId>,
}

/// What the file says, or `None` after saying why it says nothing. `stem` names a dashboard that has no name.
pub(crate) fn judge_definitions(
    file: &str,
    stem: &str,
    bytes: &[u8],
    findings: &mut Findings,
) -> Option<DraftDashboard> {
    let json = parse(file, bytes, findings)?;
    let root = match &json {
        Json::Object(members) => Object::new(file, String::new(), members),
        other => {
            not_definitions(file, &format!("the file holds {}", other.type_name()), findings);
            return None;
        }
    };
    if !root.has("items") && !root.has("layouts") {
        not_definitions(file, "the object has neither `items` nor `layouts`", findings);
        return None;
    }
    root.notice_unknown_keys(&["name", "items", "layouts"], findings);
    root.refuse_repeated_keys(&["name", "items", "layouts"], findings);
    let name = judge_name(&root, stem, findings);
    let mut draft = DraftDashboard {
        dashboard_id: dashboard_id(name.as_str()),
        name,
        metrics: Vec::new(),
        layout_entries: Vec::new(),
        item_count: 0,
        layout_entry_count: 0,
        refused_ids: BTreeSet::new(),
    };
    match root.get("items") {
        None | Some(Json::Null) => {}
        Some(Json::Array(items)) => {
            draft.item_count = items.len() as u64;
            for (index, item) in items.iter().enumerate() {
                item::judge_item(file, index, item, &mut draft, findings);
            }
        }
        Some(other) => root.refuse_type("items", "an array of items", other, findings),
    }
    match root.get("layouts") {
        None | Some(Json::Null) => {}
        Some(Json::Object(layouts)) => {
            layout::judge_layouts(&Object::new(file, "/layouts".to_owned(), layouts), &mut draft, findings);
        }
        Some(other) => root.refuse_type("layouts", "an object of layouts by breakpoint", other, findings),
    }
    Some(draft)
}

fn parse(file: &str, bytes: &[u8], findings: &mut Findings) -> Option<Json> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count() as u64;
        let location = Location { file: file.to_owned(), line: Some(line), ..Location::default() };
        findings.refuse(location, None, Reason::FileEncoding, "the file is not UTF-8 from this line on");
        return None;
    }
    match serde_json::from_slice(bytes) {
        Ok(json) => Some(json),
        Err(error) => {
            let location = Location { file: file.to_owned(), line: Some(error.line() as u64), ..Location::default() };
            let (reason, message) = if error.is_eof() {
                (Reason::FileTruncated, "the file ends in the middle of its JSON".to_owned())
            } else {
                (Reason::JsonSyntax, format!("the file is not JSON: {error}"))
            };
            findings.refuse(location, None, reason, message);
            None
        }
    }
}

fn not_definitions(file: &str, what: &str, findings: &mut Findings) {
    let message = format!(
        "the JSON is something other than definitions: {what}; expected \
         `{{\"items\": [{{\"id\", \"queryId\", \"isEditable\"}}], \"layouts\": {{\"lg\": [...]}}}}`"
    );
    let location = at_pointer(file, "");
    findings.refuse(location, None, Reason::FileUnrecognised, message);
}

fn judge_name(root: &Object<'_>, stem: &str, findings: &mut Findings) -> DashboardName {
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

/// The name in lower case, with `-` for whatever an id cannot have; `dashboard` where nothing of it remains.
fn dashboard_id(name: &str) -> DashboardId {
    let mut id = String::new();
    for character in name.chars() {
        if character.is_ascii_alphanumeric() || character == '_' {
            id.push(character.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    id.truncate(MAX_ID_CHARS);
    DashboardId::parse(id.trim_end_matches('-'))
        .or_else(|_| DashboardId::parse("dashboard"))
        .unwrap_or_else(|_| unreachable!())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_id_is_made_of_its_name() {
        let id = |name: &str| dashboard_id(name).as_str().to_owned();
        assert_eq!(id("Parts & Alerts (2025)"), "parts-alerts-2025");
        assert_eq!(id("日本"), "dashboard");
        assert_eq!(id(&"x".repeat(200)).len(), MAX_ID_CHARS);
    }
}
