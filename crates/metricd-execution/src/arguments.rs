//! From a request's words to the values that a statement is run with.

mod period;

use std::collections::BTreeMap;
use std::sync::Arc;

use metricd_domain::{
    Contract, InvalidParameterValue, MetricDefinition, Parameter, ParameterName, ParameterType, ParameterValue, Period,
};

pub use self::period::{AppliedPeriod, PeriodApplication};
use self::period::{END_DATE, PeriodRequest, START_DATE};
use crate::edit::Edited;
use crate::period::narrowing;
use crate::{BoundStatement, InvalidStatement, Statement};

/// What a request says of one parameter is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArgument {
    /// The parameter.
    pub name: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// A metric's statement, ready to be given values: parsed once, bound for each request.
#[derive(Debug)]
pub struct MetricStatement {
    text: Arc<str>,
    /// The text that reads only the rows of a period, whose days are two more parameters.
    narrowed: Option<Arc<str>>,
    slots: Vec<Slot>,
    period: Period,
}

/// A parameter of the statement, and what is known of its values.
#[derive(Debug)]
struct Slot {
    name: ParameterName,
    declared: Option<Parameter>,
    /// The type under which a value is judged where nothing is declared; without one, PostgreSQL judges it.
    inferred: Option<ParameterType>,
    type_name: String,
}

impl MetricStatement {
    /// Takes the definition's SQL apart.
    ///
    /// # Errors
    ///
    /// [`InvalidStatement`] where the SQL is not one statement, as when it came into the store past every judgement.
    pub fn of(definition: &MetricDefinition) -> Result<Self, InvalidStatement> {
        let statement = Statement::parse(&definition.sql)?;
        let declared = &definition.metric.parameters;
        let known = definition.contract.as_ref();
        let slots: Vec<_> = statement.parameters().iter().map(|name| Slot::new(name, declared, known)).collect();
        let period = known.map_or_else(unknown_period, |contract| contract.period.clone());
        let narrowed = match &period {
            Period::Narrowed(source) => Some(numbered(&statement, declared, Some(source)).text.into()),
            Period::Bound | Period::Unsupported { .. } => None,
        };
        Ok(Self { text: numbered(&statement, declared, None).text.into(), narrowed, slots, period })
    }

    /// Gives each parameter its value: the request's, the declared default, or NULL where a request need not have one.
    /// `start_date` and `end_date` are the period's, whether the SQL names them or not.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the values, in the order of the names.
    pub fn bind(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<(BoundStatement, Option<AppliedPeriod>), Vec<InvalidArgument>> {
        let mut faults = Vec::new();
        let period = PeriodRequest::read(given, &mut faults);
        let is_period = |name: &str| [START_DATE, END_DATE].contains(&name);
        for name in given.keys().filter(|name| !is_period(name)) {
            if !self.slots.iter().any(|slot| slot.name.as_str() == name) {
                faults.push(InvalidArgument { name: shown(name), message: self.unknown() });
            }
        }
        let mut arguments = Vec::with_capacity(self.slots.len() + 2);
        for slot in &self.slots {
            let bound = match given.get(slot.name.as_str()) {
                Some(value) => slot.value(value).map(Some),
                None => slot.absent(),
            };
            match bound {
                Ok(value) => arguments.push(value),
                Err(message) => faults.push(InvalidArgument { name: slot.name.to_string(), message }),
            }
        }
        let (text, applied) = self.apply(&period, given, &mut arguments, &mut faults);
        if faults.is_empty() {
            Ok((BoundStatement::new(text, arguments), applied))
        } else {
            faults.sort_by(|left, right| left.name.cmp(&right.name));
            faults.dedup_by(|left, right| left.name == right.name);
            Err(faults)
        }
    }

    /// The parameters: the name, the type where it is known, and whether a request must have a value.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<String>, bool)> {
        self.slots.iter().map(|slot| {
            let type_name = slot.type_name();
            (slot.name.as_str(), (!type_name.is_empty()).then_some(type_name), slot.absent().is_err())
        })
    }

    /// Whether a value is judged by PostgreSQL alone, so that an error of its may be the request's.
    #[must_use]
    pub fn has_unjudged(&self) -> bool {
        self.slots.iter().any(|slot| slot.declared.is_none() && slot.inferred.is_none())
    }

