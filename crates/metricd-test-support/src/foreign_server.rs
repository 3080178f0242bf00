//! A test database as the foreign server of another one.

use std::fmt::Write;

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::TestDatabase;

impl TestDatabase {
    /// SQL that makes this database a foreign server with that name in another database of the cluster. The owner and the
    /// reader connect to it as themselves.
    ///
    /// # Errors
    ///
    /// If a URL names no host.
    pub fn foreign_server(&self, name: &str) -> Result<String> {
        let owner: Config = self.owner_url.expose_secret().parse()?;
        let host = match owner.get_hosts().first().context("a host")? {
            Host::Tcp(host) => host.clone(),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let (port, database) = (owner.get_ports().first().context("a port")?, owner.get_dbname().unwrap_or_default());
        let mut sql = format!(
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw;
             CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw OPTIONS
             (host '{host}', port '{port}', dbname '{database}', use_remote_estimate 'true', async_capable 'true');"
        );
        for url in [&self.owner_url, &self.reader_url] {
            let config: Config = url.expose_secret().parse()?;
            let user = config.get_user().unwrap_or_default();
            let password = str::from_utf8(config.get_password().unwrap_or_default())?;
            let options = format!("user '{user}', password '{password}'");
            write!(sql, "CREATE USER MAPPING FOR {user} SERVER {name} OPTIONS ({options});")?;
        }
        Ok(sql)
    }
}
