//! Bound statements: statements with a value for each parameter.

use std::sync::Arc;

use metricd_domain::{Contract, Parameter, ParameterValue, RowLimit, TimeZone};

use crate::arguments::numbered;
use crate::{Column, Selection, Statement};

/// The parameters of `LIMIT` and `OFFSET`, which are the last ones of a statement with a selection.
const PAGE_PARAMETERS: usize = 2;

/// A statement with a value for each of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundStatement {
    text: Arc<str>,
    arguments: Vec<Option<ParameterValue>>,
    expected: Option<Arc<Expected>>,
    time_zone: Option<TimeZone>,
    selected: Option<Selected>,
}

/// The selection of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selected {
    selection: Arc<Selection>,
    /// The text without the selection.
    origin: Arc<str>,
}

/// The description of a statement in its contract. PostgreSQL has to confirm it before the statement runs, because the
/// values of the request were parsed by these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The names and types of the columns.
    columns: Vec<(String, String)>,
    /// The types of the parameters, in the order of their numbers.
    parameter_types: Vec<String>,
}

impl Expected {
    /// The description in the contract.
    #[must_use]
    pub fn of(contract: &Contract) -> Self {
        let parameter_types = contract.parameters().iter().map(|parameter| parameter.type_name.clone());
        Self::with_parameters(contract, parameter_types.collect())
    }

    /// The columns of the contract, for a statement with other parameters.
    pub(crate) fn with_parameters(contract: &Contract, parameter_types: Vec<String>) -> Self {
        let columns = contract.columns().iter().map(|column| (column.name.clone(), column.type_name.clone()));
        Self { columns: columns.collect(), parameter_types }
    }

    /// The description with these types of parameters after its own.
    fn and_parameters<'a>(&self, parameter_types: impl Iterator<Item = &'a str>) -> Self {
        let parameter_types = self.parameter_types.iter().cloned().chain(parameter_types.map(str::to_owned));
        Self { columns: self.columns.clone(), parameter_types: parameter_types.collect() }
    }

    /// Whether PostgreSQL's description equals the expected one.
    #[must_use]
    pub fn matches(&self, columns: &[Column], parameter_types: &[String]) -> bool {
        let described = columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str()));
        let expected = self.columns.iter().map(|(name, type_name)| (name.as_str(), type_name.as_str()));
        described.eq(expected) && self.parameter_types == parameter_types
    }
}

impl BoundStatement {
    /// Makes a bound statement of one statement with `$1`, `$2`, … for the arguments, which can be put in parentheses.
    pub(crate) fn new(text: Arc<str>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self { text, arguments, expected: None, time_zone: None, selected: None }
    }

    /// Sets the expected description. The statement only runs if PostgreSQL confirms it.
    pub(crate) fn expecting(self, expected: Option<Arc<Expected>>) -> Self {
        Self { expected, ..self }
    }

    /// Sets the time zone in which the statement is parsed and runs. `None` is that of the sessions.
    #[must_use]
    pub fn in_time_zone(self, time_zone: Option<TimeZone>) -> Self {
        Self { time_zone, ..self }
    }

    /// The same with a selection of its result, unless that is empty. It returns one row more than the limit if there is one,
    /// so that a run with this limit finds that the result is truncated.
    #[must_use]
    pub fn selecting(self, selection: &Arc<Selection>, limit: RowLimit) -> Self {
        if selection.is_empty() {
            return self;
        }
        let text = selection.wrap(&self.text, self.arguments.len() + 1).into();
        let values = selection.values(limit);
        let types = values.iter().map(|(_, type_name)| *type_name);
        let expected = self.expected.as_ref().map(|expected| Arc::new(expected.and_parameters(types)));
        let arguments = self.arguments.into_iter().chain(values.into_iter().map(|(value, _)| Some(value))).collect();
        let selected = Some(Selected { selection: Arc::clone(selection), origin: self.text });
        Self { text, arguments, expected, selected, ..self }
    }

    /// Makes a bound statement without values. PostgreSQL refuses it if it has parameters.
    #[must_use]
    pub fn without_arguments(statement: &Statement) -> Self {
        Self::new(statement.body().into(), Vec::new())
    }

    /// Makes a bound statement of metricd's own SQL, without parsing it. The text has `$1`, `$2`, … for the arguments.
    #[must_use]
    pub fn internal(text: impl Into<Arc<str>>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self::new(text.into(), arguments)
    }

    /// Makes a bound statement with NULL for each parameter, to describe it without running it.
    #[must_use]
    pub fn with_nulls(statement: &Statement, declared: &[Parameter]) -> Self {
        Self::new(numbered(statement, declared).text.into(), vec![None; statement.parameters().len()])
    }

    /// The text, with `$1`, `$2`, … for the arguments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, without copying it.
    #[must_use]
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The text without the selection, if there is one. What is known of it, such as that PostgreSQL does not stop it, holds
    /// for the statement with any selection.
    #[must_use]
    pub fn origin(&self) -> &Arc<str> {
        self.selected.as_ref().map_or(&self.text, |selected| &selected.origin)
    }

    /// The selection of the result.
    #[must_use]
    pub fn selection(&self) -> Option<&Arc<Selection>> {
        self.selected.as_ref().map(|selected| &selected.selection)
    }

    /// The description that PostgreSQL has to confirm before the statement runs. `None` if it has no contract.
    #[must_use]
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_deref()
    }

    /// The time zone in which the statement is parsed and runs. `None` is that of the sessions.
    #[must_use]
    pub fn time_zone(&self) -> Option<&TimeZone> {
        self.time_zone.as_ref()
    }

    /// The values in the order of their numbers, in PostgreSQL's text format. `None` is NULL.
    #[must_use]
    pub fn arguments(&self) -> &[Option<ParameterValue>] {
        &self.arguments
    }

    /// The values as text, in the same order.
    pub fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.arguments.iter().map(|value| value.as_ref().map(ParameterValue::as_str))
    }

    /// The same for an estimate of the planner: without the limit and the offset of a page, so that an estimate holds for
    /// every page.
    pub fn texts_of_all_pages(&self) -> impl Iterator<Item = Option<&str>> {
        let page = self.selected.as_ref().map_or(0, |_| PAGE_PARAMETERS);
        let count = self.arguments.len().saturating_sub(page);
        self.texts().enumerate().map(move |(index, text)| text.filter(|_| index < count))
    }
}
