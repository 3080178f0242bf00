//! The settings of every session that runs stored SQL.

use metricd_database::DataSchemas;
use metricd_domain::TimeZone;

use crate::pool::locks::LOCK_TIMEOUT_SETTING;

/// The settings of each session, and behind a pooler of each transaction, besides the search path and the time zone.
/// The role has the first as well. The second makes PostgreSQL read strings as the guard does, whatever the database is
/// set to. The others fix how values are printed and how long a statement waits for a lock.
pub(crate) const SETTINGS: [(&str, &str); 7] = [
    ("default_transaction_read_only", "on"),
    ("standard_conforming_strings", "on"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("lock_timeout", LOCK_TIMEOUT_SETTING),
];

/// The settings as options of a new session.
pub(crate) fn options(schemas: &DataSchemas, time_zone: &TimeZone) -> String {
    // Options are separated by blanks.
    let search_path = schemas.search_path().replace('\\', r"\\").replace(' ', r"\ ");
    let settings = SETTINGS.iter().map(|(name, value)| format!(" -c {name}={value}"));
    format!("-c search_path={search_path} -c timezone={time_zone}{} {ISOLATION_OPTION}", settings.collect::<String>())
}

/// Sets the time zone of a transaction. Its name needs no escapes.
pub(crate) fn set_time_zone(time_zone: &TimeZone) -> String {
    format!("SET LOCAL timezone = '{time_zone}'")
}

/// Makes PostgreSQL check for its client while it computes, so that a statement ends with this process, however that
/// ends. It is not in [`SETTINGS`] because PostgreSQL on Windows does not support it and would refuse the session.
pub(crate) const CLIENT_CHECK_SETTING: &str = "client_connection_check_interval = '100ms'";

/// A statement sees what is committed once it has its locks, even if it is sent without `BEGIN`. With the earlier
/// snapshot of `repeatable read`, a table rewritten during the wait for its lock would look empty.
const ISOLATION_OPTION: &str = r"-c default_transaction_isolation=read\ committed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schemas_blanks_do_not_end_its_option() {
        let schemas = DataSchemas::new(["Sales 2025".to_owned(), r"a\b".to_owned()]).unwrap();
        let options = options(&schemas, &TimeZone::default());
        assert!(
            options.starts_with(r#"-c search_path="Sales\ 2025",\ "a\\b" -c timezone=UTC -c default_transaction"#),
            "{options}"
        );
    }
}
