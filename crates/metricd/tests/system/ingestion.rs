//! `metricd ingest`, with and without a server.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::support::{Server, connect_as_owner, definitions, eventually, folder, metricd, run, write};

#[actix_web::test]
async fn a_running_server_serves_what_is_ingested() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    assert_eq!(server.get("/metrics/m1").await?.0, 404);
    let files = definitions(folder.path(), "SELECT 1 AS one")?;
    let (code, _, error) = run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert_eq!((code, error.as_str()), (0, ""));
    let (status, result) = server.get("/metrics/m1").await?;
    assert_eq!((status, &result["rows"][0]["one"]), (200, &1.into()));

    definitions(folder.path(), "SELECT 2 AS two")?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    let is_changed = || async { Ok(server.get("/metrics/m1").await?.1["rows"][0]["two"] == 2) };
    eventually("the changed SQL is run", is_changed).await?;
    server.stop(Signal::SIGTERM)?;

    let (code, report, _) = run(metricd(&data_dir).args(["ingest", "--format", "json"]).arg(&files))?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    assert_eq!((code, &report["queries"]["unchanged"]), (0, &1.into()), "without a server as well");
    Ok(())
}

#[actix_web::test]
async fn an_ingestion_logs_that_it_waits_for_another_one() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let files = definitions(folder.path(), "SELECT 1 AS one")?;
    // The lock that an ingestion holds until its transaction ends.
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("BEGIN; LOCK TABLE catalog.ingestions IN SHARE ROW EXCLUSIVE MODE").await?;
    let mut command = metricd(&data_dir);
    let mut process = command.arg("ingest").arg(&files).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let lines = BufReader::new(process.stderr.take().context("a pipe")?).lines();
    let (sender, logged) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = logged.recv_timeout(Duration::from_secs(30)).context("nothing is logged")?;
    assert!(line.contains("waiting for another ingestion to end"), "{line}");
    assert_eq!(process.try_wait()?, None, "it waits");
    owner.batch_execute("ROLLBACK").await?;
    let mut report = String::new();
    process.stdout.take().context("a pipe")?.read_to_string(&mut report)?;
    assert!(process.wait()?.success() && report.contains("stored as ingestion"), "{report}");
    assert!(logged.iter().all(|line| !line.contains("another ingestion")), "it is logged once");
    server.stop(Signal::SIGTERM)?;
    Ok(())
}

#[actix_web::test]
async fn a_report_is_stored() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let files = write(folder.path(), "queries.csv", "id,query\nq1,\nq2,SELECT 2\n")?;
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    for strict in [false, true] {
        let mut command = metricd(&data_dir);
        command.args(["ingest", "--format", "json"]).arg(&files).args(strict.then_some("--strict"));
        let (code, report, _) = run(&mut command)?;
        let report: serde_json::Value = serde_json::from_str(&report)?;
        assert_eq!(code, if strict { 2 } else { 0 });
        assert_eq!(report["outcome"], if strict { "refused" } else { "stored" });
        let id = report["ingestion_id"].as_str().context("an id")?;
        // Over HTTP, a report names files without their folders.
        let (status, returned) = server.get(&format!("/ingestions/{id}")).await?;
        assert!(!returned.to_string().contains(folder.path().to_str().context("a path")?), "{returned}");
        assert_eq!((status, &returned["files"][0]["file"]), (200, &"queries.csv".into()));
        assert_eq!((&returned["refusal_count"], &returned["queries"]), (&report["refusal_count"], &report["queries"]));
        assert_eq!(returned["refusals"][0]["reason"], report["refusals"][0]["reason"]);
    }
    Ok(())
}

#[test]
fn strict_mode_and_a_dry_run_store_nothing() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let files = write(folder.path(), "queries.csv", "id,query\nq1,\nq2,SELECT 2\n")?;
    for (flags, code) in
        [(["--strict", "--format=text"], 2), (["--dry-run", "--format=text"], 0), (["--dry-run", "--strict"], 2)]
    {
        let (found, report, _) = run(metricd(&data_dir).arg("ingest").args(flags).arg(&files))?;
        assert_eq!(found, code, "{flags:?}: {report}");
        assert!(report.contains("1 added, 1 refused") && report.contains("nothing is stored"), "{report}");
    }
    let (_, report, _) = run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert!(report.contains("1 added, 1 refused"), "nothing was stored before: {report}");
    Ok(())
}

