//! The settings of every session that runs stored SQL.

use crate::pool::locks::LOCK_TIMEOUT_SETTING;

/// The settings of each session, and behind a pooler of each transaction. The role has the first two as well. The
/// third makes PostgreSQL read strings as the guard does, whatever the database is set to. The others fix how values
/// are printed and how long a statement waits for a lock.
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

/// Makes PostgreSQL check for its client while it computes, so that a statement ends with this process, however that
/// ends. It is not in [`SETTINGS`] because PostgreSQL on Windows does not support it and would refuse the session.
pub(crate) const CLIENT_CHECK_SETTING: &str = "client_connection_check_interval = '100ms'";

/// A statement sees what is committed once it has its locks, even if it is sent without `BEGIN`. With the earlier
/// snapshot of `repeatable read`, a table rewritten during the wait for its lock would look empty.
pub(crate) const ISOLATION_OPTION: &str = r"-c default_transaction_isolation=read\ committed";
