//! A statement as PostgreSQL has resolved it: the tree that stands in `pg_rewrite` for a view of it, read without knowing its
//! version. Every relation, column, function and operator in it has its identity, whatever the text called it.

mod canonical;
mod constants;
mod node;
mod policy;
mod source;

use canonical::Canonical;
use node::{Node, Object};
pub use policy::{PolicyFacts, PolicyReach};
pub(crate) use source::Source;

/// A stack on which a tree can be walked and dropped that is as deep as PostgreSQL makes one.
const STACK_BYTES: usize = 256 << 20;

/// The tree of a statement, in the text form in which PostgreSQL stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryTree {
    text: String,
}

/// Why two trees cannot be compared, or are not equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError {
    /// This is none, or none of a kind that is known here.
    #[error("PostgreSQL describes the SQL in a form that is not known here")]
    Unreadable,
    /// The statement uses whole rows of the table, which are of another type where they come out of a subquery.
    #[error("it uses whole rows of the table")]
    WholeRow,
    /// Any other difference.
    #[error("PostgreSQL would read it in another way")]
    Differs,
}

impl QueryTree {
    /// Takes the text of `pg_rewrite.ev_action` of a view that reads the statement as its only subquery.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text }
    }

    /// Hands the statement's query to `look`, on a stack that is large enough for it.
    fn with<T>(&self, look: impl FnOnce(Object<'_>) -> Result<T, TreeError>) -> Result<T, TreeError> {
        stacker::grow(STACK_BYTES, || look(self.query()?))
    }

    /// The statement's query.
    fn query(&self) -> Result<Object<'_>, TreeError> {
        let query = match Node::read(&self.text) {
            Some(Node::List(mut queries)) if queries.len() == 1 => match queries.pop() {
                Some(Node::Object(query)) if query.kind == "QUERY" => Ok(query),
                _ => Err(TreeError::Unreadable),
            },
            _ => Err(TreeError::Unreadable),
        }?;
        query.only_subquery().ok_or(TreeError::Unreadable)
    }

    /// The bytes of the statement's constants, as PostgreSQL keeps a value of their types.
    ///
    /// # Errors
    ///
    /// That the tree is none.
    pub(crate) fn constants(&self) -> Result<Vec<Vec<u8>>, TreeError> {
        self.with(|query| Ok(constants::of(query)))
    }

    /// Whether the statement can be the same on a part of the source, as far as it alone tells.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub(crate) fn is_narrowable(&self, source: &Source) -> Result<(), TreeError> {
        self.with(|original| {
            let mut canonical = Canonical::of_original(source);
            canonical.query(original);
            if canonical.has_whole_row() { Err(TreeError::WholeRow) } else { Ok(()) }
        })
    }

    /// Whether the narrowed statement is this one, but for the rows of the source that it reads.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub(crate) fn is_narrowed_by(&self, narrowed: &Self, source: &Source) -> Result<(), TreeError> {
        self.with(|original| {
            let original = Canonical::of_original(source).query(original);
            let narrowed = Canonical::of_narrowed(source)?.query(narrowed.query()?);
            if original == narrowed { Ok(()) } else { Err(TreeError::Differs) }
        })
    }

    /// Whether `filtered` selects everything from this statement as a subquery, with a condition.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub(crate) fn is_filtered_by(&self, filtered: &Self) -> Result<(), TreeError> {
        self.with(|original| {
            let subquery = filtered.query()?.only_subquery().ok_or(TreeError::Unreadable)?;
            let same = Canonical::plain().query(original) == Canonical::plain().query(subquery);
            if same { Ok(()) } else { Err(TreeError::Differs) }
        })
    }
}
