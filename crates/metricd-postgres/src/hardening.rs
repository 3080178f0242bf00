//! Hardening: what PostgreSQL lets every role do by default, and stored SQL must not, is taken from PUBLIC.
//!
//! The rights are taken in one transaction that is held to its word before it ends, and noted in `catalog.taken_rights`, so
//! that [`undo_hardening`] can give back exactly what was taken. Superusers keep everything; the owner of the schema
//! `catalog` is granted by name what it had by PUBLIC only.

mod rights;
mod script;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

pub use self::rights::Right;
use crate::connection::{ConnectError, connect_as_owner, connect_as_reader};
use metricd_database::DatabaseUrl;

/// Keeps out whoever else changes rights in this database. Not an advisory lock: the reader can take those, where the
/// database is not hardened, and could keep hardening out for good.
pub(crate) const LOCK: &str = "LOCK TABLE catalog.taken_rights IN SHARE ROW EXCLUSIVE MODE";

/// Whether rights are taken or given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Take,
    GiveBack,
}

/// Which rights change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardeningPlan {
    direction: Direction,
    /// The rights, in the order of their classes. Where there are none, nothing changes.
    pub rights: Vec<Right>,
}

impl HardeningPlan {
    /// The SQL that does it, for a superuser to run where the owner is not permitted to.
    #[must_use]
    pub fn to_sql(&self, database: &str) -> String {
        script::transaction(self.direction, &self.rights, database)
    }
}

/// Why rights could not be taken or given back. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// The database cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// PostgreSQL lets only the owner of a function, which is a superuser, change its rights.
    #[error(
        "`{role}` may not change the rights of PUBLIC; nothing was changed: have a superuser run what `metricd migrate {flag} --dry-run --format sql` prints; it is about {}",
        names(objects)
    )]
    NotPermitted {
        /// The role that has tried.
        role: String,
        /// What it may not change.
        objects: Vec<String>,
        /// The flag of the command.
        flag: &'static str,
    },
    /// The statements have run and the rights are not as they should be, as where somebody else has granted them.
    #[error("PUBLIC still has rights on {}, which another role than the owner has granted; nothing was changed", .0.join(", "))]
    NotTaken(Vec<String>),
    /// Something else that PostgreSQL objects to.
    #[error("PostgreSQL refused to change the rights of PUBLIC: {0}")]
    Refused(#[from] diesel::result::Error),
}

/// Each function once, without what is the same for all of them and without its arguments.
fn names(objects: &[String]) -> String {
    let names =
        objects.iter().map(|object| object.trim_start_matches("pg_catalog.").split('(').next().unwrap_or(object));
    let mut names: Vec<_> = names.collect();
    names.dedup();
    names.join(", ")
}

/// What [`harden`] would take. Any role may ask.
///
/// # Errors
///
/// [`HardeningError`] where the database cannot be asked.
pub fn plan_hardening(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    let mut connection = connect_as_owner(owner)?;
    plan(&mut connection, Direction::Take)
}

/// What [`undo_hardening`] would give back.
///
/// # Errors
///
/// [`HardeningError`] where the database cannot be asked.
pub fn plan_undoing(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    let mut connection = connect_as_owner(owner)?;
    plan(&mut connection, Direction::GiveBack)
}

/// Takes from PUBLIC what it still has; answers with what was taken. Costs one query where that is nothing.
///
/// # Errors
///
/// [`HardeningError`]; nothing has changed then.
pub fn harden(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    let mut connection = connect_as_owner(owner)?;
    if !rights::any_open(&mut connection)? {
        return Ok(HardeningPlan { direction: Direction::Take, rights: Vec::new() });
    }
    carry_out(&mut connection, owner, Direction::Take)
}

/// Gives back to PUBLIC what [`harden`] has taken, and nothing else; answers with what was given back.
///
/// # Errors
///
/// [`HardeningError`]; nothing has changed then.
pub fn undo_hardening(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    carry_out(&mut connect_as_owner(owner)?, owner, Direction::GiveBack)
}

/// The classes of rights that the role of the URL still has, where the database is not hardened. Temporary tables count as
/// the class `temporary`.
///
/// # Errors
///
/// [`HardeningError`] where the database cannot be asked.
pub fn open_classes(reader: &DatabaseUrl) -> Result<Vec<String>, HardeningError> {
    Ok(rights::open_classes(&mut connect_as_reader(reader)?)?)
}

fn plan(connection: &mut PgConnection, direction: Direction) -> Result<HardeningPlan, HardeningError> {
    let rights = match direction {
        Direction::Take => rights::open(connection)?,
        Direction::GiveBack => rights::taken(connection)?,
    };
    Ok(HardeningPlan { direction, rights })
}

fn carry_out(
    connection: &mut PgConnection,
    owner: &DatabaseUrl,
    direction: Direction,
) -> Result<HardeningPlan, HardeningError> {
    connection.transaction(|connection| {
        connection.batch_execute(LOCK)?;
        let plan = plan(connection, direction)?;
        let objects = |rights: &[Right], is_meant: fn(&Right) -> bool| -> Vec<String> {
            rights.iter().filter(|right| is_meant(right)).map(|right| right.object.clone()).collect()
        };
        let foreign = objects(&plan.rights, |right| !right.is_permitted);
        if !foreign.is_empty() {
            let flag = match direction {
                Direction::Take => "--harden",
                Direction::GiveBack => "--undo-hardening",
            };
            return Err(HardeningError::NotPermitted { role: owner.user().to_owned(), objects: foreign, flag });
        }
        if plan.rights.is_empty() && direction == Direction::Take {
            // Somebody else was faster.
            return Ok(plan);
        }
        connection.batch_execute(&script::statements(direction, &plan.rights, owner.database()))?;
        // PostgreSQL warns, and goes on, where a REVOKE takes nothing.
        if direction == Direction::Take {
            let left = objects(&rights::open(connection)?, |_| true);
            if !left.is_empty() {
                return Err(HardeningError::NotTaken(left));
            }
        }
        Ok(plan)
    })
}
