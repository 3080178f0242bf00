//! SQL with values for its parameters, as it is run.

use std::sync::Arc;

use metricd_domain::{Parameter, ParameterValue};

use crate::Statement;
use crate::arguments::numbered;

/// A statement with a value for each of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundStatement {
    text: Arc<str>,
    arguments: Vec<Option<ParameterValue>>,
}

impl BoundStatement {
    /// The text has `$1`, `$2`, … for the arguments, can stand in parentheses, and is one statement.
    pub(crate) fn new(text: Arc<str>, arguments: Vec<Option<ParameterValue>>) -> Self {
        Self { text, arguments }
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
