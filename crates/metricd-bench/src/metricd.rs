//! metricd as users run it: the release build, with a private PostgreSQL.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use metricd_embedded::{Cluster, Installation, OWNER_ROLE, Search};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::pgbench::Postgres;
use crate::process::{Server, run};

/// The names that metricd gives the database and the reader of its private PostgreSQL.
pub(crate) const DATABASE: &str = "metricd";
pub(crate) const READER: &str = "metricd_reader";

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

    /// A command of the program with no setting but the data folder. Settings in this program's environment are
    /// removed.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os() {
            let is_setting = name.to_string_lossy().starts_with("METRICD_");
            if is_setting || name == "DATABASE_URL" || name == "READER_DATABASE_URL" {
                command.env_remove(name);
            }
        }
        command.env("METRICD_DATA_DIR", &self.data_dir);
        command
    }
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
