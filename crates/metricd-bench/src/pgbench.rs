//! Measures PostgreSQL alone: the same SQL, prepared, as the same role, over a connection of the same kind.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use metricd_embedded::{ConnectionInfo, Installation, OWNER_ROLE, Search};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::metricd::{DATABASE, READER};
use crate::process::run;
use crate::reader_url::ReaderUrl;
use crate::script::Script;

/// Switches TLS on. The program runs in the data folder of PostgreSQL, where it looks for its certificate and its key.
const TLS_SQL: [&str; 3] = [
    "COPY (SELECT) TO PROGRAM 'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -keyout server.key -out server.crt'",
    "ALTER SYSTEM SET ssl = on",
    "SELECT pg_reload_conf()",
];

/// PostgreSQL's own programs, and the connection to the database.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) bin_dir: PathBuf,
    pub(crate) connection: ConnectionInfo,
}

impl Postgres {
    /// Updates the planner's statistics, so that autovacuum does not do it during a measurement.
    pub(crate) async fn analyze(&self) -> Result<()> {
        let mut command = self.program("psql", OWNER_ROLE)?;
        run(command.args(["-X", "-q", "-d", DATABASE, "-c", "VACUUM ANALYZE"])).await.map(drop)
    }

    /// Switches TLS on, with a certificate that PostgreSQL's account makes itself.
    pub(crate) async fn enable_tls(&self) -> Result<()> {
        let mut command = self.program("psql", OWNER_ROLE)?;
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]);
        for sql in TLS_SQL {
            command.args(["-c", sql]);
        }
        run(&mut command).await.map(drop)
    }

    /// Stores copies of the existing definitions, directly in the database and as an ingestion would store them.
    pub(crate) async fn copy_definitions(&self, copies: u32) -> Result<()> {
        let mut command = self.program("psql", OWNER_ROLE)?;
        command.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]);
        run(command.arg("-c").arg(copies_sql(copies))).await?;
        self.analyze().await
    }

    fn program(&self, name: &str, role: &str) -> Result<Command> {
        let mut command = Command::new(find_program(&self.bin_dir, name));
        command.envs(self.variables(role)?);
        Ok(command)
    }

    /// The variables with which PostgreSQL's programs connect as the role.
    fn variables(&self, role: &str) -> Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("PGHOST", self.connection.socket_dir().display().to_string()),
            ("PGPORT", self.connection.port().to_string()),
            ("PGUSER", role.to_owned()),
            // Not an argument: every user of the machine can see those.
            ("PGPASSWORD", self.connection.password(role)?.expose_secret().to_owned()),
        ])
    }
}

/// The program, and how it connects as the reader.
pub(crate) struct Pgbench {
    program: PathBuf,
    /// The name of the database, or its URL without the password.
    database: String,
    /// The variables with which it connects. They have the password.
    variables: Vec<(&'static str, String)>,
}

impl Pgbench {
    /// The program for a private PostgreSQL.
    pub(crate) fn of_private(postgres: &Postgres) -> Result<Self> {
        let program = find_program(&postgres.bin_dir, "pgbench");
        Ok(Self { program, database: DATABASE.to_owned(), variables: postgres.variables(READER)? })
    }

    /// The program for a database that exists. It is searched as the programs of a private PostgreSQL are.
    pub(crate) fn of_database(ReaderUrl { url, variables }: ReaderUrl) -> Self {
        let installation = Installation::find(&Search::system(env::var_os("PATH")), None);
        let program = installation.map_or_else(|_| "pgbench".into(), |found| find_program(found.bin_dir(), "pgbench"));
        Self { program, database: url, variables }
    }

    /// Checks that there is such a program.
    pub(crate) async fn check(&self) -> Result<()> {
        let found = run(Command::new(&self.program).arg("--version")).await;
        found.map(drop).context("there is no `pgbench`: install PostgreSQL's programs, or add their folder to PATH")
    }

