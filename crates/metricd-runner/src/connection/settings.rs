//! The settings of every session that runs stored SQL.

use crate::pool::locks::LOCK_TIMEOUT_SETTING;

/// What each session is told when it begins, and behind a pooler each transaction. The role has the first two as well; the
/// third is how the guard has read the SQL, whatever the database is set to; the others fix how values are printed, and how
/// long a lock is waited for.
pub(crate) const SETTINGS: [(&str, &str); 9] = [
    ("search_path", "warehouse"),
    ("default_transaction_read_only", "on"),
    ("standard_conforming_strings", "on"),
    ("timezone", "UTC"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("lock_timeout", LOCK_TIMEOUT_SETTING),
];

/// Has PostgreSQL look at its client while it computes, so that a statement ends with this process, however that ends.
/// Not among [`SETTINGS`], since PostgreSQL on Windows cannot do so and would refuse the session.
pub(crate) const CLIENT_CHECK_SETTING: &str = "client_connection_check_interval = '100ms'";

/// Has each statement see what is committed when it has its locks, also if it is sent without [`BEGIN`]. With a snapshot from
/// before, as of `repeatable read`, a table that was rewritten while its lock was waited for would be empty.
pub(crate) const ISOLATION_OPTION: &str = r"-c default_transaction_isolation=read\ committed";
