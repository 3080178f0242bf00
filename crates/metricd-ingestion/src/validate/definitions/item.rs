//! Parses the items of a definitions file, one metric each.

use metricd_domain::{InvalidId, Metric, MetricId, QueryId};

use super::DraftDashboard;
use super::declarations::{ItemDeclarations, parse_declarations};
use super::object::{Object, at_pointer};
use crate::Reason;
use crate::findings::Findings;
use crate::json::Json;
use crate::validate::Located;

const KEYS: [&str; 10] = [
    "id",
    "queryId",
    "query_id",
    "isEditable",
    "is_editable",
    "parameters",
    "timeColumn",
    "time_column",
    "period",
    "limits",
];

/// The key of the query, in both spellings.
const QUERY_ID: [&str; 2] = ["queryId", "query_id"];
const EDITABLE: [&str; 2] = ["isEditable", "is_editable"];
pub(super) const TIME_COLUMN: [&str; 2] = ["timeColumn", "time_column"];

/// Parses an item into a metric of the draft, and reports all faults in it.
pub(super) fn parse_item(file: &str, index: usize, item: &Json, draft: &mut DraftDashboard, findings: &mut Findings) {
    let pointer = format!("/items/{index}");
    let Json::Object(members) = item else {
        let message = format!("item {} is {}: expected an object", index + 1, item.type_name());
        findings.refuse(at_pointer(file, &pointer), Some(&item.shown()), Reason::TypeMismatch, message);
        return;
    };
    let object = Object::new(file, pointer, members);
    object.notice_unknown_keys(&KEYS, findings);
    let mut repeated = object.refuse_repeated_keys(&KEYS, findings);
    for (spellings, reason) in
        [(QUERY_ID, Reason::QueryIdContradiction), (EDITABLE, Reason::KeyRepeated), (TIME_COLUMN, Reason::KeyRepeated)]
    {
        repeated |= object.refuse_contradiction(spellings, reason, findings);
    }
    let metric_id = parse_id(&object, "id", MetricId::parse, findings);
    let query_id = parse_query_id(&object, findings);
    let editable = parse_editable(&object, findings);
    let declarations = parse_declarations(&object, findings);
    match (metric_id, query_id, editable, declarations) {
        (Some(metric_id), Some(query_id), Some(editable), Some(declarations)) if !repeated => {
            let ItemDeclarations { parameters, time_column, period, limits } = declarations;
            let mut value = Metric::new(metric_id, query_id, editable);
            (value.parameters, value.time_column) = (parameters, time_column);
            (value.period, value.limits) = (period, limits);
            draft.metrics.push(Located { value, location: object.here() });
        }
        (metric_id, ..) => draft.refused_ids.extend(metric_id),
    }
}

/// Parses the id under the key. `None` after it was refused. A missing id is refused too.
fn parse_id<T>(
    object: &Object<'_>,
    key: &str,
    parse: impl Fn(String) -> Result<T, InvalidId>,
    findings: &mut Findings,
) -> Option<T> {
    match object.get(key) {
        None | Some(Json::Null) => {
            findings.refuse(object.here(), None, Reason::IdMissing, format!("the item has no `{key}`"));
            None
        }
        Some(Json::String(text)) => match parse(text.clone()) {
            Ok(id) => Some(id),
            Err(error) => {
                let reason = if error == InvalidId::Blank { Reason::IdMissing } else { Reason::IdInvalid };
                findings.refuse(object.at(key), Some(text), reason, error.to_string());
                None
            }
        },
        Some(other) => {
            object.refuse_type(key, "a string", other, findings);
            None
        }
    }
}

/// Parses the id of the query, in either spelling of the key.
fn parse_query_id(object: &Object<'_>, findings: &mut Findings) -> Option<QueryId> {
    let key = object.spelling(QUERY_ID);
    if object.get(key).is_none_or(|value| *value == Json::Null) {
        let message = "the item names no query: expected `queryId` or `query_id`";
        findings.refuse(object.here(), None, Reason::QueryIdMissing, message);
        return None;
    }
    parse_id(object, key, QueryId::parse, findings)
}

fn parse_editable(object: &Object<'_>, findings: &mut Findings) -> Option<bool> {
    let key = object.spelling(EDITABLE);
    match object.get(key) {
        Some(Json::Bool(editable)) => Some(*editable),
        None | Some(Json::Null) => {
            let message = "`isEditable` is missing; the metric counts as not editable";
            findings.notice(object.here(), Reason::EditableMissing, message);
            Some(false)
        }
        Some(other) => {
            object.refuse_type(key, "true or false", other, findings);
            None
        }
    }
}
