//! Binds the values of a request to the parameters of a statement.

mod period;
mod slot;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use metricd_domain::{Contract, MetricDefinition, Parameter, ParameterName, ParameterValue, Period, TimeZone};

pub use self::period::{AppliedPeriod, PeriodApplication, is_period};
use self::period::{END_DATE, PeriodRequest, START_DATE};
use self::slot::Slot;
pub(crate) use self::slot::{unknown_label, with_offset};
use crate::period::{Clock, rewritten};
use crate::rewritten_sql::RewrittenSql;
use crate::{BoundStatement, Expected, InvalidStatement, RequestZone, Statement};

/// A value of a request that is invalid or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidArgument {
    /// The name of the parameter.
    pub name: String,
    /// What is wrong and what is expected, for the client.
    pub message: String,
}

/// The statement of a metric: parsed once, bound for each request.
#[derive(Debug)]
pub struct MetricStatement {
    text: Arc<str>,
    slots: Vec<Slot>,
    days: PeriodDays,
    /// The description of the statement in its contract.
    expected: Option<Arc<Expected>>,
}

/// What a request's `start_date` and `end_date` do.
#[derive(Debug)]
enum PeriodDays {
    /// They are bound to parameters that the SQL names.
    Named,
    /// They are bound to parameters of a rewritten statement.
    Rewritten {
        /// The one for days in UTC, or in no zone.
        utc: PeriodStatement,
        /// The one for days in another zone, if it is another one.
        zoned: Option<PeriodStatement>,
    },
    /// They are refused, with this reason.
    Unsupported(String),
}

/// The rewritten statement, which runs if a request has a period.
#[derive(Debug)]
struct PeriodStatement {
    text: Arc<str>,
    /// The sources of its values, in the order of its parameters.
    values: Vec<ValueSource>,
    application: PeriodApplication,
    expected: Option<Arc<Expected>>,
}

/// The source of a value of a [`PeriodStatement`].
#[derive(Debug, Clone, Copy)]
enum ValueSource {
    /// The value of the parameter with this index in the statement of the metric.
    Own(usize),
    FirstDay,
    LastDay,
}

impl MetricStatement {
    /// Parses the SQL of the definition.
    ///
    /// # Errors
    ///
    /// [`InvalidStatement`] if the SQL is not one statement. This is possible if it was stored without validation.
    pub fn of(definition: &MetricDefinition) -> Result<Self, InvalidStatement> {
        let statement = Statement::parse(&definition.sql)?;
        let declared = &definition.metric.parameters;
        let known = definition.contract.as_ref();
        let slots: Vec<_> = statement.parameters().iter().map(|name| Slot::new(name, declared, known)).collect();
        let unsupported = |reason: &str| PeriodDays::Unsupported(reason.to_owned());
        let period = known.map(Contract::current_period);
        let tables = known.map(Contract::tables).unwrap_or_default();
        let days = match period.as_deref() {
            _ if statement.parameters().iter().any(|name| is_period(name.as_str())) => PeriodDays::Named,
            Some(Period::Unsupported { reason }) => unsupported(reason),
            Some(Period::Bound) => unsupported("its SQL has changed since it was validated"),
            None => unsupported("its SQL was stored without being validated"),
            Some(period) => {
                let rewritten = |clock: Clock| {
                    let rewritten = rewritten(&statement, period, tables, clock)?;
                    let of = |rewritten| PeriodStatement::of((&statement, declared, known), &rewritten, period);
                    Some(rewritten.map(of))
                };
                let zoned = if period.is_of_instants() { rewritten(Clock::Session) } else { None };
                match (rewritten(Clock::Utc), zoned.transpose()) {
                    (Some(Ok(utc)), Ok(zoned)) => PeriodDays::Rewritten { utc, zoned },
                    (Some(Err(reason)), _) | (_, Err(reason)) => unsupported(&reason),
                    (None, Ok(_)) => unsupported("its SQL has changed since it was validated"),
                }
            }
        };
        let expected = known.map(|contract| Arc::new(Expected::of(contract)));
        Ok(Self { text: numbered(&statement, declared).text.into(), slots, days, expected })
    }

    /// Removes the expected description, so that the statement also runs if PostgreSQL describes it differently from
    /// its contract.
    #[must_use]
    pub fn without_expectation(mut self) -> Self {
        self.expected = None;
        if let PeriodDays::Rewritten { utc, zoned } = &mut self.days {
            for rewritten in zoned.iter_mut().chain([utc]) {
                rewritten.expected = None;
            }
        }
        self
    }

