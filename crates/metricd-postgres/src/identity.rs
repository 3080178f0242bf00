//! Whether two URLs lead to one database. SQL must run in the database that validated it.

use diesel::sql_types::{BigInt, Bool, Nullable};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};

use crate::connection::{connect_as_owner, connect_as_reader};
use crate::reader::ReaderError;
use metricd_database::DatabaseUrl;

/// What identifies a database, as a session sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
struct Identity {
    /// The database, within its cluster.
    #[diesel(sql_type = BigInt)]
    database: i64,
    /// The cluster, which its standbys have in common; absent where the role may not know it.
    #[diesel(sql_type = Nullable<BigInt>)]
    cluster: Option<i64>,
    /// The server's start, in microseconds.
    #[diesel(sql_type = BigInt)]
    started: i64,
    /// Whether the server is a standby.
    #[diesel(sql_type = Bool)]
    is_standby: bool,
}

impl Identity {
    fn of(connection: &mut PgConnection) -> QueryResult<Self> {
        #[derive(QueryableByName)]
        struct Permission {
            #[diesel(sql_type = Bool)]
            is_given: bool,
        }
        let permission: Permission =
            sql_query("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS is_given")
                .get_result(connection)?;
        let cluster =
            if permission.is_given { "(SELECT system_identifier FROM pg_catalog.pg_control_system())" } else { "NULL" };
        sql_query(format!(
            "SELECT (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()) AS database,
                {cluster}::bigint AS cluster,
                (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint AS started,
                pg_catalog.pg_is_in_recovery() AS is_standby"
        ))
        .get_result(connection)
    }

    /// Whether both are one database, or one is a standby of the other. Two servers that are no standbys are one only
    /// if they started at the same time: a copy of a cluster keeps its system identifier.
    fn is_of_same_database(self, other: Self) -> bool {
        let is_same_cluster = match (self.cluster, other.cluster) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        let has_standby = self.is_standby || other.is_standby;
        self.database == other.database && is_same_cluster && (has_standby || self.started == other.started)
    }
}

/// Refuses a reader in another database than the owner's. That of a standby is the same.
///
/// # Errors
///
/// [`ReaderError::OtherDatabase`], or [`ReaderError::Connect`] if one of them is unreachable.
pub fn require_same_database(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<(), ReaderError> {
    let identity = |url: &DatabaseUrl, connection: &mut PgConnection| {
        Identity::of(connection).map_err(|error| ReaderError::Refused {
            role: url.user().to_owned(),
            message: error.to_string(),
            advice: "Which database it is has to be known before anything is served".to_owned(),
        })
    };
    let of_owner = identity(owner, &mut connect_as_owner(owner)?)?;
    let of_reader = identity(reader, &mut connect_as_reader(reader)?)?;
    if of_owner.is_of_same_database(of_reader) {
        Ok(())
    } else {
        Err(ReaderError::OtherDatabase { owner: owner.to_string(), reader: reader.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_the_same_and_a_copy_is_not() {
        let primary = Identity { database: 5, cluster: Some(7), started: 1, is_standby: false };
        let same = |other: Identity| {
            let (there, back) = (primary.is_of_same_database(other), other.is_of_same_database(primary));
            assert_eq!(there, back);
            there
        };
        assert!(same(primary));
        assert!(same(Identity { started: 2, is_standby: true, ..primary }));
        assert!(!same(Identity { started: 2, ..primary }), "a copy that is a primary of its own");
        assert!(!same(Identity { cluster: Some(8), is_standby: true, ..primary }));
        assert!(!same(Identity { database: 6, ..primary }));
        assert!(same(Identity { cluster: None, ..primary }));
        assert!(!same(Identity { cluster: None, started: 2, ..primary }));
    }
}