    fn apply(
        &self,
        period: &PeriodRequest,
        given: &BTreeMap<String, String>,
        arguments: &mut Vec<Option<ParameterValue>>,
        faults: &mut Vec<InvalidArgument>,
    ) -> (Arc<str>, Option<AppliedPeriod>) {
        let names = |name: &str| self.slots.iter().any(|slot| slot.name.as_str() == name);
        let mut fault = |message: &dyn Fn(&str) -> String| {
            for name in [START_DATE, END_DATE].into_iter().filter(|name| given.contains_key(*name) && !names(name)) {
                faults.push(InvalidArgument { name: name.to_owned(), message: message(name) });
            }
        };
        if names(START_DATE) || names(END_DATE) {
            fault(&|name| format!("the metric's SQL names a period of its own, without `:{name}`"));
            return (Arc::clone(&self.text), Some(period.applied(PeriodApplication::Bound)));
        }
        match (&self.period, &self.narrowed) {
            _ if !given.contains_key(START_DATE) && !given.contains_key(END_DATE) => (Arc::clone(&self.text), None),
            (Period::Narrowed(_), Some(narrowed)) => {
                arguments.extend(period.bounds().map(Some));
                (Arc::clone(narrowed), Some(period.applied(PeriodApplication::Narrowed)))
            }
            (Period::Unsupported { reason }, _) => {
                fault(&|_| format!("the metric has no period: {reason}"));
                (Arc::clone(&self.text), None)
            }
            (Period::Bound | Period::Narrowed(_), _) => {
                fault(&|_| "the metric has no period: its SQL has changed since it was judged".to_owned());
                (Arc::clone(&self.text), None)
            }
        }
    }

    fn unknown(&self) -> String {
        let names: Vec<_> = self.slots.iter().map(|slot| format!("`{}`", slot.name)).collect();
        if names.is_empty() {
            "the metric has no such parameter: it takes `start_date`, `end_date`, `limit` and `format`".to_owned()
        } else {
            format!("the metric has no such parameter: it takes {}", names.join(", "))
        }
    }
}

fn unknown_period() -> Period {
    Period::Unsupported { reason: "its SQL was stored without being judged".to_owned() }
}

impl Slot {
    fn new(name: &ParameterName, declared: &[Parameter], contract: Option<&Contract>) -> Self {
        let parameters = contract.map(|contract| contract.parameters.as_slice()).unwrap_or_default();
        let resolved = parameters.iter().find(|parameter| parameter.name == *name);
        let type_name = resolved.map(|parameter| parameter.type_name.clone()).unwrap_or_default();
        Self {
            name: name.clone(),
            declared: declared.iter().find(|parameter| parameter.name() == name).cloned(),
            inferred: ParameterType::of_postgres(&type_name),
            type_name,
        }
    }

    fn value(&self, text: &str) -> Result<ParameterValue, String> {
        match (&self.declared, self.inferred) {
            (Some(declared), _) => declared.accept(text).map_err(|error| error.to_string()),
            (None, Some(inferred)) => {
                inferred.parse_value(text).map_err(|error: InvalidParameterValue| error.to_string())
            }
            (None, None) if text.contains('\0') => Err("expected text without NUL characters".to_owned()),
            (None, None) => Ok(ParameterValue::unjudged(text)),
        }
    }

    /// The value where the request has none.
    fn absent(&self) -> Result<Option<ParameterValue>, String> {
        let is_day = |name: &str| self.name.as_str() == name && self.is_time();
        match &self.declared {
            Some(declared) if declared.default().is_some() => Ok(declared.default().cloned()),
            Some(declared) if declared.is_required() => Err(self.missing()),
            // A period that is open on a side has no bound there.
            _ if is_day(START_DATE) => Ok(Some(ParameterValue::unjudged("-infinity"))),
            _ if is_day(END_DATE) => Ok(Some(ParameterValue::unjudged("infinity"))),
            Some(_) => Ok(None),
            None => Err(self.missing()),
        }
    }

    /// The type's name, empty where it is not known.
    fn type_name(&self) -> String {
        let declared = self.declared.as_ref().map(|declared| declared.data_type().to_string());
        declared.unwrap_or_else(|| self.type_name.clone())
    }

    fn is_time(&self) -> bool {
        let type_name = self.type_name();
        type_name == "date" || (type_name.starts_with("timestamp") && !type_name.ends_with("[]"))
    }

    fn missing(&self) -> String {
        let type_name = self.type_name();
        if type_name.is_empty() {
            "the metric needs a value for it".to_owned()
        } else {
            format!("the metric needs a value for it, of the type `{type_name}`")
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The statement's text with `$1`, `$2`, … for its parameters, those that are declared cast to their type; where there is a
/// source, it reads the rows of a period, whose days are the next two.
pub(crate) fn numbered(
    statement: &Statement,
    declared: &[Parameter],
    source: Option<&metricd_domain::PeriodSource>,
) -> Edited {
    let types: Vec<_> = statement
        .parameters()
        .iter()
        .map(|name| declared.iter().find(|parameter| parameter.name() == name).map(Parameter::data_type))
        .collect();
    let written = |index: usize| match types.get(index).copied().flatten() {
        Some(data_type) => format!("CAST(${} AS {data_type})", index + 1),
        None => format!("${}", index + 1),
    };
    let placeholders = statement.placeholders().iter();
    let mut edits: Vec<_> = placeholders.map(|place| (place.range.clone(), written(place.index))).collect();
    if let Some(source) = source {
        edits.extend(narrowing(statement, source, types.len() + 1));
    }
    Edited::of(statement.text(), statement.body_range(), edits)
}
