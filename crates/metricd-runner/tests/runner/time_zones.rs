//! Statements in time zones, on connections that they share.

use std::time::Duration;

use anyhow::Result;
use metricd_domain::{SqlText, TimeZone};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, SnapshotRun, Statement};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::{Pooler, StartupOptions, TestDatabase};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::permits;

/// A statement in this zone; in that of the runner without one.
fn plain(sql: &str, name: Option<&str>) -> Result<BoundStatement> {
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    Ok(statement.in_time_zone(name.map(TimeZone::parse).transpose()?))
}

async fn run(runner: &PgRunner, statement: &BoundStatement) -> Result<String> {
    let mut rows = JsonRows::default();
    runner.run(statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
    Ok(String::from_utf8(rows.finish())?)
}

const LITERAL: &str = "SELECT timestamptz '2025-06-01 00:00' AS at, current_setting('timezone') AS zone";

fn literal(name: &str) -> String {
    let at = match name {
        "Europe/Berlin" => "2025-05-31T22:00:00Z",
        "Asia/Kolkata" => "2025-05-31T18:30:00Z",
        _ => "2025-06-01T00:00:00Z",
    };
    format!(r#"[{{"at":"{at}","zone":"{name}"}}]"#)
}

/// Requests in different zones share a connection, one after the other and at once, after errors and drops as well.
#[tokio::test]
async fn a_zone_ends_with_its_request() -> Result<()> {
    for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
        let config =
            RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_secs(20), ..RunnerConfig::default() };
        let runner = PgRunner::new(&database.reader, config)?;
        let zones = [None, Some("Europe/Berlin"), Some("Asia/Kolkata"), None];
        for turn in 0..3 {
            for name in zones {
                let expected = literal(name.unwrap_or("UTC"));
                assert_eq!(run(&runner, &plain(LITERAL, name)?).await?, expected, "{turn}");
                let failed = run(&runner, &plain("SELECT 1 / (SELECT 0) AS n", Some("Europe/Berlin"))?).await;
                let failed = failed.unwrap_err().downcast::<RunError>()?;
                assert!(matches!(&failed, RunError::Failed { sqlstate, .. } if sqlstate == "22012"), "{failed}");
                assert_eq!(run(&runner, &plain(LITERAL, None)?).await?, literal("UTC"));
                // Dropped while it runs.
                let slow = plain("SELECT count(*) AS n FROM generate_series(1, 3000000) AS a", Some("Asia/Kolkata"))?;
                assert!(timeout(Duration::from_millis(30), run(&runner, &slow)).await.is_err());
                assert_eq!(run(&runner, &plain(LITERAL, None)?).await?, literal("UTC"));
            }
        }
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let runner = runner.clone();
            clients.spawn(async move {
                for turn in 0..30 {
                    let name = zones[(client + turn) % zones.len()];
                    let mut rows = JsonRows::default();
                    // A stream has a transaction of its own.
                    let write_timeout = Duration::from_secs(u64::from(turn % 5 == 0));
                    let limits = RunLimits { write_timeout, ..RunLimits::default() };
                    runner.run(&plain(LITERAL, name)?, None, limits, Permit::default(), &mut rows).await?;
                    assert_eq!(String::from_utf8(rows.finish())?, literal(name.unwrap_or("UTC")));
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
    }
    Ok(())
}

/// A statement that PostgreSQL parses again, because its table has changed, is parsed in its zone.
#[tokio::test]
async fn a_literal_keeps_its_zone_when_a_table_changes() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE TABLE warehouse.t (at timestamptz); INSERT INTO warehouse.t VALUES ('2025-05-31 22:00Z'), ('2025-06-01Z');
             GRANT SELECT ON warehouse.t TO metricd_reader",
        )
        .await?;
    let config = RunnerConfig { max_connections: 1, ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    let sql = "SELECT count(*) AS n FROM t WHERE at >= '2025-06-01'";
    for change in ["SELECT 1", "ALTER TABLE warehouse.t ADD COLUMN more integer", "ANALYZE warehouse.t"] {
        client.batch_execute(change).await?;
        for (name, n) in [(None, 1), (Some("Europe/Berlin"), 2), (None, 1), (Some("Asia/Kolkata"), 2)] {
            let found = run(&runner, &plain(sql, name)?).await?;
            assert_eq!(found, format!(r#"[{{"n":{n}}}]"#), "{change} {name:?}");
        }
    }
    Ok(())
}

/// PostgreSQL keeps the plans of a function for the session, with its literals as they were read in the first zone.
#[tokio::test]
async fn a_function_reads_its_literals_in_the_zone_of_the_request() -> Result<()> {
    let database = TestDatabase::new().await?;
    database
        .connect()
        .await?
        .batch_execute(
            "CREATE FUNCTION warehouse.opened() RETURNS timestamptz LANGUAGE plpgsql STABLE
                 AS $$ BEGIN RETURN timestamptz '2025-06-01 00:00'; END $$;
             CREATE TABLE warehouse.visits (at timestamptz);
             INSERT INTO warehouse.visits VALUES ('2025-05-31 20:00Z'), ('2025-05-31 23:00Z'), ('2025-06-01 01:00Z');
             GRANT SELECT ON warehouse.visits TO metricd_reader",
        )
        .await?;
    let config = RunnerConfig { max_connections: 1, ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?;
    let sql = "SELECT opened() AS at, (SELECT count(*) FROM visits WHERE at >= opened()) AS n";
    let (berlin, kolkata) = (Some("Europe/Berlin"), Some("Asia/Kolkata"));
    let answer = |name: Option<&str>| match name {
        None => r#"[{"at":"2025-06-01T00:00:00Z","n":1}]"#,
        Some("Europe/Berlin") => r#"[{"at":"2025-05-31T22:00:00Z","n":2}]"#,
        Some(_) => r#"[{"at":"2025-05-31T18:30:00Z","n":3}]"#,
    };
    for name in [berlin, None, kolkata, berlin, berlin, None, None, kolkata] {
        assert_eq!(run(&runner, &plain(sql, name)?).await?, answer(name), "{name:?}");
    }
    let mixed = [berlin, None, kolkata, None, berlin];
    let found = batch(&runner, &mixed.map(|name| (sql, name))).await?;
    assert_eq!(found, mixed.map(answer));
    assert_eq!(run(&runner, &plain(sql, None)?).await?, answer(None));
    Ok(())
}

async fn batch(runner: &PgRunner, of: &[(&str, Option<&str>)]) -> Result<Vec<String>> {
    let statements = of.iter().map(|(sql, name)| plain(sql, *name)).collect::<Result<Vec<_>>>()?;
    let mut sinks: Vec<_> = of.iter().map(|_| JsonRows::default()).collect();
    let limits = RunLimits::default();
    let runs = statements.iter().zip(&mut sinks).map(|(statement, sink)| SnapshotRun { statement, limits, sink });
    let outcome = runner.run_on_one_snapshot(runs.collect(), None, Duration::from_secs(20), permits()).await?;
    let outcomes = outcome.outcomes.into_iter().zip(sinks);
    let answer = |(outcome, sink): (Result<_, RunError>, JsonRows)| match outcome {
        Ok(_) => String::from_utf8_lossy(&sink.finish()).into_owned(),
        Err(error) => error.to_string(),
    };
    Ok(outcomes.map(answer).collect())
}

/// Statements in different zones share a snapshot, cheap ones and expensive ones, beside one that fails.
#[tokio::test]
async fn each_statement_of_a_snapshot_runs_in_its_zone() -> Result<()> {
    let database = TestDatabase::new().await?;
    let pooler = Pooler::listen(&database, 2, StartupOptions::Ignored).await?;
    let dear = "SELECT timestamptz '2025-06-01 00:00' AS at, current_setting('timezone') AS zone
                FROM (SELECT count(*) FROM generate_series(1, 300000) AS a, generate_series(1, 4) AS b) AS s";
    let failing = "SELECT 1 / (SELECT 0) AS n";
    let (berlin, kolkata) = (Some("Europe/Berlin"), Some("Asia/Kolkata"));
    let mixed = [
        (LITERAL, None),
        (LITERAL, berlin),
        (failing, kolkata),
        (LITERAL, berlin),
        (dear, kolkata),
        (LITERAL, None),
        (dear, None),
        (failing, None),
        (dear, berlin),
        (LITERAL, kolkata),
    ];
    for of in [&mixed[..], &mixed[..2], &[(LITERAL, berlin), (LITERAL, berlin)], &[(LITERAL, None), (LITERAL, None)]] {
        for reader in [&database.reader, &pooler.reader] {
            for max_connections in [1, 4] {
                let config = RunnerConfig {
                    max_connections,
                    acquire_timeout: Duration::from_secs(20),
                    ..RunnerConfig::default()
                };
                let runner = PgRunner::new(reader, config)?.exporting_as(&database.owner)?;
                for _ in 0..2 {
                    for ((sql, name), found) in of.iter().zip(batch(&runner, of).await?) {
                        if *sql == failing {
                            assert!(found.contains("22012"), "{found}");
                        } else {
                            assert_eq!(found, literal(name.unwrap_or("UTC")), "{sql}");
                        }
                    }
                    assert_eq!(run(&runner, &plain(LITERAL, None)?).await?, literal("UTC"));
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_zone_ends_with_its_request_behind_a_pooler() -> Result<()> {
    for options in [StartupOptions::Ignored, StartupOptions::Refused] {
        let database = TestDatabase::new().await?;
        let pooler = Pooler::listen(&database, 2, options).await?;
        for server in ["UTC", "Asia/Kolkata"] {
            let config = RunnerConfig { time_zone: TimeZone::parse(server)?, ..RunnerConfig::default() };
            let runner = PgRunner::new(&pooler.reader, config)?;
            for turn in 0..4 {
                for name in [None, Some("Europe/Berlin"), None] {
                    let found = run(&runner, &plain(LITERAL, name)?).await?;
                    assert_eq!(found, literal(name.unwrap_or(server)), "{turn}");
                }
                let failed = run(&runner, &plain("SELECT 1 / (SELECT 0) AS n", Some("Europe/Berlin"))?).await;
                assert!(failed.is_err());
            }
        }
    }
    Ok(())
}

/// The zone of the server is that of each session, and of statements without a zone in a batch.
#[tokio::test]
async fn sessions_begin_in_the_zone_of_the_server() -> Result<()> {
    let database = TestDatabase::new().await?;
    let config = RunnerConfig { time_zone: TimeZone::parse("Europe/Berlin")?, ..RunnerConfig::default() };
    let runner = PgRunner::new(&database.reader, config)?.exporting_as(&database.owner)?;
    for _ in 0..3 {
        assert_eq!(run(&runner, &plain(LITERAL, None)?).await?, literal("Europe/Berlin"));
    }
    let found = batch(&runner, &[(LITERAL, None), (LITERAL, Some("UTC")), (LITERAL, None)]).await?;
    assert_eq!(found, [literal("Europe/Berlin"), literal("UTC"), literal("Europe/Berlin")]);
    Ok(())
}

#[tokio::test]
async fn the_database_lists_its_zones() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let zones = runner.time_zones().await?;
    let find = |name: &str| zones.find(&TimeZone::parse(name)?).map(|zone| zone.to_string());
    assert_eq!(find("europe/berlin").as_deref(), Ok("Europe/Berlin"));
    assert_eq!(find("UTC").as_deref(), Ok("UTC"));
    for unknown in ["Europe/Atlantis", "Foo-1/Bar"] {
        assert!(find(unknown).is_err(), "{unknown}");
    }
    Ok(())
}
