//! Statements with values for their parameters.

use std::sync::Arc;

use metricd_domain::{Contract, Parameter, ParameterValue};

use crate::arguments::numbered;
use crate::{Column, Statement};

/// A statement with a value for each of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundStatement {
    text: Arc<str>,
    arguments: Vec<Option<ParameterValue>>,
    expected: Option<Arc<Expected>>,
}

/// The description of a statement that PostgreSQL has to confirm before it runs: that of its contract. The values of
/// the request were parsed by these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The names and types of the columns.
    columns: Vec<(String, String)>,
    /// The types of the parameters, in the order of their numbers.
    parameter_types: Vec<String>,
}

impl Expected {
    /// The description by the contract.
    #[must_use]
    pub fn of(contract: &Contract) -> Self {
        let parameter_types = contract.parameters().iter().map(|parameter| parameter.type_name.clone());
        Self::with_parameters(contract, parameter_types.collect())
    }

    /// The same columns, for a statement with other parameters.
    pub(crate) fn with_parameters(contract: &Contract, parameter_types: Vec<String>) -> Self {
        let columns = contract.columns().iter().map(|column| (column.name.clone(), column.type_name.clone()));
        Self { columns: columns.collect(), parameter_types }
    }

    /// Whether this description by PostgreSQL is the expected one.
    #[must_use]
    pub fn is_met_by(&self, columns: &[Column], parameter_types: &[String]) -> bool {
        let described = columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str()));
        let expected = self.columns.iter().map(|(name, type_name)| (name.as_str(), type_name.as_str()));
        described.eq(expected) && self.parameter_types == parameter_types
    }
}

impl BoundStatement {
    /// The text has `$1`, `$2`, … for the arguments, can be put in parentheses, and is one statement.
    pub(crate) fn new(text: Arc<str>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self { text, arguments, expected: None }
    }

    /// The same statement, which only runs if PostgreSQL describes it as expected.
    pub(crate) fn expecting(self, expected: Option<Arc<Expected>>) -> Self {
        Self { expected, ..self }
    }

    /// A statement without values. If it has parameters, PostgreSQL refuses it.
    #[must_use]
    pub fn without_arguments(statement: &Statement) -> Self {
        Self::new(statement.body().into(), Vec::new())
    }

    /// A statement of the program's own, which is not parsed. Its text has `$1`, `$2`, … for the arguments.
    #[must_use]
    pub fn internal(text: impl Into<Arc<str>>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self::new(text.into(), arguments)
    }

    /// A statement with NULL for each parameter, to describe it and not to run it.
    #[must_use]
    pub fn with_nulls(statement: &Statement, declared: &[Parameter]) -> Self {
        Self::new(numbered(statement, declared).text.into(), vec![None; statement.parameters().len()])
    }

    /// The text, with `$1`, `$2`, … for the arguments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, shared with this statement.
    #[must_use]
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The description that PostgreSQL has to confirm before the statement runs; none if it has no contract.
    #[must_use]
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_deref()
    }

    /// The values in the order of their numbers, in PostgreSQL's text format; `None` is NULL.
    #[must_use]
    pub fn arguments(&self) -> &[Option<ParameterValue>] {
        &self.arguments
    }

    /// The same values, as text.
    pub fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.arguments.iter().map(|value| value.as_ref().map(ParameterValue::as_str))
    }
}