#[test]
fn an_impossible_call_is_reported_and_starts_no_database() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let (code, _, error) = run(metricd(&data_dir).arg("ingest").arg(folder.path().join("none.csv")))?;
    assert_eq!(code, 1);
    assert!(error.ends_with("none.csv`: no such file or directory\n"), "{error}");
    let (code, _, error) = run(metricd(&data_dir).arg("ingest").arg(folder.path()))?;
    assert_eq!(code, 1);
    assert!(error.contains("has no file to read: none ends in .json, .csv,"), "{error}");
    let (code, _, error) = run(metricd(&data_dir).arg("ingest"))?;
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("PATH"), "{error}");
    assert!(!data_dir.exists());
    Ok(())
}

#[test]
fn a_killed_ingestion_leaves_the_old_state_or_the_new_one() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let mut records = String::from("id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category\n");
    for number in 0..20_000 {
        writeln!(records, "q1,2025-06-01,{number}.5,,,,")?;
    }
    let files = definitions(folder.path(), "SELECT 1")?;
    write(&files, "records.csv", &records)?;
    let counts = |report: &str| -> Result<(u64, u64)> {
        let report: serde_json::Value = serde_json::from_str(report)?;
        let added = |counts: &serde_json::Value| counts["added"].as_u64().context("a count");
        Ok((added(&report["queries"])?, added(&report["tables"][0]["rows"])?))
    };
    let dry_run = |data_dir| run(metricd(data_dir).args(["ingest", "--dry-run", "--format=json"]).arg(&files));
    assert_eq!(counts(&dry_run(&data_dir)?.1)?, (1, 20_000), "nothing is stored yet");
    let mut states = Vec::new();
    for milliseconds in [0, 30, 80, 120, 160, 200, 260, 350] {
        let mut process =
            metricd(&data_dir).arg("ingest").arg(&files).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        process.kill()?;
        process.wait()?;
        let state = counts(&dry_run(&data_dir)?.1)?;
        assert!(state == (1, 20_000) || state == (0, 0), "after {milliseconds} ms: {state:?}");
        states.push(state);
    }
    run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert_eq!(counts(&dry_run(&data_dir)?.1)?, (0, 0));
    Ok(())
}

#[actix_web::test]
async fn an_ingestion_is_retried_when_the_database_that_it_joined_stops() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let files = definitions(folder.path(), "SELECT 1 AS one")?;
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    // Not a lock of this connection: PostgreSQL ends both connections, and the ingestion could have the lock in between.
    let until_restarted = "DO $$ BEGIN EXECUTE format('
             CREATE FUNCTION catalog.wait_until_restarted() RETURNS trigger LANGUAGE plpgsql AS $f$
             BEGIN
                 IF pg_postmaster_start_time() = %L::timestamptz THEN PERFORM pg_sleep(60); END IF;
                 RETURN NULL;
             END $f$', pg_postmaster_start_time()); END $$;
         CREATE TRIGGER wait_until_restarted AFTER INSERT ON catalog.ingestions
             EXECUTE FUNCTION catalog.wait_until_restarted()";
    owner.batch_execute(until_restarted).await?;
    let mut command = metricd(&data_dir);
    let ingesting = command.arg("ingest").arg(&files).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')";
    let is_waiting = || async { Ok(owner.query_one(waiting, &[]).await?.get(0)) };
    eventually("the ingestion waits", is_waiting).await?;
    server.stop(Signal::SIGTERM)?;
    let output = ingesting.wait_with_output()?;
    let error = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(String::from_utf8(output.stdout)?.contains("1 read: 1 added"), "{error}");
    assert!(error.contains("the ingestion is retried"), "{error}");

    let again = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    assert_eq!(again.get("/metrics/m1").await?.0, 200);
    Ok(())
}

#[actix_web::test]
async fn an_ingestion_is_not_retried_if_the_database_cannot_validate_its_sql() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let files = definitions(folder.path(), "SELECT count(*) AS n FROM metrics")?;
    let _server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("CREATE TABLE warehouse.metrics (id text)").await?;
    owner.batch_execute("BEGIN; LOCK TABLE warehouse.metrics").await?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert_eq!((code, report.as_str()), (1, ""));
    let expected = "the database was not available for validation, and nothing was stored";
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains("is retried") && !error.contains("input"), "{error}");
    owner.batch_execute("ROLLBACK").await?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(&files))?.0, 0);
    Ok(())
}

#[test]
fn concurrent_ingestions_without_a_server_are_all_stored() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let mut ingesting = Vec::new();
    for number in 0..4 {
        let file = write(folder.path(), &format!("q{number}.csv"), &format!("id,query\nq{number},SELECT {number}\n"))?;
        let mut command = metricd(&data_dir);
        ingesting.push(command.arg("ingest").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    }
    for process in ingesting {
        let output = process.wait_with_output()?;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8(output.stderr)?);
        assert!(String::from_utf8(output.stdout)?.contains("1 added"));
    }
    Ok(())
}