    /// Binds each parameter to the value of the request, to the declared default, or to NULL if it is optional.
    /// `start_date` and `end_date` are the days of the period, whether the SQL uses them or not.
    ///
    /// # Errors
    ///
    /// An error for each value that is invalid or missing, ordered by the names of the parameters.
    pub fn bind(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<(BoundStatement, Option<AppliedPeriod>), Vec<InvalidArgument>> {
        self.bind_in(given, &RequestZone::default())
    }

    /// The same, for a request in this time zone. The days of a period are days of the zone, and SQL that names
    /// `:time_zone` gets its name.
    ///
    /// # Errors
    ///
    /// As for [`Self::bind`].
    pub fn bind_in(
        &self,
        given: &BTreeMap<String, String>,
        zone: &RequestZone,
    ) -> Result<(BoundStatement, Option<AppliedPeriod>), Vec<InvalidArgument>> {
        let mut faults = Vec::new();
        let period = PeriodRequest::read(given, &mut faults);
        for name in given.keys().filter(|name| !is_period(name)) {
            if !self.slots.iter().any(|slot| slot.name() == name) {
                faults.push(InvalidArgument { name: shown(name), message: self.unknown() });
            }
        }
        let mut arguments = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let bound = match given.get(slot.name()) {
                Some(value) => slot.value(value, zone.zone()).map(Some),
                None => slot.absent(zone.zone()),
            };
            match bound {
                Ok(value) => arguments.push(value),
                Err(message) => faults.push(InvalidArgument { name: slot.name().to_owned(), message }),
            }
        }
        let (text, applied, expected) = self.apply((&period, zone.zone()), given, &mut arguments, &mut faults);
        if faults.is_empty() {
            let bound = BoundStatement::new(text, arguments).expecting(expected.cloned());
            Ok((bound.in_time_zone(zone.differing().cloned()), applied))
        } else {
            faults.sort_by(|left, right| left.name.cmp(&right.name));
            faults.dedup_by(|left, right| left.name == right.name);
            Err(faults)
        }
    }

