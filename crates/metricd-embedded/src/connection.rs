//! The address of a cluster and the passwords of its roles.

use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use crate::credentials::Credentials;
use crate::{EmbeddedError, OWNER_ROLE};

/// How to connect to a cluster.
///
/// `Debug` does not show passwords.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    port: u16,
    socket_dir: PathBuf,
    credentials: Credentials,
}

impl ConnectionInfo {
    pub(crate) fn new(port: u16, socket_dir: PathBuf, credentials: Credentials) -> Self {
        Self { port, socket_dir, credentials }
    }

    /// The connection URL for a role, over the Unix socket, as libpq and tokio-postgres parse it. Neither the role nor
    /// the database needs to exist yet: create the role with its [`password`](Self::password).
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::UnknownRole`] if no password is stored for the role.
    pub fn url(&self, role: &str, database: &str) -> Result<SecretString, EmbeddedError> {
        let password = self.password(role)?;
        Ok(SecretString::from(format!(
            "postgres://{role}:{password}@/{database}?host={host}&port={port}",
            role = utf8_percent_encode(role, NON_ALPHANUMERIC),
            password = utf8_percent_encode(password.expose_secret(), NON_ALPHANUMERIC),
            database = utf8_percent_encode(database, NON_ALPHANUMERIC),
            host = percent_encode(self.socket_dir.as_os_str().as_encoded_bytes(), NON_ALPHANUMERIC),
            port = self.port,
        )))
    }

    /// The connection URL for [`OWNER_ROLE`], the superuser. The database `postgres` always exists.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::UnknownRole`] if the credentials were tampered with.
    pub fn owner_url(&self, database: &str) -> Result<SecretString, EmbeddedError> {
        self.url(OWNER_ROLE, database)
    }

    /// The stored password of a role.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::UnknownRole`] if none is stored.
    pub fn password(&self, role: &str) -> Result<&SecretString, EmbeddedError> {
        self.credentials.password(role)
    }

    /// The port, on 127.0.0.1 and in the socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ConnectionInfo {
        ConnectionInfo::new(5433, "/tmp/a b/run".into(), Credentials::from_json("{\"metricd\": \"s3cret\"}").unwrap())
    }

    #[test]
    fn the_url_is_percent_encoded() {
        let url = info().owner_url("my db").unwrap();
        assert_eq!(url.expose_secret(), "postgres://metricd:s3cret@/my%20db?host=%2Ftmp%2Fa%20b%2Frun&port=5433");
    }

    #[test]
    fn a_role_without_a_password_is_refused() {
        let message = info().url("reader", "postgres").unwrap_err().to_string();
        assert_eq!(message, "no password is stored for the role `reader`: expected one of `metricd`");
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", info()).contains("s3cret"));
    }
}
