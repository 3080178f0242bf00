//! On a PostgreSQL that accepts connections with TLS only.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use metricd_test_support::tls::{Authority, Subject, TlsServer};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Server, eventually, folder, metricd, run};

fn command(server: &TlsServer, data_dir: &Path, roots: &Path) -> Command {
    let url = |role: &str| {
        let (port, roots) = (server.port(), roots.display());
        format!("postgres://{role}:pw@localhost:{port}/metrics?sslrootcert={roots}&channel_binding=require")
    };
    let mut command = metricd(data_dir);
    command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true");
    command.env("DATABASE_URL", url("owner"));
    command.env("READER_DATABASE_URL", url("reader"));
    command
}

#[actix_web::test]
async fn everything_works_over_tls() -> Result<()> {
    let root = Authority::new("the root")?;
    let rule = "hostssl all all all scram-sha-256";
    let server = TlsServer::start(&root.issue(&Subject::default())?, &root, rule).await?;
    server.superuser.batch_execute("CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'pw'").await?;
    server.superuser.batch_execute("CREATE DATABASE metrics OWNER owner").await?;
    let roots = server.write("root.crt", &root.pem())?;
    let foreign = server.write("foreign.crt", &Authority::new("a foreign root")?.pem())?;
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let command = || command(&server, &data_dir, &roots);

    let (code, _, error) = run(self::command(&server, &data_dir, &foreign).arg("migrate"))?;
    assert!(code == 1 && error.contains("unknown authority, `the root`: give the authority's certificate"), "{error}");
    let (code, printed, error) = run(command().arg("migrate"))?;
    assert_eq!((code, error.as_str()), (0, ""), "{printed}");
    // Definitions, and records through COPY.
    let (code, printed, error) = run(command().arg("ingest").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data")))?;
    assert_eq!(code, 0, "{printed}{error}");
    assert!(printed.contains("records"), "{printed}");

    // The same without the password and the authority in the URL, as libpq completes it.
    let port = server.port();
    let services = server.write("services", &format!("[metrics]\nhost=localhost\nport={port}\ndbname=metrics\n"))?;
    let passwords = server.write("passwords", &format!("localhost:{port}:metrics:*:pw\n"))?;
    let completed = |passwords: &Path| {
        let mut command = command();
        command.env("DATABASE_URL", "postgres://owner@/?service=metrics").env("READER_DATABASE_URL", "postgres://");
        command.env("PGUSER", "reader").env("PGSERVICE", "metrics").env("PGSERVICEFILE", &services);
        command.env("PGPASSFILE", passwords).env("PGSSLROOTCERT", &roots).env("PGCHANNELBINDING", "require");
        command
    };
    let (code, printed, error) = run(completed(&passwords).arg("migrate"))?;
    assert_eq!((code, error.as_str()), (0, ""), "{printed}");
    let (code, _, error) = run(completed(Path::new("/nowhere")).arg("migrate"))?;
    assert!(code == 1 && error.contains("password"), "{error}");

    let metricd = Server::start(&mut command())?;
    let (status, result) = metricd.get("/metrics/alerts-by-type").await?;
    assert!(status == 200 && result["rows"] != json!([]), "{result}");
    assert_eq!(metricd.get("/health/ready").await?.0, 200);

    let sessions = "SELECT DISTINCT application_name, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                    WHERE usename IN ('owner', 'reader') ORDER BY application_name";
    let sessions = server.superuser.query(sessions, &[]).await?;
    let sessions: Vec<(String, bool)> = sessions.iter().map(|row| (row.get(0), row.get(1))).collect();
    let expected = ["metricd", "metricd catalog", "metricd watch"].map(|name| (name.to_owned(), true));
    assert_eq!(sessions, expected, "the runner, the catalog on libpq, and the listener");

    // Sessions that the server ends are replaced, those of the catalog as well.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('owner', 'reader')";
    server.superuser.query(end, &[]).await?;
    let serves = || async {
        let statuses = (metricd.get("/metrics?limit=1").await?.0, metricd.get("/metrics/alerts-by-type").await?.0);
        Ok(statuses == (200, 200))
    };
    eventually("metricd serves with new sessions", serves).await?;
    assert_eq!(metricd.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}
