//! The port through which PostgreSQL says what a statement is, without running it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use metricd_domain::{ContractColumn, ContractTable};

use crate::{Allowed, QueryTree};
use metricd_database::Outage;

/// SQL as it is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolvable {
    /// The text, with `$1`, `$2`, … for the parameters. It can stand in parentheses, and is one query.
    pub text: String,
    /// Where the parameters stand in the text, in its order: the bytes of `$n`, with the cast to its type where it is
    /// declared, and `n` less one.
    pub placeholders: Vec<(Range<usize>, usize)>,
}

impl Resolvable {
    /// How many parameters there are.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.placeholders.iter().map(|(_, index)| index + 1).max().unwrap_or_default()
    }

    /// The text with what `value` says in the place of each parameter.
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

/// What PostgreSQL says of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The columns of the result.
    pub columns: Vec<ContractColumn>,
    /// The types of the parameters, as `format_type` prints them, in the order of their numbers.
    pub parameter_types: Vec<String>,
    /// Every relation that is read, in any schema, in the order of schema and name; those that views read are not among them.
    pub tables: Vec<ContractTable>,
    /// Every function that is called by name, by an operator or a cast, or because of the type of a value.
    pub functions: Vec<ResolvedFunction>,
    /// Every type, besides those of the columns of the relations, that the statement makes a value of, arrays by their elements.
    pub types: Vec<ResolvedType>,
    /// A fingerprint of the tables that are read, where nothing but their rows and the parameters decides the result.
    pub fingerprint: Option<String>,
    /// The labels of the enum types among these types, by the names of the types.
    pub enums: BTreeMap<String, Vec<String>>,
    /// Whether a constant of the statement has a date or a time in it.
    pub has_time_constants: bool,
    /// The constructs in the statement that stored SQL may not use: those that read the session, such as its user, XML, and
    /// locking clauses.
    pub forbidden_constructs: Vec<String>,
    /// The nodes of its resolved query that this program does not know, as a later version of PostgreSQL may have. What they
    /// call is in none of the lists above.
    pub unknown_nodes: Vec<String>,
    /// The statement's tree.
    pub tree: QueryTree,
}

/// A function that a statement calls.
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own, as the catalog has it")]
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedFunction {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// Whether it may give another answer, or change something, whenever it is called.
    pub is_volatile: bool,
    /// Whether it runs with the rights of its owner.
    pub is_security_definer: bool,
    /// Whether the statement calls it by its name, and not through an operator, a cast or a type.
    pub is_named: bool,
    /// Whether the statement does not call it at all: PostgreSQL may because of the type of a value, to read, print, sort or group
    /// it, or to make JSON of it.
    pub is_brought: bool,
    /// Whether it came with PostgreSQL.
    pub is_built_in: bool,
    /// Whether it is somebody's own in a language that PostgreSQL does not trust, such as C.
    pub is_untrusted: bool,
    /// The extension that it belongs to.
    pub extension: Option<String>,
}

/// A type that a statement makes values of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedType {
    /// The schema.
    pub schema: String,
    /// The name, as the catalogs have it.
    pub name: String,
    /// Whether it came with PostgreSQL.
    pub is_built_in: bool,
}

/// Why a statement could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// PostgreSQL refuses it.
    #[error("{message}")]
    Refused {
        /// PostgreSQL's message.
        message: String,
        /// PostgreSQL's hint.
        hint: Option<String>,
        /// The character of the numbered text at which it refuses, from 0, where it says so.
        character: Option<usize>,
    },
    /// Two columns of the result have this name.
    #[error("two columns are named `{0}`")]
    ColumnRepeated(String),
    /// What PostgreSQL makes of it is larger than it may be, or takes longer.
    #[error("it is too large when PostgreSQL has resolved it")]
    TooComplex,
    /// PostgreSQL has not answered in time. Whether it does answer others is not known.
    #[error("PostgreSQL did not answer in time: {0}")]
    TooSlow(String),
    /// The database cannot be asked.
    #[error("the database is not available: {0}")]
    Unavailable(Outage),
}

/// Asks PostgreSQL what a statement is.
///
/// The methods wait for the database on the caller's thread: they are called from where an ingestion is judged, which may
/// block, see `metricd_repository::Ingestion`.
pub trait Resolver: Debug + Send + Sync {
    /// What the warehouse holds that SQL may use: its functions and its types. Nothing of [`Allowed::added_functions`].
    ///
    /// # Errors
    ///
    /// [`ResolveError::Unavailable`].
    fn warehouse(&self) -> Result<Allowed, ResolveError>;

    /// What the statement is. It is never run, and nothing of it stays in the database.
    ///
    /// # Errors
    ///
    /// [`ResolveError::Refused`] where PostgreSQL cannot resolve it, [`ResolveError::ColumnRepeated`],
    /// [`ResolveError::TooComplex`], [`ResolveError::TooSlow`].
    fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError>;
}
