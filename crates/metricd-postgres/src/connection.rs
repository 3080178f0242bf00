//! A single connection as the owner, for what happens once.

use diesel::{Connection, ConnectionError, PgConnection};
use secrecy::ExposeSecret;

use crate::DatabaseUrl;

/// Why a database could not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {database}: {message}")]
pub struct ConnectError {
    database: String,
    message: String,
}

impl ConnectError {
    /// Whether the server answered that the database does not exist.
    pub(crate) fn is_missing_database(&self) -> bool {
        self.message.contains("does not exist") && self.message.contains("database")
    }
}

pub(crate) fn connect(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    PgConnection::establish(url.secret().expose_secret()).map_err(|error| {
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
