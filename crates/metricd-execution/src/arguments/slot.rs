//! A parameter of a statement, and how its values are validated.

use metricd_domain::{Contract, Parameter, ParameterName, ParameterType, ParameterValue, TIME_ZONE, TimeZone, visible};

use super::period::{END_DATE, START_DATE};

/// The maximum number of labels of an enum type in a message.
const MAX_SHOWN_LABELS: usize = 50;
/// The maximum number of characters of a value in a message.
const MAX_SHOWN_CHARS: usize = 60;

/// A parameter of a statement.
#[derive(Debug)]
pub(super) struct Slot {
    name: ParameterName,
    values: Values,
    /// The labels of the type in the contract, if it is an enum. The type may have more labels now.
    labels: Vec<String>,
}

/// The type of an instant.
const INSTANT: &str = "timestamp with time zone";

/// The error for a value with an offset, for a parameter of the type `timestamp`.
pub(crate) fn with_offset(zone: &TimeZone) -> String {
    format!("a `timestamp` has no time zone: write the local time of `{zone}`, without an offset")
}

/// The error for a value that is none of the labels of an enum type. `None` if it is one.
pub(crate) fn unknown_label(labels: &[String], value: &str) -> Option<String> {
    if labels.iter().any(|label| label == value) {
        return None;
    }
    let shown: Vec<_> = labels.iter().take(MAX_SHOWN_LABELS).map(|label| format!("`{}`", visible(label))).collect();
    let more = if labels.len() > MAX_SHOWN_LABELS { ", …" } else { "" };
    let value: String = value.chars().take(MAX_SHOWN_CHARS).collect();
    Some(format!("`{}` is none of the values: expected one of {}{more}", visible(&value), shown.join(", ")))
}

/// How the values are validated.
#[derive(Debug)]
enum Values {
    /// By the declaration of the definition.
    Declared(Box<Parameter>),
    /// By the type that PostgreSQL infers, if metricd can parse it. The text is the name of the type in PostgreSQL.
    Inferred(ParameterType, String),
    /// Only by PostgreSQL: metricd cannot parse the type, or it is unknown without a contract. The text is its name, if
    /// known.
    Unvalidated(Option<String>),
}

impl Slot {
    pub(super) fn new(name: &ParameterName, declared: &[Parameter], contract: Option<&Contract>) -> Self {
        let declared = declared.iter().find(|parameter| parameter.name() == name);
        let parameters = contract.map(Contract::parameters).unwrap_or_default();
        let resolved = parameters.iter().find(|parameter| parameter.name == *name);
        let type_name = resolved.map(|parameter| parameter.type_name.clone());
        let inferred = type_name.as_deref().and_then(ParameterType::of_postgres);
        let labels = contract.zip(type_name.as_deref()).and_then(|(contract, type_name)| contract.labels(type_name));
        let labels = labels.unwrap_or_default().to_vec();
        let values = match (declared, inferred, type_name) {
            (Some(declared), ..) => Values::Declared(Box::new(declared.clone())),
            (None, Some(inferred), Some(type_name)) => Values::Inferred(inferred, type_name),
            (None, _, type_name) => Values::Unvalidated(type_name),
        };
        Self { name: name.clone(), values, labels }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Whether only PostgreSQL can validate the values.
    pub(super) fn is_unvalidated(&self) -> bool {
        matches!(self.values, Values::Unvalidated(_))
    }

    /// The error for a value that is not a label of the enum type. `None` if it is one, or if the type is not an enum.
    pub(super) fn unknown_label(&self, value: &str) -> Option<String> {
        let is_array = self.type_name().is_some_and(|type_name| type_name.ends_with("[]"));
        if self.labels.is_empty() || is_array { None } else { unknown_label(&self.labels, value) }
    }

    /// The name of the type, if it is known.
    pub(super) fn type_name(&self) -> Option<String> {
        match &self.values {
            Values::Declared(declared) => Some(declared.data_type().to_string()),
            Values::Inferred(_, type_name) => Some(type_name.clone()),
            Values::Unvalidated(type_name) => type_name.clone(),
        }
    }

    /// Parses the value of a request in this time zone.
    ///
    /// A `timestamp` has no zone. A value with an offset is taken as UTC, as long as that is what the SQL takes it for.
    pub(super) fn value(&self, text: &str, zone: &TimeZone) -> Result<ParameterValue, String> {
        match &self.values {
            Values::Declared(declared) if !zone.is_utc() && declared.data_type().has_offset(text) => {
                Err(with_offset(zone))
            }
            Values::Declared(declared) => declared.accept(text).map_err(|error| error.to_string()),
            Values::Inferred(inferred, type_name) if type_name.starts_with(INSTANT) => {
                inferred.parse_instant(text).map_err(|error| error.to_string())
            }
            Values::Inferred(inferred, _) if !zone.is_utc() && inferred.has_offset(text) => Err(with_offset(zone)),
            Values::Inferred(inferred, _) => inferred.parse_value(text).map_err(|error| error.to_string()),
            Values::Unvalidated(_) if text.contains('\0') => Err("expected text without NUL characters".to_owned()),
            Values::Unvalidated(_) => Ok(ParameterValue::unvalidated(text)),
        }
    }

    /// The value if the request in this time zone has none.
    pub(super) fn absent(&self, zone: &TimeZone) -> Result<Option<ParameterValue>, String> {
        let is_day = |name: &str| self.name() == name && self.is_time();
        match &self.values {
            // Every request has a time zone.
            _ if self.name() == TIME_ZONE => self.value(zone.as_str(), zone).map(Some),
            Values::Declared(declared) if declared.default().is_some() => Ok(declared.default().cloned()),
            Values::Declared(declared) if declared.is_required() => Err(self.missing()),
            // A period without a first or last day is open on that side.
            _ if is_day(START_DATE) => Ok(Some(ParameterValue::unvalidated("-infinity"))),
            _ if is_day(END_DATE) => Ok(Some(ParameterValue::unvalidated("infinity"))),
            Values::Declared(_) => Ok(None),
            Values::Inferred(..) | Values::Unvalidated(_) => Err(self.missing()),
        }
    }

    /// Whether a request must have a value.
    pub(super) fn is_needed(&self) -> bool {
        self.absent(&TimeZone::default()).is_err()
    }

    fn is_time(&self) -> bool {
        let is_time = |name: &str| name == "date" || (name.starts_with("timestamp") && !name.ends_with("[]"));
        self.type_name().is_some_and(|name| is_time(&name))
    }

    fn missing(&self) -> String {
        match self.type_name() {
            None => "the metric needs a value for it".to_owned(),
            Some(type_name) => format!("the metric needs a value for it, of the type `{type_name}`"),
        }
    }
}
