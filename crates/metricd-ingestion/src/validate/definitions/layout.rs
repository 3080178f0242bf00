//! Parses the layouts of a definitions file: the position of each metric, by breakpoint.

use metricd_domain::{Breakpoint, LayoutEntry, MetricId};
use validator::{Validate, ValidationError};

use super::DraftDashboard;
use super::object::{Object, at_pointer};
use crate::Reason;
use crate::findings::Findings;
use crate::json::Json;
use crate::validate::Located;

const KEYS: [&str; 6] = ["i", "x", "y", "w", "h", "static"];

/// Keys that react-grid-layout writes and that metricd ignores.
const IGNORED_KEYS: [&str; 12] = [
    "moved",
    "minW",
    "maxW",
    "minH",
    "maxH",
    "isDraggable",
    "isResizable",
    "isBounded",
    "resizeHandles",
    "isDroppable",
    "placeholder",
    "constraints",
];

/// A layout entry in JSON, before its numbers are validated.
#[derive(Debug, Validate)]
struct LayoutEntryRecord {
    metric_id: MetricId,
    #[validate(range(min = *LayoutEntry::X.start(), max = *LayoutEntry::X.end()))]
    x: i32,
    #[validate(range(min = *LayoutEntry::Y.start(), max = *LayoutEntry::Y.end()))]
    y: i32,
    #[validate(range(min = *LayoutEntry::WIDTH.start(), max = *LayoutEntry::WIDTH.end()))]
    width: i32,
    #[validate(range(min = *LayoutEntry::HEIGHT.start(), max = *LayoutEntry::HEIGHT.end()))]
    height: i32,
    is_static: bool,
}

impl LayoutEntryRecord {
    /// Validates the numbers. `None` after reporting each number that is out of range.
    fn into_entry(self, object: &Object<'_>, findings: &mut Findings) -> Option<LayoutEntry> {
        if let Err(errors) = self.validate() {
            let errors = errors.field_errors();
            for (field, key) in [("x", "x"), ("y", "y"), ("width", "w"), ("height", "h")] {
                for error in errors.get(field).into_iter().flat_map(|errors| errors.iter()) {
                    let value = object.get(key).map(Json::shown);
                    let message = format!("`{key}`: expected {} to {}", bound(error, "min"), bound(error, "max"));
                    findings.refuse(object.at(key), value.as_deref(), Reason::LayoutOutOfRange, message);
                }
            }
            return None;
        }
        let Self { metric_id, x, y, width, height, is_static } = self;
        LayoutEntry::new(metric_id, x, y, width, height, is_static).ok()
    }
}

/// Describes the bound that a number violates.
fn bound(error: &ValidationError, name: &str) -> String {
    error.params.get(name).map(ToString::to_string).unwrap_or_default()
}

/// Adds the valid layout entries to the draft, and reports the faults of the others.
pub(super) fn validate_layouts(layouts: &Object<'_>, draft: &mut DraftDashboard, findings: &mut Findings) {
    layouts.refuse_repeated_keys(&Breakpoint::ALL.map(Breakpoint::as_str), findings);
    let mut seen = Vec::new();
    for (key, value) in layouts.members {
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let entries = match value {
            Json::Null => continue,
            Json::Array(entries) => entries,
            other => {
                layouts.refuse_type(key, "an array of layout entries", other, findings);
                continue;
            }
        };
        draft.layout_entry_count += entries.len() as u64;
        match Breakpoint::parse(key) {
            Ok(breakpoint) => {
                for (index, entry) in entries.iter().enumerate() {
                    let pointer = format!("{}/{index}", layouts.pointer_to(key));
                    if let Some(entry) = validate_entry(layouts.file, pointer.clone(), entry, findings) {
                        let location = at_pointer(layouts.file, &pointer);
                        draft.layout_entries.push(Located { value: (breakpoint, entry), location });
                    }
                }
            }
            Err(error) => {
                findings.refuse(layouts.at(key), Some(key), Reason::BreakpointUnknown, error.to_string());
            }
        }
    }
}

fn validate_entry(file: &str, pointer: String, entry: &Json, findings: &mut Findings) -> Option<LayoutEntry> {
    let Json::Object(members) = entry else {
        let message = format!("the layout entry is {}: expected an object", entry.type_name());
        findings.refuse(at_pointer(file, &pointer), Some(&entry.shown()), Reason::TypeMismatch, message);
        return None;
    };
    let object = Object::new(file, pointer, members);
    let mut known = KEYS.to_vec();
    known.extend(IGNORED_KEYS);
    object.notice_unknown_keys(&known, findings);
    let repeated = object.refuse_repeated_keys(&KEYS, findings);
    let metric_id = validate_metric_id(&object, findings);
    let [x, y, width, height] = ["x", "y", "w", "h"].map(|key| validate_unit(&object, key, findings));
    let is_static = match object.get("static") {
        None | Some(Json::Null) => Some(false),
        Some(Json::Bool(is_static)) => Some(*is_static),
        Some(other) => {
            object.refuse_type("static", "true, false or null", other, findings);
            None
        }
    };
    let (metric_id, x, y, width, height) = (metric_id?, x?, y?, width?, height?);
    let record = LayoutEntryRecord { metric_id, x, y, width, height, is_static: is_static? };
    if repeated { None } else { record.into_entry(&object, findings) }
}

fn validate_metric_id(object: &Object<'_>, findings: &mut Findings) -> Option<MetricId> {
    match object.get("i") {
        None | Some(Json::Null) => {
            findings.refuse(object.here(), None, Reason::IdMissing, "the layout entry has no `i`");
            None
        }
        Some(Json::String(text)) => match MetricId::parse(text.clone()) {
            Ok(id) => Some(id),
            Err(error) => {
                findings.refuse(object.at("i"), Some(text), Reason::IdInvalid, error.to_string());
                None
            }
        },
        Some(other) => {
            object.refuse_type("i", "a string", other, findings);
            None
        }
    }
}

/// Parses a whole number of grid units. A number outside of `i32` is clamped; the result is out of every range.
fn validate_unit(object: &Object<'_>, key: &str, findings: &mut Findings) -> Option<i32> {
    match object.get(key) {
        None | Some(Json::Null) => {
            let message = format!("the layout entry has no `{key}`: expected a whole number");
            findings.refuse(object.here(), None, Reason::TypeMismatch, message);
            None
        }
        Some(Json::Number(number)) => {
            if let Some(value) = number.as_f64().filter(|value| value.fract() == 0.0) {
                #[expect(clippy::cast_possible_truncation, reason = "`as` takes the nearest number, which is meant")]
                let nearest = value as i32;
                return Some(nearest);
            }
            object.refuse_type(key, "a whole number", &Json::Number(number.clone()), findings);
            None
        }
        Some(other) => {
            object.refuse_type(key, "a whole number", other, findings);
            None
        }
    }
}
