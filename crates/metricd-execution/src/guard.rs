//! The first wall: stored SQL is one plain SELECT over the warehouse that calls allowed functions.
//!
//! The guard knows what is allowed, never what is forbidden: a part of the syntax tree that it does not know is refused,
//! and so is a name that is on no list. It looks at the text alone. What PostgreSQL makes of the text is judged a second
//! time from PostgreSQL's own account of it, see [`SqlValidator`](crate::SqlValidator).

mod allowed;
mod attribute;
mod complexity;
mod walk;

pub use allowed::Allowed;
pub(crate) use walk::{SpecialDate, Uses};

use self::walk::Walk;
use crate::syntax::with_tree;
use crate::{Finding, Statement};

/// The length of a text from which on it may be for that that PostgreSQL runs out of time.
const LONG_TEXT_BYTES: usize = 10_000;

/// Where the statement names tables; nothing where it has no syntax tree.
pub(crate) fn uses(statement: &Statement) -> Uses {
    with_tree(statement, |tree| {
        let Ok(tree) = tree else { return Uses::default() };
        let allowed = Allowed::default();
        let mut walk = Walk::new(&allowed, tree);
        walk.query(&tree.query);
        walk.finish().1
    })
}

/// Judges what a statement may do, by its text.
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
    /// A guard that allows these names.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self { allowed }
    }

    /// The names that are allowed.
    #[must_use]
    pub fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// Whether PostgreSQL may need longer to resolve the statement than it is given, for its length or what it has within it.
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

    /// Judges the statement.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the text. Where the text has no syntax tree, that alone.
    pub fn check(&self, statement: &Statement) -> Result<(), Vec<Finding>> {
        let mut findings = with_tree(statement, |tree| match tree {
            Ok(tree) => {
                let mut walk = Walk::new(&self.allowed, tree);
                walk.query(&tree.query);
                walk.finish().0
            }
            Err(error) => {
                let rest = attribute::token_at(statement.text(), error.position);
                vec![Finding::new(error.code, error.position, rest, error.message)]
            }
        });
        findings.sort_by_key(|finding| finding.position);
        findings.dedup();
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }
}
