//! The statements of metricd itself in sessions whose search path names the data schemas.
//!
//! Other roles may create functions, operators and types there, which must not be found instead of PostgreSQL's own:
//!
//! - Each function has its schema.
//! - An operator's operands have exactly the types of an operator of `pg_catalog`, which PostgreSQL searches first. A
//!   literal has the type of the other operand, unless it is cast: `oid = 1::oid`, `name ~ 'x'::text`,
//!   `jsonb -> 'x'::text`.
//!
//! Types need no schema, since no data schema is searched before `pg_catalog`.
//!
//! A new statement belongs in the list of its module, so that the test finds it.

use crate::pool::stopping::RUNNING_SQL;
use crate::snapshot_batch::work::REWRITTEN_TABLES_SQL;
use crate::tenancy::{BACKEND_PID_SQL, SET_TENANT_SQL};
use crate::transaction::CLEANUP_SQL;
use crate::{connection, introspection, replicas, resolver};

/// Every such statement that PostgreSQL resolves, with `NULL` for its parameters. For the test of the rules above.
#[must_use]
pub fn own_statements() -> Vec<String> {
    let of_tenancy_and_pool = [SET_TENANT_SQL, BACKEND_PID_SQL, RUNNING_SQL, REWRITTEN_TABLES_SQL];
    let of_tenancy_and_pool = of_tenancy_and_pool.map(|sql| sql.replace("$1", "NULL"));
    let unlock = CLEANUP_SQL.rsplit("; ").next().map(str::to_owned);
    let all = [
        connection::own_statements(),
        introspection::own_statements(),
        replicas::own_statements(),
        resolver::own_statements(),
    ];
    all.into_iter().flatten().chain(of_tenancy_and_pool).chain(unlock).collect()
}
