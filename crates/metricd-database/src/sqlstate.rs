//! Decides by SQLSTATE whose fault an error is. The runner also recognises single codes that it handles itself, such as
//! a stale prepared statement.
//!
//! Messages are in the language of the server (`lc_messages`), so they decide nothing. Code that handles an error calls
//! [`fault_of`] with its five characters, and matches on [`Fault`] without a wildcard:
//!
//! | fault | SQL that is validated | SQL that runs | the catalog's own statements |
//! |---|---|---|---|
//! | [`Fault::Statement`] | a finding (422) | the author's (500) | this program's, or a changed schema's (500) |
//! | [`Fault::Value`] | a finding (422) | the caller's (422) if it can be a parameter, else the author's | as above (500) |
//! | [`Fault::Constraint`] | a finding (422) | the author's (500) | mapped by the constraint's name |
//! | [`Fault::ReadOnly`] | cannot be validated (503) | the author's (500): it runs read-only on purpose | 503 |
//! | [`Fault::Cancelled`] | cannot be validated (503), unless the time limit is the SQL's own | a time limit (504) | 503 |
//! | [`Fault::Unavailable`] | cannot be validated (503) | 503, with a detail by the [`Trouble`] | 503 |
//!
//! With 503 nothing is stored, and the response is not kept for the idempotency key.
//!
//! The codes are those of the PostgreSQL documentation, appendix A.

use std::fmt;

/// Who can make the same statement succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The author of the statement, by changing it or a definition on which it depends.
    Statement,
    /// The supplier of a value: a parameter of the caller, a literal of the author, or the data.
    Value,
    /// A row to be stored violates a constraint, which the error names.
    Constraint,
    /// The transaction or the server is read-only, as on a standby or with `default_transaction_read_only`.
    ReadOnly,
    /// The statement exceeded a time limit or was cancelled.
    Cancelled,
    /// The server, its settings, or its load: the same statement may succeed later. Also every unknown code.
    Unavailable(Trouble),
}

/// Why the server cannot run a statement now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// It cannot be reached, is starting or stopping, or refuses the login.
    Unreachable,
    /// A table is locked for a change.
    Locked,
    /// A relation that the statement reads is not ready, such as a materialized view without data.
    NotReady,
    /// A conflict with another transaction, or with the recovery of a standby.
    Conflict,
    /// Its disk is full.
    DiskFull,
    /// It is out of memory.
    OutOfMemory,
    /// It is out of connections or another resource.
    Exhausted,
    /// Another server that it reads from has failed.
    Foreign,
    /// An internal error: corrupt data, an unreadable file, a protocol violation. Also every unknown code.
    Internal,
}

/// An error of the database that the statement did not cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The classification of the error, which is never the statement's fault.
    pub fault: Fault,
    /// The message, for the log.
    pub message: String,
}

