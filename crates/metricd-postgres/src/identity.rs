//! Where the data is, as seen from the catalog. SQL must be validated in the database that it runs in.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, Queryable, QueryableByName,
    RunQueryDsl, sql_query,
};

use crate::connection::{connect_as_owner, connect_as_reader};
use crate::reader::{ReaderError, refused};
use crate::schema::catalog::{data_source, queries};
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
    /// The timeline of the cluster, as of its last checkpoint: a copy that was promoted has another one. Absent where
    /// the role may not know it.
    #[diesel(sql_type = Nullable<Integer>)]
    timeline: Option<i32>,
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
        let mut known = |function: &str, column: &str| {
            let permission: Permission =
                sql_query(format!("SELECT has_function_privilege('pg_catalog.{function}()', 'EXECUTE') AS is_given"))
                    .get_result(connection)?;
            let value = format!("(SELECT {column} FROM pg_catalog.{function}())");
            QueryResult::Ok(if permission.is_given { value } else { "NULL".to_owned() })
        };
        let cluster = known("pg_control_system", "system_identifier")?;
        let timeline = known("pg_control_checkpoint", "timeline_id")?;
        sql_query(format!(
            "SELECT (SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()) AS database,
                {cluster}::bigint AS cluster, {timeline}::integer AS timeline,
                (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint AS started,
                pg_catalog.pg_is_in_recovery() AS is_standby"
        ))
        .get_result(connection)
    }

    /// Where the data is, if this is the catalog's database. Two servers that are no standbys are one only if they
    /// started at the same time: a copy of a cluster keeps its system identifier. So does a copy that was promoted, but
    /// its standbys have another timeline.
    fn place_of(self, data: Self) -> DataPlace {
        let is_same_server = self.started == data.started && self.is_standby == data.is_standby;
        let is_same_cluster = match (self.cluster, data.cluster) {
            (Some(one), Some(another)) => one == another,
            // Databases of two clusters may have the same number.
            _ => is_same_server,
        };
        // The timeline of a standby is the former one until its next restart point.
        let is_same_history = match (self.timeline, data.timeline) {
            (Some(catalog), Some(data)) => data <= catalog,
            _ => true,
        };
        match self.database == data.database && is_same_cluster {
            true if is_same_server => DataPlace::Catalog,
            true if data.is_standby && is_same_history => DataPlace::Standby,
            _ => DataPlace::Elsewhere,
        }
    }
}

/// Where the data is that stored SQL reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPlace {
    /// In the catalog's database.
    Catalog,
    /// In the same database on a physical standby of the catalog's server.
    Standby,
    /// In another database, on the same server or another one.
    Elsewhere,
}

impl DataPlace {
    /// What is different from data in the catalog's database; `None` there.
    #[must_use]
    pub fn note(self) -> Option<&'static str> {
        match self {
            Self::Catalog => None,
            Self::Standby => Some(
                "on a standby of the catalog's server: SQL is validated on the primary, results are as old as what the \
                 standby has replayed, and every request runs its SQL",
            ),
            Self::Elsewhere => Some(
                "in another database than the catalog: the reader validates SQL there, records of files are refused, and \
                 several results of one call run one after the other",
            ),
        }
    }
}

