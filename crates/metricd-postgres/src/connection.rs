//! A single connection, for what happens once.

use diesel::connection::SimpleConnection;
use diesel::sql_types::Integer;
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use secrecy::ExposeSecret;

use crate::DatabaseUrl;
use crate::owner_session::SETTLE;

/// Why a database could not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {database}: {message}")]
pub struct ConnectError {
    database: String,
    message: String,
}

/// The major version of the server.
///
/// # Errors
///
/// [`ConnectError`] where the server cannot be reached, or does not say.
pub fn server_major(url: &DatabaseUrl) -> Result<u32, ConnectError> {
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Integer)]
        number: i32,
    }
    let mut connection = connect_as_owner(url)?;
    let query = diesel::sql_query("SELECT current_setting('server_version_num')::integer AS number");
    let version: QueryResult<Version> = query.get_result(&mut connection);
    let number = version.ok().and_then(|version| u32::try_from(version.number).ok());
    let silent =
        || ConnectError { database: url.to_string(), message: "the server does not say its version".to_owned() };
    Ok(number.ok_or_else(silent)? / 10_000)
}

/// Opens a session of the owner, with its settings settled.
pub(crate) fn connect_as_owner(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let mut connection = connect(url)?;
    connection.batch_execute(SETTLE).map_err(|error| ConnectError {
        database: url.to_string(),
        message: format!("the session's settings cannot be set: {error}"),
    })?;
    Ok(connection)
}

/// Opens a session with the settings that its role has, as the reader's are judged by.
pub(crate) fn connect(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    PgConnection::establish(url.libpq_url().expose_secret()).map_err(|error| {
        let message = match error {
            ConnectionError::BadConnection(message) => first_line(&message),
            // libpq may quote the URL in these, and with it the password.
            _ => "the URL or the session's settings were refused".to_owned(),
        };
        ConnectError { database: url.to_string(), message }
    })
}

/// libpq tells of every address that it has tried, each on a line of its own, with hints between.
pub(crate) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}
