//! SQL with values for its parameters, as it is run.

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

/// What PostgreSQL has to say of a statement, as its contract does. The values of parameters were read by these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The names and types of the columns.
    columns: Vec<(String, String)>,
    /// The types of the parameters, in the order of their numbers.
    parameter_types: Vec<String>,
}

impl Expected {
    /// What the contract says.
    #[must_use]
    pub fn of(contract: &Contract) -> Self {
        let parameter_types = contract.parameters.iter().map(|parameter| parameter.type_name.clone());
        Self::with_parameters(contract, parameter_types.collect())
    }

    /// The same columns, of a statement with other parameters.
    pub(crate) fn with_parameters(contract: &Contract, parameter_types: Vec<String>) -> Self {
        let columns = contract.columns.iter().map(|column| (column.name.clone(), column.type_name.clone()));
        Self { columns: columns.collect(), parameter_types }
    }

    /// Whether PostgreSQL says so.
    #[must_use]
    pub fn is_met_by(&self, columns: &[Column], parameter_types: &[String]) -> bool {
        let described = columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str()));
        let expected = self.columns.iter().map(|(name, type_name)| (name.as_str(), type_name.as_str()));
        described.eq(expected) && self.parameter_types == parameter_types
    }
}

impl BoundStatement {
    /// The text has `$1`, `$2`, … for the arguments, can stand in parentheses, and is one statement.
    pub(crate) fn new(text: Arc<str>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self { text, arguments, expected: None }
    }

    /// The same statement, which is not run unless PostgreSQL describes it so.
    pub(crate) fn expecting(self, expected: Option<Arc<Expected>>) -> Self {
        Self { expected, ..self }
    }

    /// A statement without values. Where it has parameters, PostgreSQL refuses it.
    #[must_use]
    pub fn without_arguments(statement: &Statement) -> Self {
        Self::new(statement.body().into(), Vec::new())
    }

    /// A statement with one parameter, and that value for it.
    #[must_use]
    pub fn with_argument(statement: &Statement, value: ParameterValue) -> Self {
        Self::new(numbered(statement, &[]).text.into(), vec![Some(value)])
    }

    /// A statement with NULL for each of its parameters: it can be described, and is not meant to be run.
    #[must_use]
    pub fn with_nulls(statement: &Statement, declared: &[Parameter]) -> Self {
        Self::new(numbered(statement, declared).text.into(), vec![None; statement.parameters().len()])
    }

    /// The text, with `$1`, `$2`, … for the arguments.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What PostgreSQL has to say of the statement for it to be run; none if its contract is not known.
    #[must_use]
    pub fn expected(&self) -> Option<&Expected> {
        self.expected.as_deref()
    }

    /// The values in the order of their numbers, in the text form that PostgreSQL reads; `None` is NULL.
    #[must_use]
    pub fn arguments(&self) -> &[Option<ParameterValue>] {
        &self.arguments
    }

    /// The same values, as they are sent.
    pub fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.arguments.iter().map(|value| value.as_ref().map(ParameterValue::as_str))
    }
}