/// Where the reader's data is, if the owner's database has the catalog.
///
/// Without the privilege to call `pg_control_system`, a standby cannot be recognised: it counts as another database.
///
/// # Errors
///
/// [`ReaderError::Connect`] if one of them is unreachable, [`ReaderError::Refused`] if the server does not say what it
/// is.
pub fn data_place(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<DataPlace, ReaderError> {
    let catalog = identity(owner, &mut connect_as_owner(owner)?)?;
    Ok(catalog.place_of(identity(reader, &mut connect_as_reader(reader)?)?))
}

/// The same for a reader that may not be able to log in yet, by a login of the owner at its address.
///
/// # Errors
///
/// As of [`data_place`].
pub fn data_place_as_owner(owner: &DatabaseUrl, at_reader: &DatabaseUrl) -> Result<DataPlace, ReaderError> {
    let catalog = identity(owner, &mut connect_as_owner(owner)?)?;
    Ok(catalog.place_of(identity(at_reader, &mut connect_as_owner(at_reader)?)?))
}

/// The identifier of the owner's cluster, which its standbys have in common. `None` if the owner may not know it.
///
/// # Errors
///
/// As of [`data_place`].
pub fn cluster_identifier(owner: &DatabaseUrl) -> Result<Option<i64>, ReaderError> {
    Ok(identity(owner, &mut connect_as_owner(owner)?)?.cluster)
}

/// Whether both URLs lead to one server, if to two databases.
pub(crate) fn are_on_one_server(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<bool, ReaderError> {
    let catalog = identity(owner, &mut connect_as_owner(owner)?)?;
    let data = identity(reader, &mut connect_as_reader(reader)?)?;
    Ok(catalog.started == data.started || catalog.cluster.is_some() && catalog.cluster == data.cluster)
}

/// Records, in the catalog, the database that the data is in, so that SQL is validated nowhere else. Returns whether
/// there is SQL that was validated in another one.
///
/// # Errors
///
/// As of [`data_place`].
pub fn record_data(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<bool, ReaderError> {
    let mut connection = connect_as_owner(owner)?;
    let catalog = identity(owner, &mut connection)?;
    let data = identity(reader, &mut connect_as_reader(reader)?)?;
    let refused = |error: diesel::result::Error| refused(owner.user(), &error, "Nothing was recorded");
    let before = recorded(&mut connection).map_err(refused)?;
    let is_elsewhere = catalog.place_of(data) == DataPlace::Elsewhere;
    let is_known = before.as_ref().map_or(!is_elsewhere, |before| is_elsewhere && before.is(data));
    if !is_known {
        let recording = connection.transaction(|connection| {
            diesel::delete(data_source::table).execute(connection)?;
            if is_elsewhere {
                let row = (
                    data_source::cluster.eq(data.cluster),
                    data_source::database.eq(data.database),
                    data_source::name.eq(named(reader)),
                );
                diesel::insert_into(data_source::table).values(row).execute(connection)?;
            }
            QueryResult::Ok(())
        });
        recording.map_err(refused)?;
    }
    let has_sql = diesel::select(diesel::dsl::exists(queries::table.select(queries::query_id)))
        .get_result(&mut connection)
        .map_err(refused)?;
    Ok(!is_known && has_sql)
}

/// Refuses a reader, or none, if SQL was validated in another database than the reader's.
///
/// # Errors
///
/// [`ReaderError::OtherData`], otherwise as of [`data_place`].
pub fn require_recorded_data(owner: &DatabaseUrl, reader: Option<&DatabaseUrl>) -> Result<(), ReaderError> {
    let mut connection = connect_as_owner(owner)?;
    let refused = |error: diesel::result::Error| refused(owner.user(), &error, "Run `metricd migrate` first");
    let before = recorded(&mut connection).map_err(refused)?;
    let recorded = before.as_ref().map_or_else(|| named(owner), |before| before.name.clone());
    let Some(reader) = reader else {
        let other = ReaderError::OtherData {
            recorded,
            found: "the catalog's database, without READER_DATABASE_URL".to_owned(),
        };
        return if before.is_some() { Err(other) } else { Ok(()) };
    };
    let catalog = identity(owner, &mut connection)?;
    let data = identity(reader, &mut connect_as_reader(reader)?)?;
    let is_elsewhere = catalog.place_of(data) == DataPlace::Elsewhere;
    if before.map_or(!is_elsewhere, |before| is_elsewhere && before.is(data)) {
        Ok(())
    } else {
        Err(ReaderError::OtherData { recorded, found: named(reader) })
    }
}

/// The database with the ports of its hosts: two servers of a machine differ in nothing else.
fn named(url: &DatabaseUrl) -> String {
    format!("{url} ({})", url.hosts())
}

/// The database that is recorded.
#[derive(Debug, Queryable)]
struct Recorded {
    cluster: Option<i64>,
    database: i64,
    name: String,
}

impl Recorded {
    fn is(&self, data: Identity) -> bool {
        let is_same_cluster = match (self.cluster, data.cluster) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        is_same_cluster && self.database == data.database
    }
}

fn recorded(connection: &mut PgConnection) -> QueryResult<Option<Recorded>> {
    let columns = (data_source::cluster, data_source::database, data_source::name);
    data_source::table.select(columns).first(connection).optional()
}

fn identity(url: &DatabaseUrl, connection: &mut PgConnection) -> Result<Identity, ReaderError> {
    Identity::of(connection)
        .map_err(|error| refused(url.user(), &error, "Which database it is has to be known before anything is served"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_has_the_same_data_and_a_copy_has_not() {
        let catalog = Identity { database: 5, cluster: Some(7), timeline: Some(1), started: 1, is_standby: false };
        let standby = Identity { started: 2, is_standby: true, ..catalog };
        assert_eq!(catalog.place_of(catalog), DataPlace::Catalog);
        assert_eq!(catalog.place_of(standby), DataPlace::Standby);
        assert_eq!(
            Identity { timeline: Some(2), ..catalog }.place_of(standby),
            DataPlace::Standby,
            "after a fail-over"
        );
        let unknown = Identity { cluster: None, ..catalog };
        assert_eq!(catalog.place_of(unknown), DataPlace::Catalog);
        assert_eq!(unknown.place_of(unknown), DataPlace::Catalog);
        for (elsewhere, what) in [
            (Identity { started: 2, ..catalog }, "a copy that is a primary of its own"),
            (Identity { cluster: Some(8), ..standby }, "a standby of another server"),
            (Identity { timeline: Some(2), ..standby }, "a standby of a promoted copy"),
            (Identity { cluster: None, ..standby }, "a standby of an unknown server"),
            (Identity { database: 6, ..catalog }, "another database of the server"),
            (Identity { database: 6, ..standby }, "another database of a standby"),
        ] {
            assert_eq!(catalog.place_of(elsewhere), DataPlace::Elsewhere, "{what}");
        }
    }
}
