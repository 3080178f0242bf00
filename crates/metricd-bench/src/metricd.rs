//! metricd as users run it: the release build, with a private PostgreSQL or with a database that exists.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use metricd_embedded::{Cluster, Installation, OWNER_ROLE, Search};
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

use crate::arguments::DatabaseOptions;
use crate::pgbench::Postgres;
use crate::process::{Server, run};

/// The names that metricd gives the database and the reader of its private PostgreSQL.
pub(crate) const DATABASE: &str = "metricd";
pub(crate) const READER: &str = "metricd_reader";

/// The lifetime of the token of a benchmark, which is longer than any measurement.
const TOKEN_LIFETIME: &str = "30d";

/// The program, and the folder of its data.
#[derive(Debug)]
pub(crate) struct Metricd {
    program: PathBuf,
    data_dir: PathBuf,
}

impl Metricd {
    pub(crate) fn new(program: PathBuf, data_dir: PathBuf) -> Self {
        Self { program, data_dir }
    }

    /// Ingests the files of the folder.
    pub(crate) async fn ingest(&self, folder: &Path) -> Result<()> {
        run(self.command().args(["ingest", "--strict"]).arg(folder)).await.map(drop)
    }

    pub(crate) async fn serve(&self, log: &Path) -> Result<Server> {
        Server::start(self.command().args(["serve", "--no-sample", "--listen", "127.0.0.1:0"]), log).await
    }

    /// Serves the same database, over TCP, with this `sslmode`.
    pub(crate) async fn serve_over_tcp(&self, postgres: &Postgres, mode: &str, log: &Path) -> Result<Server> {
        let connection = &postgres.connection;
        let url = |role: &str| {
            let (password, port) = (connection.password(role)?.expose_secret(), connection.port());
            anyhow::Ok(format!("postgres://{role}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode={mode}"))
        };
        let mut command = self.command();
        command.env("DATABASE_URL", url(OWNER_ROLE)?).env("READER_DATABASE_URL", url(READER)?);
        command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true").env_remove("METRICD_DATA_DIR");
        Server::start(command.args(["serve", "--listen", "127.0.0.1:0"]), log).await
    }

    /// The private PostgreSQL that the server has started.
    pub(crate) fn postgres(&self) -> Result<Postgres> {
        let installation = Installation::find(&Search::system(env::var_os("PATH")), None)?;
        let connection = Cluster::join(&self.data_dir)?.context("the private PostgreSQL does not run")?;
        Ok(Postgres { bin_dir: installation.bin_dir().to_owned(), connection })
    }

    /// A command of the program with no setting but the data folder.
    fn command(&self) -> Command {
        let mut command = command(&self.program);
        command.env("METRICD_DATA_DIR", &self.data_dir);
        command
    }
}

/// A server for the metrics of a database that exists, and the token with which a client may read them.
#[derive(Debug)]
pub(crate) struct DatabaseServer {
    pub(crate) server: Server,
    pub(crate) token: SecretString,
}

impl DatabaseServer {
    /// Starts the server. Other users of the machine can connect to it, and have no token.
    pub(crate) async fn start(program: &Path, options: &DatabaseOptions, log: &Path) -> Result<Self> {
        let DatabaseOptions { database_url, reader_database_url, data_schemas, serve_flags, .. } = options;
        let secret = secret().context("a secret for a token could not be made")?;
        let mut token = command(program);
        token.env("METRICD_JWT_SECRET", &secret);
        token.args(["token", "--scope", "metrics:read", "--subject", "metricd-bench", "--ttl", TOKEN_LIFETIME]);
        let token = run(&mut token).await?.trim().to_owned().into();

        let mut command = command(program);
        // Without the limit on the rate of a subject: all clients are one.
        command.env("METRICD_JWT_SECRET", secret).env("METRICD_REQUESTS_PER_SECOND", "0");
        command.env("DATABASE_URL", database_url.expose_secret());
        command.env("READER_DATABASE_URL", reader_database_url.expose_secret());
        command.envs(data_schemas.iter().map(|schemas| ("METRICD_DATA_SCHEMAS", schemas)));
        let server = Server::start(command.args(["serve", "--listen", "127.0.0.1:0"]).args(serve_flags), log).await?;
        Ok(Self { server, token })
    }
}

/// A random secret of 64 characters.
fn secret() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.map(|byte| format!("{byte:02x}")).concat())
}

/// A command of the program. Settings in this program's environment are removed.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let is_setting = name.to_string_lossy().starts_with("METRICD_");
        if is_setting || name == "DATABASE_URL" || name == "READER_DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command
}

/// Builds metricd in this program's target folder, and returns its path.
pub(crate) async fn build() -> Result<PathBuf> {
    let this = env::current_exe().context("the path of this program is unknown")?;
    let folder = this.parent().context("the path of this program has no folder")?;
    let target = folder.parent().context("this program is not in a target folder")?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--release", "-p", "metricd", "--target-dir"]);
    run(command.arg(target)).await?;
    Ok(target.join("release").join("metricd"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::tests::database_options;

    /// Starts a program that prints a token, and whose server is this shell command.
    async fn start(server: &str) -> Result<DatabaseServer> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("metricd");
        let text = format!("#!/bin/sh\nif [ \"$1\" = token ]; then echo t; else {{ {server}; }}; fi\n");
        // Another process writes the file: a child that a test forks meanwhile would have it open for writing, and a
        // program that is open for writing does not start.
        let mut write = Command::new("sh");
        write.args(["-c", r#"printf %s "$1" >"$2" && chmod 755 "$2""#, "", &text]).arg(&program);
        run(&mut write).await.unwrap();
        DatabaseServer::start(&program, &database_options(), &folder.path().join("log")).await
    }

    #[tokio::test]
    async fn a_server_gets_its_urls_and_secret_in_variables_and_the_further_flags() {
        let line = r#"[ -n "$METRICD_JWT_SECRET" ] && echo "$DATABASE_URL listens on http://127.0.0.1:1 $READER_DATABASE_URL $*" >&2"#;
        let error = start(line).await.unwrap_err().to_string();
        let arguments = "serve --listen 127.0.0.1:0 --max-replica-lag 5";
        assert_eq!(error, format!("a server did not start: o listens on http://127.0.0.1:1 r {arguments}"));
        let DatabaseServer { token, .. } = start("echo listens on http://127.0.0.1:1").await.unwrap();
        assert_eq!(token.expose_secret(), "t");
    }

    #[tokio::test]
    async fn a_database_that_is_not_ready_is_one_sentence() {
        let error = start("echo '[t WARN  m] x' >&2; echo 'metricd: run `metricd migrate`' >&2; exit 1").await;
        assert_eq!(error.unwrap_err().to_string(), "a server did not start: metricd: run `metricd migrate`");
    }
}
