//! Parses the declarations of an item: parameters, time column, period and limits.

use metricd_domain::{
    MetricLimits, Parameter, ParameterDeclaration, Parameters, PeriodDeclaration, TimeColumn, plain_json_error,
};

use super::item::TIME_COLUMN;
use super::object::Object;
use crate::Reason;
use crate::findings::Findings;
use crate::json::Json;

/// The declarations of an item, without its ids.
#[derive(Debug, Default)]
pub(super) struct ItemDeclarations {
    pub(super) parameters: Parameters,
    pub(super) time_column: Option<TimeColumn>,
    pub(super) period: Option<PeriodDeclaration>,
    pub(super) limits: MetricLimits,
}

/// Marks a value that was refused.
struct Refused;

/// Parses the declarations of an item. `None` after reporting all faults in them.
pub(super) fn parse_declarations(object: &Object<'_>, findings: &mut Findings) -> Option<ItemDeclarations> {
    let parameters = parse_parameters(object, findings);
    let time_column = parse_time_column(object, findings);
    let period = parse_period(object, findings);
    let limits = parse_limits(object, findings);
    let (time_column, period) = (time_column.ok()?, period.ok()?);
    Some(ItemDeclarations { parameters: parameters?, time_column, period, limits: limits? })
}

fn parse_parameters(object: &Object<'_>, findings: &mut Findings) -> Option<Parameters> {
    let entries = match object.get("parameters") {
        None | Some(Json::Null) => return Some(Parameters::default()),
        Some(Json::Array(entries)) => entries,
        Some(other) => {
            object.refuse_type("parameters", "an array of parameters", other, findings);
            return None;
        }
    };
    let mut parameters = Parameters::default();
    let mut is_good = true;
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("parameters/{index}");
        let declared = read::<ParameterDeclaration>(entry)
            .and_then(|declaration| Parameter::try_from(declaration).map_err(|error| error.to_string()))
            .and_then(|parameter| parameters.push(parameter).map_err(|error| error.to_string()));
        if let Err(fault) = declared {
            is_good = false;
            findings.refuse(object.under(&at), Some(&entry.shown()), Reason::ParameterInvalid, fault);
        }
    }
    is_good.then_some(parameters)
}

/// Parses the time column, if there is one. The error marks a refused one.
fn parse_time_column(object: &Object<'_>, findings: &mut Findings) -> Result<Option<TimeColumn>, Refused> {
    let key = object.spelling(TIME_COLUMN);
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => match TimeColumn::parse(text) {
            Ok(column) => Ok(Some(column)),
            Err(error) => {
                findings.refuse(object.at(key), Some(text), Reason::TimeColumnInvalid, error.to_string());
                Err(Refused)
            }
        },
        Some(other) => {
            object.refuse_type(key, "a string", other, findings);
            Err(Refused)
        }
    }
}

/// Parses the declaration of periods, if there is one. The error marks a refused one.
fn parse_period(object: &Object<'_>, findings: &mut Findings) -> Result<Option<PeriodDeclaration>, Refused> {
    let value = match object.get("period") {
        None | Some(Json::Null) => return Ok(None),
        Some(value) => value,
    };
    read(value).map(Some).map_err(|message| {
        findings.refuse(object.at("period"), Some(&value.shown()), Reason::PeriodInvalid, message);
        Refused
    })
}

fn parse_limits(object: &Object<'_>, findings: &mut Findings) -> Option<MetricLimits> {
    let value = match object.get("limits") {
        None | Some(Json::Null) => return Some(MetricLimits::default()),
        Some(value) => value,
    };
    match read::<MetricLimits>(value) {
        Ok(limits) => Some(limits),
        Err(message) => {
            findings.refuse(object.at("limits"), Some(&value.shown()), Reason::LimitsInvalid, message);
            None
        }
    }
}

/// Deserializes a JSON value. The error names the expected value, without a position.
pub(super) fn read<T: serde::de::DeserializeOwned>(value: &Json) -> Result<T, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| {
        let message = plain_json_error(&error.to_string());
        message.split(" at line ").next().unwrap_or_default().to_owned()
    })
}
