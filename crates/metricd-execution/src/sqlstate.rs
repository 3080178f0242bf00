//! Whose fault an error of the database is: decided by SQLSTATE, here and nowhere else.
//!
//! Message texts come in the server's language (`lc_messages`), so that no text decides anything. Whoever has an error
//! calls [`fault_of`] with its five characters and matches on [`Fault`] without a wildcard:
//!
//! | fault | SQL that is judged | SQL that runs | the catalog's own statements |
//! |---|---|---|---|
//! | [`Fault::Statement`] | a finding (422) | the author's (500) | this program's, or a changed schema's (500) |
//! | [`Fault::Value`] | a finding (422) | the caller's (422) if a parameter can be it, else the author's | as above (500) |
//! | [`Fault::Constraint`] | a finding (422) | the author's (500) | told by the constraint's name |
//! | [`Fault::ReadOnly`] | cannot be judged (503) | the author's (500): it runs read-only on purpose | 503 |
//! | [`Fault::Cancelled`] | cannot be judged (503), unless the time limit is the SQL's own | a time limit (504) | 503 |
//! | [`Fault::Unavailable`] | cannot be judged (503) | 503 | 503 |
//!
//! With 503 nothing is stored, and no idempotency key remembers the answer.
//!
//! The codes are those of the PostgreSQL documentation, appendix A.

/// Who has to act so that the same statement succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The statement itself: its author changes it, or a definition that it depends on.
    Statement,
    /// A value that the statement computes with: a parameter of the caller's, a literal of the author's, or the data.
    Value,
    /// What was to be stored breaks a constraint, whose name the error carries.
    Constraint,
    /// The transaction or the server only reads, as on a standby or with `default_transaction_read_only`.
    ReadOnly,
    /// A time limit, or somebody who has cancelled the statement.
    Cancelled,
    /// The server, its settings, or what else runs there: the same statement may succeed later. Also every code that the
    /// table does not know.
    Unavailable,
}

/// What single codes are, where they differ from their class.
const CODES: &[(&str, Fault)] = &[
    ("25006", Fault::ReadOnly),  // read_only_sql_transaction
    ("53400", Fault::Statement), // configuration_limit_exceeded: `temp_file_limit`
    ("55P04", Fault::Statement), // unsafe_new_enum_value_usage
    ("57014", Fault::Cancelled), // query_canceled
];

/// Every class of the standard and of PostgreSQL.
const CLASSES: &[(&str, Fault)] = &[
    ("00", Fault::Unavailable), // successful completion: no error
    ("01", Fault::Unavailable), // warning: no error
    ("02", Fault::Unavailable), // no data: no error
    ("03", Fault::Unavailable), // SQL statement not yet complete: the protocol
    ("08", Fault::Unavailable), // connection exception
    ("09", Fault::Statement),   // triggered action exception
    ("0A", Fault::Statement),   // feature not supported
    ("0B", Fault::Unavailable), // invalid transaction initiation
    ("0F", Fault::Statement),   // locator exception
    ("0L", Fault::Statement),   // invalid grantor
    ("0P", Fault::Statement),   // invalid role specification
    ("0Z", Fault::Statement),   // diagnostics exception: PL/pgSQL
    ("20", Fault::Statement),   // case not found: PL/pgSQL
    ("21", Fault::Statement),   // cardinality violation: a scalar subquery has several rows
    ("22", Fault::Value),       // data exception
    ("23", Fault::Constraint),  // integrity constraint violation
    ("24", Fault::Unavailable), // invalid cursor state: the protocol
    ("25", Fault::Unavailable), // invalid transaction state: a read-only or failed transaction
    ("26", Fault::Unavailable), // invalid SQL statement name: a prepared statement that is gone
    ("27", Fault::Statement),   // triggered data change violation
    ("28", Fault::Unavailable), // invalid authorization specification
    ("2B", Fault::Statement),   // dependent privilege descriptors still exist
    ("2D", Fault::Statement),   // invalid transaction termination: PL/pgSQL
    ("2F", Fault::Statement),   // SQL routine exception
    ("34", Fault::Unavailable), // invalid cursor name: the protocol
    ("38", Fault::Statement),   // external routine exception
    ("39", Fault::Statement),   // external routine invocation exception
    ("3B", Fault::Unavailable), // savepoint exception: the protocol
    ("3D", Fault::Unavailable), // invalid catalog name: no such database
    ("3F", Fault::Statement),   // invalid schema name
    ("40", Fault::Unavailable), // transaction rollback: deadlock, serialization
    ("42", Fault::Statement),   // syntax error or access rule violation
    ("44", Fault::Constraint),  // WITH CHECK OPTION violation
    ("53", Fault::Unavailable), // insufficient resources: disk, memory, connections
    ("54", Fault::Statement),   // program limit exceeded: too complex, too many columns
    ("55", Fault::Unavailable), // object not in prerequisite state: locks, an unpopulated view
    ("57", Fault::Unavailable), // operator intervention
    ("58", Fault::Unavailable), // system error: I/O, missing files
    ("72", Fault::Unavailable), // snapshot too old
    ("F0", Fault::Unavailable), // configuration file error
    ("HV", Fault::Unavailable), // foreign data wrapper: another server
    ("P0", Fault::Statement),   // PL/pgSQL: RAISE, too many rows
    ("XX", Fault::Unavailable), // internal error: corrupt data, a lookup that has failed
];

/// Whose fault an error with this SQLSTATE is.
#[must_use]
pub fn fault_of(sqlstate: &str) -> Fault {
    let find =
        |table: &[(&str, Fault)], key: &str| table.iter().find(|(known, _)| *known == key).map(|(_, fault)| *fault);
    find(CODES, sqlstate).or_else(|| find(CLASSES, sqlstate.get(..2)?)).unwrap_or(Fault::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn only_what_its_author_can_mend_is_the_statements_fault() {
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
            ("53100", Fault::Unavailable),
            ("25006", Fault::ReadOnly), // read_only_sql_transaction
            ("53400", Fault::Statement),
            ("25006", Fault::ReadOnly),
            ("55P03", Fault::Unavailable),
            ("40P01", Fault::Unavailable),
            ("57P01", Fault::Unavailable),
            ("58030", Fault::Unavailable),
            ("08006", Fault::Unavailable),
            ("XX000", Fault::Unavailable),
            ("XX001", Fault::Unavailable),
            ("ZZ123", Fault::Unavailable),
            ("", Fault::Unavailable),
            ("é", Fault::Unavailable),
        ] {
            assert_eq!(fault_of(sqlstate), expected, "{sqlstate}");
        }
    }

    #[test]
    fn every_class_is_in_the_table_once() {
        let classes: BTreeSet<_> = CLASSES.iter().map(|(class, _)| *class).collect();
        assert_eq!(classes.len(), CLASSES.len());
        assert_eq!(classes.len(), 43, "PostgreSQL's appendix A lists as many");
    }
}
