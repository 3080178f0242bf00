//! What the tests share.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_connection::{ConnectError, Connector};
use metricd_database::DatabaseUrl;
use metricd_test_support::tls::TlsServer;
use tokio::process::Command;

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Plain,
    Tls,
    Refused(String),
}

impl Outcome {
    /// As one letter, as in the tables.
    pub(crate) fn letter(&self) -> char {
        match self {
            Self::Plain => 'p',
            Self::Tls => 't',
            Self::Refused(_) => 'x',
        }
    }

    fn of(has_tls: bool) -> Self {
        if has_tls { Self::Tls } else { Self::Plain }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(sentence) => write!(formatter, "refused: {sentence}"),
            accepted => write!(formatter, "{accepted:?}"),
        }
    }
}

/// A user who connects over TCP, with parameters of libpq.
#[derive(Debug, Clone)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) host: &'a str,
    pub(crate) address: &'a str,
    /// Another port than that of the server.
    pub(crate) port: Option<u16>,
    pub(crate) parameters: Vec<(&'a str, String)>,
}

impl<'a> Login<'a> {
    /// To `localhost`.
    pub(crate) fn new(user: &'a str) -> Self {
        Self { user, host: "localhost", address: "127.0.0.1", port: None, parameters: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'a str, value: impl AsRef<Path>) -> Self {
        self.parameters.push((name, value.as_ref().display().to_string()));
        self
    }

    pub(crate) fn url(&self, server: &TlsServer) -> Result<DatabaseUrl> {
        let Self { user, host, address, parameters, .. } = self;
        let port = self.port.unwrap_or(server.port());
        let mut url = format!("postgres://{user}:pw@{host}:{port}/postgres?hostaddr={address}");
        for (name, value) in parameters {
            write!(url, "&{name}={}", value.replace('/', "%2F"))?;
        }
        Ok(DatabaseUrl::parse(url)?)
    }

    pub(crate) fn connector(&self, server: &TlsServer) -> Result<Connector> {
        Ok(Connector::new(&self.url(server)?, Duration::from_secs(10))?)
    }

    /// Connects with metricd.
    pub(crate) async fn connect(&self, server: &TlsServer) -> Result<Outcome> {
        match self.connector(server)?.connect().await {
            Ok((client, driver)) => {
                tokio::spawn(driver);
                let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
                Ok(Outcome::of(client.query_one(sql, &[]).await?.get(0)))
            }
            Err(error @ (ConnectError::Refused(_) | ConnectError::Failed(_))) => {
                Ok(Outcome::Refused(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Connects with `psql`; `None` if it is not installed.
    pub(crate) async fn connect_with_libpq(&self, server: &TlsServer) -> Result<Option<Outcome>> {
        let Self { user, host, address, parameters, .. } = self;
        let port = self.port.unwrap_or(server.port());
        let mut info = format!("host={host} hostaddr={address} port={port} user={user} dbname=postgres");
        for (name, value) in parameters {
            write!(info, " {name}='{value}'")?;
        }
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let psql = Command::new("psql")
            .args(["-XAtc", sql, &info])
            .env("PGPASSWORD", "pw")
            // The files of the user who runs the test have no effect.
            .env("HOME", server.folder())
            .stdin(Stdio::null())
            .output()
            .await;
        let Ok(output) = psql else { return Ok(None) };
        if !output.status.success() {
            return Ok(Some(Outcome::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
        }
        let answer = String::from_utf8(output.stdout).context("psql answers in UTF-8")?;
        Ok(Some(Outcome::of(answer.trim() == "t")))
    }

    /// Checks what comes of the connection, with metricd and with libpq.
    pub(crate) async fn expect(
        &self,
        server: &TlsServer,
        expected: char,
        sentence: &str,
        failures: &mut Vec<String>,
    ) -> Result<()> {
        let outcome = self.connect(server).await?;
        let oracle = self.connect_with_libpq(server).await?;
        let says = |outcome: &Outcome| matches!(outcome, Outcome::Refused(message) if !message.contains(sentence));
        if outcome.letter() != expected || says(&outcome) {
            failures.push(format!("{self:?}: expected {expected} `{sentence}`, got {outcome}"));
        }
        if let Some(oracle) = oracle
            && oracle.letter() != outcome.letter()
        {
            failures.push(format!("{self:?}: metricd: {outcome}; libpq: {oracle}"));
        }
        Ok(())
    }
}
