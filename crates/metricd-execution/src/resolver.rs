//! The port through which PostgreSQL resolves a statement without running it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;
use metricd_domain::{ContractColumn, ContractTable};

use crate::{Allowed, QueryTree};
use metricd_database::Outage;

/// SQL that can be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolvable {
    /// One query, with `$1`, `$2`, … for the parameters. It can be put in parentheses.
    pub text: String,
    /// The parameters in the order of the text: the byte range of `$n`, including the cast of a declared parameter to
    /// its type, and `n - 1`.
    pub placeholders: Vec<(Range<usize>, usize)>,
}

impl Resolvable {
    /// The number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.placeholders.iter().map(|(_, index)| index + 1).max().unwrap_or_default()
    }

    /// The text with each parameter replaced by the result of `value`.
    #[must_use]
    pub fn with_values(&self, value: impl Fn(usize) -> String) -> String {
        let mut text = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, index) in &self.placeholders {
            text.push_str(self.text.get(at..range.start).unwrap_or_default());
            text.push_str(&value(*index));
            at = range.end;
        }
        text.push_str(self.text.get(at..).unwrap_or_default());
        text
    }
}

/// A statement as PostgreSQL resolves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The columns of the result.
    pub columns: Vec<ContractColumn>,
    /// The types of the parameters, in the order of their numbers, as `format_type` prints them.
    pub parameter_types: Vec<String>,
    /// Every relation that the statement reads, in any schema, ordered by schema and name; without those that views
    /// read.
    pub tables: Vec<ContractTable>,
    /// Every function that is called by its name, by an operator or a cast, or because of the type of a value.
    pub functions: Vec<ResolvedFunction>,
    /// Every type of which the statement makes a value, in addition to those of the columns that it reads. Arrays are
    /// listed by their elements.
    pub types: Vec<ResolvedType>,
    /// A fingerprint of the tables, if only their rows and the parameters determine the result.
    pub fingerprint: Option<String>,
    /// The labels of the enum types among the types of columns and parameters, by the name of the type.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Whether the type of a constant is a date or a time, or contains one.
    pub has_time_constants: bool,
    /// The constructs in the statement that stored SQL may not use: those that read the session, such as its user, XML,
    /// and locking clauses.
    pub forbidden_constructs: Vec<String>,
    /// The kinds of nodes that metricd does not know, as a later version of PostgreSQL may have. What they call is in
    /// none of the lists above.
    pub unknown_nodes: Vec<String>,
    /// The tree of the resolved query.
    pub tree: QueryTree,
}

/// A function that a statement calls.
#[expect(clippy::struct_excessive_bools, reason = "independent properties, as the catalog has them")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedFunction {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// Whether it is volatile: each call may return another result, or change something.
    pub is_volatile: bool,
    /// Whether it is SECURITY DEFINER: it runs with the rights of its owner.
    pub is_security_definer: bool,
    /// Whether the statement calls it by its name, not by an operator, a cast or a type.
    pub is_named: bool,
    /// Whether only the type of a value brings it: PostgreSQL may call it to parse, print, sort or group the value, or
    /// to convert it to JSON.
    pub is_brought: bool,
    /// Whether it is built into PostgreSQL.
    pub is_built_in: bool,
    /// Whether it is not built in, and its language is one that PostgreSQL does not trust, such as C.
    pub is_untrusted: bool,
    /// The extension to which it belongs.
    pub extension: Option<String>,
}

/// A type of which a statement makes values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedType {
    /// The schema.
    pub schema: String,
    /// The name in the system catalogs.
    pub name: String,
    /// Whether it is built into PostgreSQL.
    pub is_built_in: bool,
}

/// Why a statement could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// PostgreSQL refuses the statement.
    #[error("{message}")]
    Refused {
        /// PostgreSQL's message.
        message: String,
        /// PostgreSQL's hint.
        hint: Option<String>,
        /// The character of [`Resolvable::text`] at which it refuses, from 0, if it names one.
        character: Option<usize>,
    },
    /// Two columns of the result have this name.
    #[error("two columns are named `{0}`")]
    ColumnRepeated(String),
    /// The resolved query is larger than allowed, or takes too long to make.
    #[error("it is too large when PostgreSQL has resolved it")]
    TooComplex,
    /// PostgreSQL did not respond in time. Whether it responds to other statements is unknown.
    #[error("PostgreSQL did not answer in time: {0}")]
    TooSlow(String),
    /// The database is not available.
    #[error("the database is not available: {0}")]
    Unavailable(Outage),
}

/// Has PostgreSQL resolve statements.
///
/// A future that is dropped before it has ended gives the statement up; PostgreSQL may still work on it for a while.
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// The data schemas, with the functions and types in them that SQL may use. The sets of the operator in [`Allowed`] are empty.
    ///
    /// # Errors
    ///
    /// [`ResolveError::Unavailable`].
    async fn allowed(&self) -> Result<Allowed, ResolveError>;

    /// Resolves the statement. It is never run, and leaves nothing in the database.
    ///
    /// # Errors
    ///
    /// [`ResolveError`].
    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError>;
}
