//! Hardening: revokes from PUBLIC the privileges that PostgreSQL grants by default and stored SQL must not have.
//!
//! The privileges are revoked in one transaction that checks its result before it commits, and recorded in
//! `catalog.taken_rights`, so that [`undo_hardening`] grants exactly the same ones again. Superusers keep everything;
//! the owner of the schema `catalog` is granted by name what it had through PUBLIC only.

mod rights;
mod script;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

pub use self::rights::Right;
use crate::connection::{ConnectError, connect_as_owner, connect_as_reader};
use metricd_database::DatabaseUrl;

/// Serializes changes of privileges in this database. Not an advisory lock: in an unhardened database the reader can
/// take those, and could block hardening for good.
pub(crate) const LOCK: &str = "LOCK TABLE catalog.taken_rights IN SHARE ROW EXCLUSIVE MODE";

/// Whether privileges are revoked or granted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Take,
    GiveBack,
}

/// Which privileges change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardeningPlan {
    direction: Direction,
    /// The rights, in the order of their classes. Where there are none, nothing changes.
    pub rights: Vec<Right>,
}

impl HardeningPlan {
    /// The SQL for a superuser to run, if the owner lacks the privilege.
    #[must_use]
    pub fn to_sql(&self, database: &str) -> String {
        script::transaction(self.direction, &self.rights, database)
    }
}

/// Why privileges could not be changed. Nothing has changed then.
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

/// Each function once, without the common prefix and without its arguments.
fn names(objects: &[String]) -> String {
    let names =
        objects.iter().map(|object| object.trim_start_matches("pg_catalog.").split('(').next().unwrap_or(object));
    let mut names: Vec<_> = names.collect();
    names.dedup();
    names.join(", ")
}

/// What [`harden`] would revoke. Any role may call it.
///
/// # Errors
///
/// [`HardeningError`] if the database cannot be queried.
pub fn plan_hardening(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    let mut connection = connect_as_owner(owner)?;
    plan(&mut connection, Direction::Take)
}

/// The SQL for a superuser that hardens a database without a catalog. Nothing is recorded there, so that metricd cannot
/// undo it. Empty if PUBLIC has nothing to be revoked.
///
/// # Errors
///
/// [`HardeningError`] if the database cannot be queried.
pub fn hardening_script_elsewhere(reader: &DatabaseUrl) -> Result<String, HardeningError> {
    let rights = rights::open_elsewhere(&mut connect_as_reader(reader)?)?;
    Ok(if rights.is_empty() { String::new() } else { script::transaction_elsewhere(&rights, reader.database()) })
}

/// What [`undo_hardening`] would grant again.
///
/// # Errors
///
/// [`HardeningError`] if the database cannot be queried.
pub fn plan_undoing(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    let mut connection = connect_as_owner(owner)?;
    plan(&mut connection, Direction::GiveBack)
}

/// Revokes from PUBLIC what it still has. Returns what was revoked. If that is nothing, it costs one query.
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

/// Grants PUBLIC again what [`harden`] has revoked, and nothing else. Returns what was granted.
///
/// # Errors
///
/// [`HardeningError`]; nothing has changed then.
pub fn undo_hardening(owner: &DatabaseUrl) -> Result<HardeningPlan, HardeningError> {
    carry_out(&mut connect_as_owner(owner)?, owner, Direction::GiveBack)
}

/// The classes of privileges that the role of the URL still has, if the database is not hardened. Temporary tables
/// count as the class `temporary`.
///
/// # Errors
///
/// [`HardeningError`] if the database cannot be queried.
pub fn open_classes(reader: &DatabaseUrl) -> Result<Vec<String>, HardeningError> {
    Ok(rights::open_classes(&mut connect_as_reader(reader)?)?)
}

/// The volatile functions of the server that this version of metricd does not know, although PUBLIC may execute them by
/// default, such as those of a newer version of PostgreSQL. [`harden`] revokes them. Any role may call it.
///
/// # Errors
///
/// [`HardeningError`] if the database cannot be queried.
pub fn unknown_functions(url: &DatabaseUrl) -> Result<Vec<String>, HardeningError> {
    Ok(rights::unknown(&mut connect_as_reader(url)?)?)
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
            // Another session was first.
            return Ok(plan);
        }
        connection.batch_execute(&script::statements(direction, &plan.rights, owner.database()))?;
        // A REVOKE without effect is only a warning in PostgreSQL.
        if direction == Direction::Take {
            let left = objects(&rights::open(connection)?, |_| true);
            if !left.is_empty() {
                return Err(HardeningError::NotTaken(left));
            }
        }
        Ok(plan)
    })
}
