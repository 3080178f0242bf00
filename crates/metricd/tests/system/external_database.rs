//! The program on the operator's own PostgreSQL.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use metricd_embedded::{Cluster, ConnectionInfo, Search};
use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use tokio_postgres::NoTls;

use crate::support::{Server, definitions, eventually, folder, metricd, run};

pub(crate) fn cluster() -> Result<Cluster> {
    Ok(Cluster::ephemeral(&Search::system(std::env::var_os("PATH")), &["reader"])?)
}

pub(crate) fn external_metricd(connection: &ConnectionInfo, data_dir: &Path) -> Result<Command> {
    let mut command = metricd(data_dir);
    command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true");
    command.env("DATABASE_URL", connection.owner_url("postgres")?.expose_secret());
    command.env("READER_DATABASE_URL", connection.url("reader", "postgres")?.expose_secret());
    Ok(command)
}

#[actix_web::test]
async fn an_external_database_is_changed_only_on_request() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let command = || external_metricd(cluster.connection(), &data_dir);

    let (code, _, error) = run(&mut command()?)?;
    assert_eq!(code, 1);
    assert!(error.contains("run `metricd migrate`"), "{error}");

    let migrations = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"))?.count();
    for applied in [migrations, 0] {
        let (code, printed, error) = run(command()?.arg("migrate"))?;
        assert_eq!((code, error.as_str()), (0, ""));
        assert_eq!(printed.matches("applied migration").count(), applied, "{printed}");
    }
    let server = Server::start(&mut command()?)?;
    assert!(!server.greeting.contains("added"), "the sample is not loaded: {}", server.greeting);
    let files = definitions(folder.path(), "SELECT 'nobody' AS who")?;
    assert_eq!(run(command()?.arg("ingest").arg(&files))?.0, 0);
    // SQL that the guard would refuse.
    let url = cluster.connection().owner_url("postgres")?;
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
    actix_web::rt::spawn(connection);
    client.execute("UPDATE catalog.queries SET sql = 'SELECT current_user::text AS who'", &[]).await?;
    let is_reader = || async { Ok(server.get("/metrics/m1").await?.1["rows"][0]["who"] == "reader") };
    eventually("the changed SQL is run, as the reader", is_reader).await?;
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    assert!(!data_dir.exists(), "no private database is created");
    Ok(())
}

#[actix_web::test]
async fn hardening_lists_what_it_revokes_and_can_be_undone() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let call =
        |arguments: &[&str]| run(external_metricd(cluster.connection(), &data_dir)?.arg("migrate").args(arguments));

    let (code, _, error) = call(&["--harden", "--dry-run"])?;
    assert!(code == 1 && error.contains("run `metricd migrate`"), "a dry run creates no schema: {error}");
    assert_eq!(call(&[])?.0, 0);
    let (code, planned, _) = call(&["--harden", "--dry-run"])?;
    assert_eq!(code, 0);
    for part in
        ["EXECUTE on pg_catalog.lo_create(oid)", "TEMPORARY on database", "`reader`: all", "Superusers keep them"]
    {
        assert!(planned.contains(part), "{planned}");
    }
    let (code, script, _) = call(&["--harden", "--dry-run", "--format", "sql"])?;
    assert!(code == 0 && script.starts_with("BEGIN;") && script.contains("REVOKE EXECUTE ON FUNCTION"), "{script}");

    let (code, printed, error) = call(&["--harden"])?;
    assert_eq!(code, 1);
    assert!(printed.contains("lo_create") && error.contains("give --yes") && error.lines().count() == 1, "{error}");
    assert_eq!(call(&["--harden", "--dry-run"])?.1, planned, "nothing has changed");
    let log = Server::start(&mut external_metricd(cluster.connection(), &data_dir)?)?.log()?;
    for part in ["is not hardened", "temporary, advisory-locks, settings", "run `metricd migrate --harden`"] {
        assert!(log.contains(part), "{log}");
    }

    let (code, printed, _) = call(&["--harden", "--yes"])?;
    assert!(code == 0 && printed.contains("privileges were revoked"), "{printed}");
    for again in [&["--harden"] as &[_], &["--harden", "--yes"], &["--harden", "--dry-run"]] {
        let (code, printed, _) = call(again)?;
        assert!(code == 0 && printed.contains("PUBLIC has no privilege to revoke"), "{printed}");
    }
    let log = Server::start(&mut external_metricd(cluster.connection(), &data_dir)?)?.log()?;
    assert!(!log.contains("hardened"), "{log}");
    let (code, printed, _) = call(&["--undo-hardening", "--dry-run"])?;
    assert!(code == 0 && printed.contains("EXECUTE on pg_catalog.lo_create(oid)"), "{printed}");
    let (code, printed, _) = call(&["--undo-hardening", "--yes"])?;
    assert!(code == 0 && printed.contains("privileges were granted back"), "{printed}");
    assert_eq!(call(&["--harden", "--dry-run"])?.1, planned);
    let (code, printed, _) = call(&["--undo-hardening"])?;
    assert!(code == 0 && printed.contains("nothing to grant back"), "{printed}");
    Ok(())
}

#[test]
fn errors_about_urls_contain_no_password() -> Result<()> {
    let folder = folder()?;
    let url = "postgres://ann:s3cret@127.0.0.1:1/metricd";
    let cases = [
        (vec![("DATABASE_URL", url)], "READER_DATABASE_URL is not"),
        (vec![("READER_DATABASE_URL", url)], "DATABASE_URL is not"),
        (vec![("DATABASE_URL", "s3cret")], "expected `postgres://user:password@host:port/database`"),
        (vec![("DATABASE_URL", "postgres://ann:s3cret@h:x/m")], "expected a port from 0 to 65535 after the host"),
        (vec![("DATABASE_URL", "postgres://ann:s3cret@h/m?sslmode=require&sslrootcert=system")], "sslmode=verify-full"),
        (
            vec![("DATABASE_URL", url), ("READER_DATABASE_URL", url)],
            "cannot connect to `metricd` on 127.0.0.1 as `ann`",
        ),
    ];
    for (environment, expected) in cases {
        let (code, printed, error) =
            run(metricd(folder.path()).env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true").envs(environment))?;
        // A malformed URL is a wrong command line. A missing URL or an unreachable database is not.
        assert_eq!(
            code,
            if ["expected", "sslmode"].iter().any(|value| expected.starts_with(value)) { 2 } else { 1 },
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
        assert!(!format!("{printed}{error}").contains("s3cret"), "{error}");
    }
    let (code, _, error) = run(metricd(folder.path()).args(["--database-url", url]))?;
    assert_eq!(code, 2);
    assert!(error.contains("set DATABASE_URL instead of --database-url") && !error.contains("s3cret"), "{error}");
    Ok(())
}
