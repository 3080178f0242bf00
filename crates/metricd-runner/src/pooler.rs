//! What an operator should know about a connection pooler in front of the reader.

use std::time::Duration;

use metricd_connection::{ConnectError, Connector};
use metricd_database::DatabaseUrl;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::session::CONNECT_TIMEOUT;

/// The time limit of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// The database that `PgBouncer` answers itself.
const ADMIN_DATABASE: &str = "pgbouncer";

/// A connection pooler.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolerFacts {
    /// Whether a backend was seen to work for two connected clients, as it does in transaction mode and never in session
    /// mode. `false` proves nothing: the clients of a busy pool may have had backends of their own.
    pub shares_backends: bool,
    /// What the pooler says about itself.
    pub settings: Option<PoolerSettings>,
}

/// The settings that `PgBouncer` shows to its `stats_users`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolerSettings {
    /// The program and its version: `PgBouncer 1.18.0`.
    pub version: String,
    /// `session`, `transaction` or `statement`.
    pub pool_mode: String,
    /// The number of backends of the database and role.
    pub pool_size: u32,
    /// How long a client waits for a backend, in seconds; 0 means forever.
    pub query_wait_timeout: String,
}

/// Looks at the pooler that the reader's URL leads through.
///
/// # Errors
///
/// [`ConnectError`] if the pooler refuses the reader.
pub async fn survey_pooler(reader: &DatabaseUrl) -> Result<PoolerFacts, ConnectError> {
    let clients = [connect(reader).await?, connect(reader).await?];
    let mut pids = Vec::new();
    for client in clients.iter().chain(&clients) {
        // In session mode, a client waits if the pool has no backend left.
        let Some(rows) = rows(client, "SELECT pg_catalog.pg_backend_pid()").await else { break };
        pids.extend(rows.first().and_then(|row| row.get(0)).map(str::to_owned));
    }
    let settings = settings(reader).await;
    Ok(PoolerFacts { shares_backends: are_shared(&pids), settings })
}

/// Whether these process ids, seen by two clients in turn, show that a client has no backend of its own.
fn are_shared(pids: &[String]) -> bool {
    let [first, second, first_again, second_again] = pids else { return false };
    first == second || first != first_again || second != second_again
}

async fn settings(reader: &DatabaseUrl) -> Option<PoolerSettings> {
    let client = connect(&reader.with_database(ADMIN_DATABASE)).await.ok()?;
    let version = rows(&client, "SHOW VERSION").await?.first()?.get(0)?.to_owned();
    let of_database = |row: &&SimpleQueryRow, column| row.try_get(column).ok().flatten() == Some(reader.database());
    let (pools, databases) = (rows(&client, "SHOW POOLS").await?, rows(&client, "SHOW DATABASES").await?);
    // The pool of another role may have another mode. A pool for a forced role has that role's name.
    let pools: Vec<_> = pools.iter().filter(|row| of_database(row, "database")).collect();
    let own = pools.iter().find(|row| row.try_get("user").ok().flatten() == Some(reader.user()));
    let pool = own.or(pools.first().filter(|_| pools.len() == 1))?;
    let pool_mode = pool.try_get("pool_mode").ok()??.to_owned();
    let database = databases.iter().find(|row| of_database(row, "name"))?;
    let pool_size = database.try_get("pool_size").ok()??.parse().ok()?;
    let config = rows(&client, "SHOW CONFIG").await?;
    let wait = config.iter().find(|row| row.try_get("key").ok().flatten() == Some("query_wait_timeout"))?;
    let query_wait_timeout = wait.try_get("value").ok()??.to_owned();
    Some(PoolerSettings { version, pool_mode, pool_size, query_wait_timeout })
}

async fn connect(url: &DatabaseUrl) -> Result<Client, ConnectError> {
    let (client, connection) = Connector::new(url, CONNECT_TIMEOUT)?.named("metricd connect").connect().await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The rows of a query, unless it is refused or takes too long.
async fn rows(client: &Client, sql: &str) -> Option<Vec<SimpleQueryRow>> {
    let messages = timeout(QUERY_TIMEOUT, client.simple_query(sql)).await.ok()?.ok()?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Some(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backend_of_two_clients_shows_transaction_mode() {
        let are_shared = |pids: &[&str]| are_shared(&pids.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(are_shared(&["1", "1", "1", "1"]));
        assert!(are_shared(&["1", "2", "2", "1"]));
        assert!(are_shared(&["1", "2", "1", "3"]));
        assert!(!are_shared(&["1", "2", "1", "2"]));
        assert!(!are_shared(&["1"]));
    }
}
