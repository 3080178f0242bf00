//! Checks that the text of SQL is one query over the warehouse that calls only allowed functions.
//!
//! The guard is an allow-list: it refuses every node of the syntax tree that it does not know, and every name that is
//! on no list. It checks only the text; [`SqlValidator`](crate::SqlValidator) applies the same rules to the resolved
//! query.

mod allowed;
mod attribute;
mod complexity;
mod walk;

pub use allowed::{Allowed, AllowedSchema};
pub(crate) use walk::{SpecialDate, TableUse, Uses};

use self::walk::Walk;
use crate::syntax::with_tree;
use crate::{Finding, Statement};

/// PostgreSQL may exceed its time limit when it resolves a longer text.
const LONG_TEXT_BYTES: usize = 10_000;

/// How the statement uses tables and special date literals. Empty if it has no syntax tree.
pub(crate) fn uses(statement: &Statement) -> Uses {
    with_tree(statement, |tree| {
        let Ok(tree) = tree else { return Uses::default() };
        let allowed = Allowed::default();
        let mut walk = Walk::new(&allowed, tree);
        walk.query(&tree.query);
        walk.finish().1
    })
}

/// Checks the text of a statement against the allow-list.
///
/// ```
/// use metricd_domain::SqlText;
/// use metricd_execution::{FindingCode, Guard, Statement};
///
/// let guard = Guard::default();
/// let check = |sql: &str| guard.check(&Statement::parse(&SqlText::parse(sql).unwrap()).unwrap());
/// assert!(check("SELECT date, count(*) FROM metrics GROUP BY date").is_ok());
///
/// let findings = check("SELECT * FROM pg_sleep(10)").unwrap_err();
/// assert_eq!(findings[0].code, FindingCode::FunctionNotAllowed);
/// assert_eq!(findings[0].position.column, 15);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Allowed,
}

impl Guard {
    /// Makes a guard with a list of allowed names.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self { allowed }
    }

    /// The allowed names.
    #[must_use]
    pub fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Whether PostgreSQL may exceed its time limit when it resolves the statement, because of its size or complexity.
    pub(crate) fn is_large(&self, statement: &Statement) -> bool {
        statement.text().len() > LONG_TEXT_BYTES
            || with_tree(statement, |tree| {
                tree.is_ok_and(|tree| {
                    let mut walk = Walk::new(&self.allowed, tree);
                    walk.query(&tree.query);
                    walk.is_large()
                })
            })
    }

    /// Checks the statement.
    ///
    /// # Errors
    ///
    /// All findings, in the order of the text. If the text has no syntax tree, that is the only finding.
    pub fn check(&self, statement: &Statement) -> Result<(), Vec<Finding>> {
        let mut findings = with_tree(statement, |tree| match tree {
            Ok(tree) => {
                let mut walk = Walk::new(&self.allowed, tree);
                walk.query(&tree.query);
                walk.finish().0
            }
            Err(error) => {
                let snippet = attribute::token_at(statement.text(), error.position);
                vec![Finding::new(error.code, error.position, snippet, error.message)]
            }
        });
        findings.sort_by_key(|finding| finding.position);
        findings.dedup();
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }
}