    /// The parameters: the name, the type if it is known, and whether a request must have a value.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<String>, bool)> {
        self.slots.iter().map(|slot| (slot.name(), slot.type_name(), slot.is_needed()))
    }

    /// The parameters as in [`Self::parameters`], from the contract of a definition and without parsing its SQL. Empty
    /// without a contract.
    pub fn contract_parameters(definition: &MetricDefinition) -> impl Iterator<Item = (String, Option<String>, bool)> {
        let known = definition.contract.as_ref();
        let parameters = known.map(Contract::parameters).unwrap_or_default();
        parameters.iter().map(move |parameter| {
            let slot = Slot::new(&parameter.name, &definition.metric.parameters, known);
            (slot.name().to_owned(), slot.type_name(), slot.is_needed())
        })
    }

    /// The SQL that runs without a period, with `$1`, `$2`, … for the parameters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether only PostgreSQL can validate a value. If so, an error of PostgreSQL may be about the request.
    #[must_use]
    pub fn has_unvalidated(&self) -> bool {
        self.slots.iter().any(Slot::is_unvalidated)
    }

    /// The errors for values that only PostgreSQL can validate, after it refused one of them. If some values are not
    /// labels of their enum type, the errors are about those. Otherwise there is one for each value, because any of
    /// them may be invalid.
    #[must_use]
    pub fn refused(&self, statement: &BoundStatement) -> Vec<InvalidArgument> {
        let given = self.own_values(statement).into_iter().filter(|(slot, _)| slot.is_unvalidated());
        let given: Vec<_> = given.filter_map(|(slot, value)| Some((slot, value?.as_str()))).collect();
        let fault = |slot: &Slot, message| InvalidArgument { name: slot.name().to_owned(), message };
        let unknown_labels: Vec<_> =
            given.iter().filter_map(|(slot, value)| Some(fault(slot, slot.unknown_label(value)?))).collect();
        if !unknown_labels.is_empty() {
            return unknown_labels;
        }
        let message = |slot: &Slot| match (given.len(), slot.type_name()) {
            (1, Some(type_name)) => format!("PostgreSQL refuses the value: expected one of the type `{type_name}`"),
            (_, Some(type_name)) => {
                format!("PostgreSQL refuses this value or another one: expected one of the type `{type_name}`")
            }
            (_, None) => "PostgreSQL refuses this value or another one".to_owned(),
        };
        given.iter().map(|(slot, _)| fault(slot, message(slot))).collect()
    }

    /// The values of the parameters in a bound statement. The numbers of a statement for a period are in another order.
    fn own_values<'a>(&'a self, bound: &'a BoundStatement) -> Vec<(&'a Slot, Option<&'a ParameterValue>)> {
        let arguments = bound.arguments();
        let rewritten = match &self.days {
            PeriodDays::Rewritten { utc, zoned } => {
                [Some(utc), zoned.as_ref()].into_iter().flatten().find(|rewritten| rewritten.text == *bound.origin())
            }
            PeriodDays::Named | PeriodDays::Unsupported(_) => None,
        };
        let Some(rewritten) = rewritten else {
            return self.slots.iter().zip(arguments.iter().map(Option::as_ref)).collect();
        };
        let own = rewritten.values.iter().zip(arguments).filter_map(|(source, value)| match source {
            ValueSource::Own(number) => Some((self.slots.get(*number)?, value.as_ref())),
            ValueSource::FirstDay | ValueSource::LastDay => None,
        });
        own.collect()
    }

    fn apply(
        &self,
        (period, zone): (&PeriodRequest, &TimeZone),
        given: &BTreeMap<String, String>,
        arguments: &mut Vec<Option<ParameterValue>>,
        faults: &mut Vec<InvalidArgument>,
    ) -> (Arc<str>, Option<AppliedPeriod>, Option<&Arc<Expected>>) {
        let mut refuse = |message: &dyn Fn(&str) -> String| {
            let is_named = |name: &str| self.slots.iter().any(|slot| slot.name() == name);
            for name in [START_DATE, END_DATE].into_iter().filter(|name| given.contains_key(*name) && !is_named(name)) {
                faults.push(InvalidArgument { name: name.to_owned(), message: message(name) });
            }
        };
        let own = self.expected.as_ref();
        match &self.days {
            PeriodDays::Named => {
                refuse(&|name| format!("the metric's SQL names a period of its own, without `:{name}`"));
                (Arc::clone(&self.text), Some(period.applied(PeriodApplication::Bound, zone)), own)
            }
            PeriodDays::Rewritten { utc, zoned } if given.keys().any(|name| is_period(name)) => {
                let rewritten = zoned.as_ref().filter(|_| !zone.is_utc()).unwrap_or(utc);
                let value = |value: &ValueSource| match value {
                    ValueSource::Own(number) => arguments.get(*number).cloned().flatten(),
                    ValueSource::FirstDay => Some(period.first_day()),
                    ValueSource::LastDay => Some(period.last_day()),
                };
                *arguments = rewritten.values.iter().map(value).collect();
                let applied = Some(period.applied(rewritten.application, zone));
                (Arc::clone(&rewritten.text), applied, rewritten.expected.as_ref())
            }
            PeriodDays::Rewritten { .. } => (Arc::clone(&self.text), None, own),
            PeriodDays::Unsupported(reason) => {
                refuse(&|_| format!("the metric has no period: {reason}"));
                (Arc::clone(&self.text), None, own)
            }
        }
    }

    fn unknown(&self) -> String {
        let names: Vec<_> = self.slots.iter().map(|slot| format!("`{}`", slot.name())).collect();
        if names.is_empty() {
            "the metric has no such parameter: it takes `start_date`, `end_date`, `sort`, `filter`, `limit`, `offset` and `format`".to_owned()
        } else {
            format!("the metric has no such parameter: it takes {}", names.join(", "))
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

impl PeriodStatement {
    /// Combines the statement of the metric, with its declarations and its contract, and the rewritten statement.
    fn of(
        (statement, declared, contract): (&Statement, &[Parameter], Option<&Contract>),
        rewritten: &Statement,
        period: &Period,
    ) -> Self {
        let own: HashMap<_, _> = statement.parameters().iter().zip(0..).collect();
        let value = |name: &ParameterName| match own.get(name) {
            Some(number) => ValueSource::Own(*number),
            None if name.as_str() == START_DATE => ValueSource::FirstDay,
            None => ValueSource::LastDay,
        };
        let application = match period {
            Period::Result(_) => PeriodApplication::Result,
            _ => PeriodApplication::Narrowed,
        };
        let values: Vec<_> = rewritten.parameters().iter().map(value).collect();
        let expected = contract.map(|contract| {
            // A parameter that the contract lacks gets an empty type, which never matches.
            let type_name = |value: &ValueSource| match value {
                ValueSource::Own(number) => contract.parameters().get(*number).map(|own| own.type_name.clone()),
                ValueSource::FirstDay | ValueSource::LastDay => Some("date".to_owned()),
            };
            let types = values.iter().map(|value| type_name(value).unwrap_or_default()).collect();
            Arc::new(Expected::with_parameters(contract, types))
        });
        Self { text: numbered(rewritten, declared).text.into(), values, application, expected }
    }
}

/// Replaces the parameters by `$1`, `$2`, …, and casts declared ones to their type.
pub(crate) fn numbered(statement: &Statement, declared: &[Parameter]) -> RewrittenSql {
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
    let edits = placeholders
        .map(|placeholder| {
            let blank = if would_merge(statement.text(), placeholder.range.start) { " " } else { "" };
            (placeholder.range.clone(), format!("{blank}{}", written(placeholder.index)))
        })
        .collect();
    RewrittenSql::of(statement.text(), statement.body_range(), edits)
}

/// Whether `$1` at this byte offset would merge with the preceding token, as in `not:a`.
fn would_merge(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    before.ends_with(|character: char| character.is_alphanumeric() || !character.is_ascii() || "_$".contains(character))
}