    /// Measures the rate of this number of clients, in transactions per second. The file has the script.
    pub(crate) async fn measure(&self, script: &Script, file: &Path, clients: u32, duration: Duration) -> Result<f64> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(usize::try_from(clients)?);
        let mut command = Command::new(&self.program);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(script.time_zone.iter().map(|time_zone| ("PGTZ", time_zone)));
        command.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads.to_string()]);
        command.args(script.values.iter().map(|(name, value)| format!("-D{name}={value}")));
        command.args(["-T", &duration.as_secs().to_string(), "-f"]).arg(file).arg(&self.database);
        // The other lines of an error are those of the other clients.
        let first_line = |error: anyhow::Error| anyhow!("{}", error.to_string().lines().next().unwrap_or_default());
        parse_tps(&run(&mut command).await.map_err(first_line)?)
    }
}

/// The SQL that makes the copies. Each copy has its own query. It has the contract of its original, since its SQL
/// differs only in a literal.
fn copies_sql(copies: u32) -> String {
    let id = "format('bench-copy-%s', lpad(number::text, 7, '0'))";
    format!(
        r#"
        CREATE TEMPORARY TABLE originals AS
        SELECT m.*, q.sql, q.changed_by || '{{"said": true}}' AS said,
               row_number() OVER (ORDER BY m.metric_id) - 1 AS place, count(*) OVER () AS originals
        FROM catalog.metrics m JOIN catalog.queries q USING (query_id);
        INSERT INTO catalog.queries (query_id, sql, changed_by)
        SELECT {id}, replace(sql, query_id, {id}), said
        FROM generate_series(1, {copies}) AS number JOIN originals ON place = number % originals;
        INSERT INTO catalog.metrics
            (metric_id, query_id, editable, parameters, time_column, period, limits, contract, title, description, changed_by)
        SELECT {id}, {id}, editable, parameters, time_column, period, limits, contract, title, description, said
        FROM generate_series(1, {copies}) AS number JOIN originals ON place = number % originals;
        "#
    )
}

/// Finds a program next to the server's program. If the folder has only a link to the server's program, searches next
/// to the link's target too. Otherwise the system searches its `PATH`.
fn find_program(bin_dir: &Path, name: &str) -> PathBuf {
    let server = bin_dir.join("postgres").canonicalize().unwrap_or_default();
    let candidates = [bin_dir.join(name), server.with_file_name(name)];
    candidates.into_iter().find(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// Parses `tps = 47062.113 (without initial connection time)`.
fn parse_tps(output: &str) -> Result<f64> {
    let failed = output.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
    ensure!(failed.is_none_or(|failed| failed.starts_with("0 ")), "pgbench reports failed statements: {output}");
    let tps = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.filter(|tps| *tps > 0.0).with_context(|| format!("pgbench reports no rate: {output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_rate() {
        let output = "number of failed transactions: 0 (0.000%)\nlatency average = 0.170 ms\n\
                      tps = 47062.5 (without initial connection time)\n";
        assert_eq!(parse_tps(output).unwrap().to_string(), "47062.5");
    }

    #[test]
    fn failures_and_a_rate_of_zero_are_errors() {
        for output in [
            "number of failed transactions: 3 (0.100%)\ntps = 5.0 (without initial connection time)\n",
            "tps = 0.000000 (without initial connection time)\n",
            "",
        ] {
            assert!(parse_tps(output).is_err(), "{output}");
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_one_sentence() {
        let pgbench = Pgbench { program: "/nowhere/pgbench".into(), database: String::new(), variables: Vec::new() };
        let error = pgbench.check().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no `pgbench`: install PostgreSQL's programs, or add their folder to PATH"
        );
    }

    #[tokio::test]
    async fn an_error_of_all_clients_is_one_line() {
        let script = Script::without_parameters("SELECT 1").unwrap();
        let pgbench = Pgbench { program: "ls".into(), database: "/nowhere/a".to_owned(), variables: Vec::new() };
        let error = pgbench.measure(&script, Path::new("/nowhere/b"), 1, Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.starts_with("`ls` failed ") && error.lines().count() == 1, "{error}");
    }
}