impl Outage {
    /// The database cannot be reached, or does not respond.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { fault: Fault::Unavailable(Trouble::Unreachable), message: message.into() }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Codes that differ from their class.
const FAULTS_BY_CODE: &[(&str, Fault)] = &[
    ("25006", Fault::ReadOnly),                          // read_only_sql_transaction
    ("53100", Fault::Unavailable(Trouble::DiskFull)),    // disk_full
    ("53200", Fault::Unavailable(Trouble::OutOfMemory)), // out_of_memory
    ("53400", Fault::Statement),                         // configuration_limit_exceeded: `temp_file_limit`
    ("55P03", Fault::Unavailable(Trouble::Locked)),      // lock_not_available: `lock_timeout`
    ("55P04", Fault::Statement),                         // unsafe_new_enum_value_usage
    ("57014", Fault::Cancelled),                         // query_canceled
];

/// All classes of the standard and of PostgreSQL.
const FAULTS_BY_CLASS: &[(&str, Fault)] = &[
    ("00", Fault::Unavailable(Trouble::Internal)), // successful completion: no error
    ("01", Fault::Unavailable(Trouble::Internal)), // warning: no error
    ("02", Fault::Unavailable(Trouble::Internal)), // no data: no error
    ("03", Fault::Unavailable(Trouble::Internal)), // SQL statement not yet complete: the protocol
    ("08", Fault::Unavailable(Trouble::Unreachable)), // connection exception
    ("09", Fault::Statement),                      // triggered action exception
    ("0A", Fault::Statement),                      // feature not supported
    ("0B", Fault::Unavailable(Trouble::Internal)), // invalid transaction initiation
    ("0F", Fault::Statement),                      // locator exception
    ("0L", Fault::Statement),                      // invalid grantor
    ("0P", Fault::Statement),                      // invalid role specification
    ("0Z", Fault::Statement),                      // diagnostics exception: PL/pgSQL
    ("20", Fault::Statement),                      // case not found: PL/pgSQL
    ("21", Fault::Statement),                      // cardinality violation: a scalar subquery has several rows
    ("22", Fault::Value),                          // data exception
    ("23", Fault::Constraint),                     // integrity constraint violation
    ("24", Fault::Unavailable(Trouble::Internal)), // invalid cursor state: the protocol
    ("25", Fault::Unavailable(Trouble::Internal)), // invalid transaction state: a read-only or failed transaction
    ("26", Fault::Unavailable(Trouble::Internal)), // invalid SQL statement name: a prepared statement that is gone
    ("27", Fault::Statement),                      // triggered data change violation
    ("28", Fault::Unavailable(Trouble::Unreachable)), // invalid authorization specification
    ("2B", Fault::Statement),                      // dependent privilege descriptors still exist
    ("2D", Fault::Statement),                      // invalid transaction termination: PL/pgSQL
    ("2F", Fault::Statement),                      // SQL routine exception
    ("34", Fault::Unavailable(Trouble::Internal)), // invalid cursor name: the protocol
    ("38", Fault::Statement),                      // external routine exception
    ("39", Fault::Statement),                      // external routine invocation exception
    ("3B", Fault::Unavailable(Trouble::Internal)), // savepoint exception: the protocol
    ("3D", Fault::Unavailable(Trouble::Unreachable)), // invalid catalog name: no such database
    ("3F", Fault::Statement),                      // invalid schema name
    ("40", Fault::Unavailable(Trouble::Conflict)), // transaction rollback: deadlock, serialization
    ("42", Fault::Statement),                      // syntax error or access rule violation
    ("44", Fault::Constraint),                     // WITH CHECK OPTION violation
    ("53", Fault::Unavailable(Trouble::Exhausted)), // insufficient resources: disk, memory, connections
    ("54", Fault::Statement),                      // program limit exceeded: too complex, too many columns
    ("55", Fault::Unavailable(Trouble::NotReady)), // object not in prerequisite state: locks, an unpopulated view
    ("57", Fault::Unavailable(Trouble::Unreachable)), // operator intervention
    ("58", Fault::Unavailable(Trouble::Internal)), // system error: I/O, missing files
    ("72", Fault::Unavailable(Trouble::Conflict)), // snapshot too old
    ("F0", Fault::Unavailable(Trouble::Internal)), // configuration file error
    ("HV", Fault::Unavailable(Trouble::Foreign)),  // foreign data wrapper: another server
    ("P0", Fault::Statement),                      // PL/pgSQL: RAISE, too many rows
    ("XX", Fault::Unavailable(Trouble::Internal)), // internal error: corrupt data, a lookup that has failed
];

/// Classifies a SQLSTATE.
#[must_use]
pub fn fault_of(sqlstate: &str) -> Fault {
    let find =
        |table: &[(&str, Fault)], key: &str| table.iter().find(|(known, _)| *known == key).map(|(_, fault)| *fault);
    find(FAULTS_BY_CODE, sqlstate)
        .or_else(|| find(FAULTS_BY_CLASS, sqlstate.get(..2)?))
        .unwrap_or(Fault::Unavailable(Trouble::Internal))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_what_the_author_can_fix_is_the_statements_fault() {
        let unavailable = Fault::Unavailable;
        for (sqlstate, expected) in [
            ("42601", Fault::Statement),
            ("42P01", Fault::Statement),
            ("0A000", Fault::Statement),
            ("54001", Fault::Statement),
            ("P0001", Fault::Statement),
            ("22012", Fault::Value),
            ("21000", Fault::Statement),
            ("23505", Fault::Constraint),
            ("57014", Fault::Cancelled),
            ("53100", unavailable(Trouble::DiskFull)),
            ("53200", unavailable(Trouble::OutOfMemory)),
            ("53300", unavailable(Trouble::Exhausted)),
            ("55000", unavailable(Trouble::NotReady)),
            ("HV00N", unavailable(Trouble::Foreign)),
            ("53400", Fault::Statement),
            ("25006", Fault::ReadOnly),
            ("55P03", unavailable(Trouble::Locked)),
            ("40P01", unavailable(Trouble::Conflict)),
            ("57P01", unavailable(Trouble::Unreachable)),
            ("58030", unavailable(Trouble::Internal)),
            ("08006", unavailable(Trouble::Unreachable)),
            ("XX000", unavailable(Trouble::Internal)),
            ("XX001", unavailable(Trouble::Internal)),
            ("ZZ123", unavailable(Trouble::Internal)),
            ("", unavailable(Trouble::Internal)),
            ("é", unavailable(Trouble::Internal)),
        ] {
            assert_eq!(fault_of(sqlstate), expected, "{sqlstate}");
        }
    }

    #[test]
    fn every_class_is_in_the_table_once() {
        let classes: BTreeSet<_> = FAULTS_BY_CLASS.iter().map(|(class, _)| *class).collect();
        assert_eq!(classes.len(), FAULTS_BY_CLASS.len());
        assert_eq!(classes.len(), 43, "PostgreSQL's appendix A lists as many");
    }
}
