//! Parses the checks of a column.

use metricd_domain::{ColumnChecks, ColumnJudge, ColumnType};

use super::object::Object;
use crate::columns::written_value;
use crate::findings::Findings;
use crate::json::Json;
use crate::{CellKind, Reason};

/// The keys of the listed values.
pub(super) const ONE_OF: [&str; 2] = ["oneOf", "one_of"];

/// Parses the checks of a column of this type. Faults are reported, and the check is left out then.
pub(super) fn parse_checks(object: &Object<'_>, data_type: ColumnType, findings: &mut Findings) -> ColumnChecks {
    let refusals = findings.refusal_count;
    object.refuse_contradiction(ONE_OF, Reason::KeyRepeated, findings);
    let listed = object.spelling(ONE_OF);
    let minimum = object.get("minimum").and_then(|value| parse_value(object, "minimum", data_type, value, findings));
    let maximum = object.get("maximum").and_then(|value| parse_value(object, "maximum", data_type, value, findings));
    let one_of = match object.get(listed) {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(values)) if values.is_empty() => {
            let message = format!("`{listed}` is empty: expected 1 to 100 values");
            findings.refuse(object.at(listed), Some("[]"), Reason::TableInvalid, message);
            Vec::new()
        }
        Some(Json::Array(values)) => {
            let place = |index: usize| format!("{listed}/{index}");
            let parse = |(index, value): (usize, &Json)| {
                if *value == Json::Null {
                    let message = "null cannot be listed, because a row without a value passes: leave it out";
                    findings.refuse(object.under(&place(index)), None, Reason::TableInvalid, message);
                }
                parse_value(object, &place(index), data_type, value, findings)
            };
            values.iter().enumerate().filter_map(parse).collect()
        }
        Some(other) => {
            object.refuse_type(listed, "an array of values", other, findings);
            Vec::new()
        }
    };
    let checks = ColumnChecks { minimum, maximum, one_of };
    // After another fault, the positions of the listed values may differ.
    if findings.refusal_count == refusals
        && let Err(fault) = ColumnJudge::new(data_type, &checks)
    {
        let place = fault.member().replace("one_of", listed);
        let (key, index) = place.split_once('/').map_or((place.as_str(), None), |(key, index)| (key, Some(index)));
        let found = match (object.get(key), index.and_then(|index| index.parse::<usize>().ok())) {
            (Some(Json::Array(values)), Some(index)) => values.get(index),
            (value, _) => value,
        };
        let shown = found.map(Json::shown);
        findings.refuse(object.under(&place), shown.as_deref(), Reason::TableInvalid, fault.to_string());
    }
    checks
}

/// Parses a bound or a listed value, in the form in which PostgreSQL writes it. `None` for null, and after a fault was
/// reported.
fn parse_value(
    object: &Object<'_>,
    place: &str,
    data_type: ColumnType,
    value: &Json,
    findings: &mut Findings,
) -> Option<String> {
    let is_listed = ONE_OF.iter().any(|key| place.starts_with(key));
    let (kind, text) = match value {
        Json::Null => return None,
        // The type itself is refused.
        value if !(if is_listed { data_type.is_listable() } else { data_type.has_bounds() }) => {
            return Some(value.shown());
        }
        Json::String(text) if data_type == ColumnType::Text => return Some(text.clone()),
        Json::String(text) => (CellKind::String, text.clone()),
        Json::Number(_) | Json::Decimal(_) if data_type != ColumnType::Text => (CellKind::Number, value.shown()),
        other => {
            let expected = if data_type == ColumnType::Text { "a string" } else { "a number or a string" };
            let message = format!("the value is {}: expected {expected}", other.type_name());
            findings.refuse(object.under(place), Some(&other.shown()), Reason::TypeMismatch, message);
            return None;
        }
    };
    match written_value(data_type, kind, &text) {
        Ok(written) => Some(written),
        Err(message) => {
            findings.refuse(object.under(place), Some(&text), Reason::TableInvalid, message);
            None
        }
    }
}
