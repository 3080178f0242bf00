//! The port through which PostgreSQL resolves a statement without running it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use metricd_domain::{ContractColumn, ContractTable, Table, TableName};

use crate::{Allowed, QueryTree};
use metricd_database::Outage;

/// A statement that PostgreSQL can resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolvable {
    /// One query that can be put in parentheses, with `$1`, `$2`, … for the parameters.
    pub text: String,
    /// The uses of parameters, in the order of the text: the byte range of `$n` and `n - 1`. The range includes the
    /// cast of a declared parameter to its type.
    pub placeholders: Vec<(Range<usize>, usize)>,
}

impl Resolvable {
    /// The number of parameters.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.placeholders.iter().map(|(_, index)| index + 1).max().unwrap_or_default()
    }

    /// The text with each parameter replaced by what `value` returns for its index.
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

/// PostgreSQL's description of a statement, and the resolved query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The columns of the result.
    pub columns: Vec<ContractColumn>,
    /// The types of the parameters, in the order of their numbers, as PostgreSQL's `format_type` prints them.
    pub parameter_types: Vec<String>,
    /// The relations that the statement reads, in any schema, ordered by schema and name. Those that a view reads are
    /// not included.
    pub tables: Vec<ContractTable>,
    /// The functions that the statement calls: by name, by an operator or a cast, or because of the type of a value.
    pub functions: Vec<ResolvedFunction>,
    /// The types of the values that the statement makes, in addition to those of the columns that it reads. An array is
    /// listed by the type of its elements.
    pub types: Vec<ResolvedType>,
    /// A fingerprint of the tables, if only their rows and the parameters determine the result.
    pub fingerprint: Option<String>,
    /// The labels of the enum types that columns and parameters have, by the name of the type.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Whether a constant has a date or time type, or a type that contains one.
    pub has_time_constants: bool,
    /// Constructs of the statement that stored SQL may not use: those that read the session, such as its user, XML, and
    /// locking clauses.
    pub forbidden_constructs: Vec<String>,
    /// Kinds of nodes that metricd does not know, for example of a later version of PostgreSQL. What they call is not
    /// in the lists above.
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
    /// Whether it is volatile: a call may change something, and equal calls may return different results.
    pub is_volatile: bool,
    /// Whether it is SECURITY DEFINER: it runs with the rights of its owner.
    pub is_security_definer: bool,
    /// Whether the statement calls it by name, and not by an operator, a cast or a type.
    pub is_named: bool,
    /// Whether the statement calls it only because of the type of a value. PostgreSQL may call it to parse, print, sort
    /// or group the value, or to convert it to JSON.
    pub is_implied_by_type: bool,
    /// Whether it is built into PostgreSQL.
    pub is_built_in: bool,
    /// Whether it is not built in, and written in a language that PostgreSQL does not trust, such as C.
    pub is_untrusted: bool,
    /// The extension that it belongs to.
    pub extension: Option<String>,
}

/// The type of a value that a statement makes.
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
        /// The index of the character in [`Resolvable::text`] at which PostgreSQL refuses it, from 0, if the message
        /// has a position.
        character: Option<usize>,
    },
    /// Two columns of the result have this name.
    #[error("two columns are named `{0}`")]
    ColumnRepeated(String),
    /// The resolved query is larger than allowed, or resolving it takes too long.
    #[error("it is too large when PostgreSQL has resolved it")]
    TooComplex,
    /// PostgreSQL did not respond in time. It may still respond to other statements.
    #[error("PostgreSQL did not answer in time: {0}")]
    TooSlow(String),
    /// The database is unavailable.
    #[error("the database is not available: {0}")]
    Unavailable(Outage),
}

/// Why a resolver could not make the tables that are not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PendingTableError {
    /// PostgreSQL refuses a table, for example because a view depends on the type of a column.
    #[error("PostgreSQL refuses the table `{table}`: {message}")]
    Refused {
        /// The table.
        table: TableName,
        /// PostgreSQL's message.
        message: String,
    },
    /// The database is unavailable.
    #[error("the database is not available: {0}")]
    Unavailable(Outage),
}

/// A table as it will be when SQL that is validated now is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTable {
    /// The table as it is stored. `None` if it is new.
    pub before: Option<Table>,
    /// The table as it will be.
    pub after: Table,
}

/// Has PostgreSQL resolve statements.
///
/// Dropping a future abandons the statement, but PostgreSQL may continue to work on it for a while.
#[async_trait]
pub trait Resolver: Debug + Send + Sync {
    /// Reads the functions and types of the data schemas that SQL may use. The sets of the operator in [`Allowed`] are
    /// empty.
    ///
    /// # Errors
    ///
    /// [`ResolveError::Unavailable`] if the database is unavailable.
    async fn allowed(&self) -> Result<Allowed, ResolveError>;

    /// Resolves a statement without running it, and leaves nothing in the database.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] if PostgreSQL refuses the statement, does not respond, or is unavailable.
    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError>;

    /// A resolver for a database that has these tables as they will be. It leaves nothing of them in the database. Until
    /// it is dropped, stored tables among them cannot be read, and nobody else can make the new ones.
    ///
    /// # Errors
    ///
    /// [`PendingTableError`] if PostgreSQL refuses a table, or is unavailable.
    async fn with_tables(self: Arc<Self>, tables: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError>;
}
