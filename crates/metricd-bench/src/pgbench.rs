//! PostgreSQL alone: the same SQL, prepared, as the same role, over the same Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_embedded::{ConnectionInfo, OWNER_ROLE};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::metricd::{DATABASE, READER};
use crate::process::run;
use crate::workload::Workload;

/// PostgreSQL's own programs, and the database for them.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) bin_dir: PathBuf,
    pub(crate) connection: ConnectionInfo,
}

impl Postgres {
    /// Brings what the planner knows up to date, which would otherwise happen in the middle of a measurement.
    pub(crate) async fn analyze(&self) -> Result<()> {
        let mut command = self.program("psql", OWNER_ROLE)?;
        run(command.args(["-X", "-q", "-d", DATABASE, "-c", "VACUUM ANALYZE"])).await.map(drop)
    }

    /// Stores as many copies of the definitions that there are, in a moment, as they would be stored if they were ingested.
    pub(crate) async fn copy_definitions(&self, copies: u32) -> Result<()> {
        let mut command = self.program("psql", OWNER_ROLE)?;
        command.args(["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", DATABASE]);
        run(command.arg("-c").arg(copies_sql(copies))).await?;
        self.analyze().await
    }

    /// The rate of so many clients.
    pub(crate) async fn measure(&self, script: &Path, clients: u32, duration: Duration) -> Result<f64> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(usize::try_from(clients)?);
        let mut command = self.program("pgbench", READER)?;
        command.args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", &threads.to_string()]);
        command.args(["-T", &duration.as_secs().to_string(), "-f"]).arg(script).arg(DATABASE);
        parse_tps(&run(&mut command).await?)
    }

    fn program(&self, name: &str, role: &str) -> Result<Command> {
        let mut command = Command::new(find_program(&self.bin_dir, name));
        command.env("PGHOST", self.connection.socket_dir());
        command.env("PGPORT", self.connection.port().to_string());
        command.env("PGUSER", role);
        // Not an argument, which every user of the machine could see.
        command.env("PGPASSWORD", self.connection.password(role)?.expose_secret());
        Ok(command)
    }
}

/// Each copy has a query of its own, and the contract of its original, which is that of its SQL but for a literal.
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

/// Beside the server's program, also where only a link to that stands in the folder; otherwise wherever the system finds it.
fn find_program(bin_dir: &Path, name: &str) -> PathBuf {
    let server = bin_dir.join("postgres").canonicalize().unwrap_or_default();
    let beside = [bin_dir.join(name), server.with_file_name(name)];
    beside.into_iter().find(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// The SQL as pgbench's script.
pub(crate) fn script(workload: Workload) -> String {
    format!("{};\n", workload.sql())
}

/// `tps = 47062.113 (without initial connection time)`
fn parse_tps(output: &str) -> Result<f64> {
    let failed = output.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
    ensure!(failed.is_none_or(|failed| failed.starts_with("0 ")), "pgbench says that statements failed: {output}");
    let tps = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.filter(|tps| *tps > 0.0).with_context(|| format!("pgbench says no rate: {output}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_rate() {
        let output = "number of failed transactions: 0 (0.000%)\nlatency average = 0.170 ms\n\
                      tps = 47062.5 (without initial connection time)\n";
        assert_eq!(parse_tps(output).unwrap().to_string(), "47062.5");
    }

    #[test]
    fn a_rate_of_failures_is_none() {
        for output in [
            "number of failed transactions: 3 (0.100%)\ntps = 5.0 (without initial connection time)\n",
            "tps = 0.000000 (without initial connection time)\n",
            "",
        ] {
            assert!(parse_tps(output).is_err(), "{output}");
        }
    }

    #[test]
    fn pgbench_takes_no_part_of_the_sql_for_a_variable_of_its_own() {
        for workload in Workload::ALL {
            assert!(!script(workload).contains(':') && script(workload).matches(';').count() == 1);
        }
    }
}
