//! `metricd check`: drift of stored definitions.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::support::{Server, connect_as_owner, definitions, folder, metricd, run, write};

#[actix_web::test]
async fn drift_is_reported_and_has_its_own_exit_code() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(metricd(&data_dir).arg("--no-sample"))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner
        .batch_execute(
            "CREATE TABLE warehouse.orders (placed date, total numeric, status text);
             CREATE FUNCTION warehouse.net(gross numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT gross * 0.8'",
        )
        .await?;
    let files = definitions(folder.path(), "SELECT placed, sum(net(total)) AS net FROM orders GROUP BY placed")?;
    write(&files, "more.csv", "id,query\nunused,SELECT status FROM orders\n")?;
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").arg(&files))?;
    assert!(code == 0 && report.contains("nothing was refused"), "{report}{error}");

    let check = |arguments: &[&str]| run(metricd(&data_dir).arg("check").args(arguments));
    let (code, report, error) = check(&[])?;
    assert_eq!(
        (code, report.as_str(), error.as_str()),
        (0, "validated 1 metrics and 1 queries that no metric reads: nothing has drifted\n", "")
    );

    // Privileges on single columns count as well.
    owner
        .batch_execute("REVOKE SELECT ON warehouse.orders FROM metricd_reader; GRANT SELECT (status) ON warehouse.orders TO metricd_reader")
        .await?;
    let (code, report, _) = check(&[])?;
    assert!(code == 2 && report.contains("cannot run it: permission denied"), "{report}");
    assert!(report.ends_with("1 drifted\n"), "the query of `status` can be run: {report}");
    owner.batch_execute("GRANT SELECT ON warehouse.orders TO metricd_reader").await?;
    assert_eq!(check(&[])?.0, 0);

    owner.batch_execute("ALTER TABLE warehouse.orders ALTER placed TYPE timestamp").await?;
    let (code, report, _) = check(&[])?;
    assert_eq!(code, 2, "{report}");
    assert!(report.contains("the column `placed` was `date` and is `timestamp without time zone`"), "{report}");

    owner.batch_execute("ALTER FUNCTION warehouse.net VOLATILE; ALTER TABLE warehouse.orders DROP status").await?;
    let (code, report, _) = check(&["--format", "json"])?;
    let report: serde_json::Value = serde_json::from_str(&report)?;
    assert_eq!((code, report["drifts"].as_array().map(Vec::len)), (2, Some(2)), "{report}");
    assert!(
        report["drifts"][0]["messages"][0].as_str().unwrap_or_default().contains("sql-function-not-allowed"),
        "{report}"
    );
    assert!(report["drifts"][1]["messages"][0].as_str().unwrap_or_default().contains("status"), "{report}");

    // SQL that was stored without validation is reported as well.
    owner.batch_execute("UPDATE catalog.queries SET sql = 'SELECT current_user AS who' WHERE query_id = 'q1'").await?;
    let (code, report, _) = check(&[])?;
    assert!(code == 2 && report.contains("sql-function-not-allowed"), "{report}");
    drop(server);
    Ok(())
}

#[test]
fn a_command_that_reads_creates_no_database() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("typo");
    let commands: [&[&str]; 4] = [
        &["check"],
        &["openapi", "--metric", "m1"],
        &["openapi", "--dashboard", "d1"],
        &["purge", "--older-than", "0s"],
    ];
    for command in commands {
        let (code, printed, error) = run(metricd(&data_dir).args(command))?;
        assert_eq!((code, printed.as_str()), (1, ""), "{command:?}");
        assert!(error.contains("there is no database in"), "{error}");
        assert!(!data_dir.exists(), "{command:?}");
    }
    let (code, printed, _) = run(metricd(&data_dir).args(["migrate", "--harden", "--dry-run"]))?;
    assert!(code == 0 && printed.contains("nothing would change"), "{printed}");
    assert!(!data_dir.exists());

    // A dry run needs a PostgreSQL to validate with. The temporary one leaves nothing behind.
    let (files, temporary) =
        (definitions(folder.path(), "SELECT count(*) AS n FROM generate_series(1, 3)")?, folder.path().join("tmp"));
    fs::create_dir(&temporary)?;
    let validate =
        |path: &Path| run(metricd(&data_dir).env("TMPDIR", &temporary).args(["ingest", "--dry-run"]).arg(path));
    let (code, report, error) = validate(&files)?;
    assert!(code == 0 && report.contains("dry run: nothing is stored; nothing was refused"), "{report}{error}");
    let wrong = write(folder.path(), "wrong.csv", "id,query\nq1,SELECT nosuch FROM generate_series(1, 3)\n")?;
    let (code, report, _) = validate(&wrong)?;
    assert!(code == 2 && report.contains("nosuch"), "{report}");
    assert!(!data_dir.exists());
    assert_eq!(fs::read_dir(&temporary)?.count(), 0);

    assert_eq!(run(metricd(&data_dir).arg("migrate"))?.0, 0);
    let (code, printed, _) = run(metricd(&data_dir).arg("check"))?;
    assert_eq!(
        (code, printed.as_str()),
        (0, "there is nothing to validate: the database has no metrics and no queries\n")
    );
    assert!(fs::read_dir(&data_dir)?.count() > 0);
    Ok(())
}
