//! The catalog and the data apart: on a standby of the catalog's server, and in another database.

use std::process::Command;

use anyhow::{Context, Result};
use metricd_embedded::Cluster;
use metricd_test_support::Standby;
use nix::sys::signal::Signal;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::definitions::call;
use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, definitions, eventually, folder, run, write};

const SECRET: &str = "correct horse battery staple, and then some";

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    actix_web::rt::spawn(connection);
    Ok(client)
}

pub(crate) async fn owner_of(cluster: &Cluster, database: &str) -> Result<Client> {
    connect(cluster.connection().owner_url(database)?.expose_secret()).await
}

/// The validator of a result.
async fn tag_of(server: &Server, path: &str) -> Result<HeaderValue> {
    let response = reqwest::get(format!("{}{path}", server.address)).await?;
    response.headers().get(ETAG).cloned().context("a validator")
}

/// The status of a request of a client that has the result with this validator.
async fn tagged(server: &Server, path: &str, tag: &HeaderValue) -> Result<u16> {
    let request = reqwest::Client::new().get(format!("{}{path}", server.address)).header(IF_NONE_MATCH, tag.clone());
    Ok(request.send().await?.status().as_u16())
}

#[actix_web::test]
async fn metrics_read_a_standby_of_the_catalogs_server() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let standby = Standby::of(&cluster).await?;
    let reader = standby.url(&cluster, "reader", "postgres")?;
    let command = |arguments: &[&str]| -> Result<Command> {
        let mut command = external_metricd(cluster.connection(), &data_dir)?;
        command.env("READER_DATABASE_URL", &reader).args(arguments);
        Ok(command)
    };
    // The reader is prepared on the primary, and the standby replays it.
    let (code, printed, error) = run(&mut command(&["migrate"])?)?;
    assert!(code == 0 && printed.contains("`reader` may read the schema `warehouse`"), "{printed}{error}");
    let (code, page, error) = run(&mut command(&["connect"])?)?;
    assert!(code == 0 && page.ends_with("\nThe database is ready for `metricd serve`.\n"), "{page}{error}");
    assert!(page.contains("\n  data         on a standby, 127.0.0.1:"), "{page}");

    let primary = owner_of(&cluster, "postgres").await?;
    primary
        .batch_execute(
            "CREATE TABLE warehouse.sales AS SELECT n AS id, n % 7 AS shop FROM generate_series(1, 1000) AS n;
             GRANT SELECT ON warehouse.sales TO reader",
        )
        .await?;
    standby.catch_up(&cluster).await?;
    let server = Server::start(&mut command(&[])?)?;
    let (status, ready) = server.get("/health/ready").await?;
    assert!(ready["checks"]["data"].as_str().is_some_and(|data| data.starts_with("on a standby")), "{ready}");
    assert_eq!(status, 200);
    for (id, sql) in [
        ("count", "SELECT count(*) AS n FROM sales"),
        ("place", "SELECT count(*) AS n FROM sales WHERE id > 0"),
        ("shops", "SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY shop"),
        // Expensive enough for a connection of its own.
        ("pairs", "SELECT count(*) AS n FROM sales a JOIN sales b ON a.shop <> b.id"),
    ] {
        let metric = json!({"id": id, "title": id, "sql": sql});
        let (status, _, created) = call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?;
        assert_eq!(status, 201, "{created}");
    }
    let count = async || Ok::<_, anyhow::Error>(server.get("/metrics/count").await?.1["rows"][0]["n"].clone());
    assert_eq!(count().await?, 1_000);
    // The rows are those of the standby: it does not replay for a while.
    let replica = standby.connect(&cluster).await?;
    replica.batch_execute("SELECT pg_wal_replay_pause()").await?;
    primary.batch_execute("INSERT INTO warehouse.sales VALUES (1001, 1)").await?;
    assert_eq!(count().await?, 1_000);
    let tag = tag_of(&server, "/metrics/count").await?;
    assert_eq!(tagged(&server, "/metrics/count", &tag).await?, 304, "the result is the same");
    replica.batch_execute("SELECT pg_wal_replay_resume()").await?;
    standby.catch_up(&cluster).await?;
    assert_eq!(count().await?, 1_001);

    assert_eq!(tagged(&server, "/metrics/count", &tag).await?, 200, "the result is another one");

    one_snapshot(&server, &primary).await?;
    let log = server.log()?;
    assert!(log.contains("the data is on a standby") && !log.contains("no snapshot can be shared"), "{log}");

    // The key that signs tenants is that of the primary.
    primary
        .batch_execute(
            "ALTER TABLE warehouse.sales ENABLE ROW LEVEL SECURITY;
             CREATE POLICY of_tenant ON warehouse.sales USING (shop::text = (SELECT tenancy.current_tenant()))",
        )
        .await?;
    standby.catch_up(&cluster).await?;
    let mut of_tenants = command(&["--tenant-claim", "shop"])?;
    of_tenants.env_remove("METRICD_INSECURE_ALLOW_ANONYMOUS").env("METRICD_JWT_SECRET", SECRET);
    let server = Server::start(&mut of_tenants)?;
    for shop in ["1", "2"] {
        let mut token = command(&["token", "--subject", shop, "--scope", "metrics:read"])?;
        let token = token.args(["--tenant-claim", "shop", "--tenant", shop]).env("METRICD_JWT_SECRET", SECRET);
        let (code, token, error) = run(token)?;
        assert_eq!(code, 0, "{error}");
        let result = reqwest::Client::new().get(format!("{}/metrics/shops", server.address)).bearer_auth(token.trim());
        let result: Value = result.send().await?.json().await?;
        let shops: Vec<_> =
            result["rows"].as_array().into_iter().flatten().map(|row| row["shop"].to_string()).collect();
        assert_eq!(shops, [shop], "{result}");
    }

    // A promoted standby has a history of its own: it is no longer the catalog's database.
    standby.promote(&cluster).await?;
    eventually("the server notices", || async { Ok(server.get("/health/ready").await?.0 == 503) }).await?;
    let (_, ready) = server.get("/health/ready").await?;
    assert!(ready["checks"]["data"].as_str().is_some_and(|data| data.contains("was promoted")), "{ready}");
    let log = server.log()?;
    assert_eq!(log.matches("the data has moved, for example").count(), 1, "{log}");
    let (code, page, _) = run(&mut command(&["connect"])?)?;
    assert!(code == 2 && page.starts_with("Catalog\n") && page.contains("\nData\n"), "{page}");
    for arguments in [&["serve"] as &[_], &["check"]] {
        let (code, _, error) = run(&mut command(arguments)?)?;
        assert!(code == 1 && error.contains("stored SQL was validated in `postgres`"), "{error}");
    }
    // It is on purpose.
    let (code, printed, error) = run(&mut command(&["migrate"])?)?;
    assert!(code == 0 && printed.contains("run `metricd check`"), "{printed}{error}");
    let (code, printed, error) = run(&mut command(&["check"])?)?;
    assert!(code == 0 && printed.contains("validated 4 metrics"), "{printed}{error}");
    let (code, _, error) = run(command(&["check"])?.env_remove("READER_DATABASE_URL"))?;
    assert!(code == 1 && error.contains("without READER_DATABASE_URL"), "{error}");
    Ok(())
}

/// Asks for several metrics while rows are written. All of them count the same rows.
async fn one_snapshot(server: &Server, writer: &Client) -> Result<()> {
    for id in 1_002..1_060_i32 {
        let insert = format!("INSERT INTO warehouse.sales VALUES ({id}, {id} % 7)");
        let path = "/results?metric_id=count&metric_id=pairs&metric_id=place&metric_id=shops";
        let (written, answered) = tokio::join!(writer.batch_execute(&insert), server.get(path));
        written?;
        let several = answered?.1;
        let rows = |index: usize| &several["results"][index]["result"]["rows"];
        let shops: i64 = rows(3).as_array().into_iter().flatten().filter_map(|row| row["n"].as_i64()).sum();
        assert_eq!(rows(0)[0]["n"], rows(2)[0]["n"], "{several}");
        assert_eq!(rows(0)[0]["n"], shops, "{several}");
        assert!(rows(1)[0]["n"].is_number(), "{several}");
    }
    Ok(())
}

#[actix_web::test]
async fn metrics_read_another_database_than_the_catalogs() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let admin = owner_of(&cluster, "postgres").await?;
    admin.batch_execute("CREATE DATABASE shop").await?;
    let data = owner_of(&cluster, "shop").await?;
    data.batch_execute(
        "CREATE TABLE orders (id integer PRIMARY KEY, placed date NOT NULL, amount numeric);
         COMMENT ON COLUMN orders.amount IS 'In euros.';
         INSERT INTO orders SELECT n, DATE '2025-01-01' + n, n * 1.5 FROM generate_series(1, 60) AS n",
    )
    .await?;
    let reader = cluster.connection().url("reader", "shop")?;
    let command = |arguments: &[&str]| -> Result<Command> {
        let mut command = external_metricd(cluster.connection(), &data_dir)?;
        command.env("READER_DATABASE_URL", reader.expose_secret()).env("METRICD_DATA_SCHEMAS", "public");
        command.args(arguments);
        Ok(command)
    };
    // Nobody has prepared anything there: the script is printed, and pasted.
    let (code, page, error) = run(&mut command(&["connect"])?)?;
    assert!(code == 2 && page.contains("not ready") && page.contains("CREATE ROLE"), "{page}{error}");
    let (code, printed, error) = run(&mut command(&["migrate"])?)?;
    assert!(code == 2 && printed.contains("the data is elsewhere, where nothing was changed"), "{printed}{error}");
    let script: String = printed.lines().filter_map(|line| line.strip_prefix("  ")).collect::<Vec<_>>().join("\n");
    let password = cluster.connection().password("reader")?.expose_secret().to_owned();
    data.batch_execute(&script.replace('…', &password)).await?;
    let (code, printed, error) = run(&mut command(&["migrate"])?)?;
    assert!(code == 0 && printed.contains("may read the schema `public`"), "{printed}{error}");
    let (code, page, error) = run(&mut command(&["connect"])?)?;
    assert!(code == 0 && page.contains("\nData\n") && page.contains("log_min_messages = fatal"), "{page}{error}");
    let (code, _, error) = run(&mut command(&["migrate", "--harden", "--yes"])?)?;
    assert!(code == 1 && error.contains("where metricd changes nothing"), "{error}");
    assert!(page.contains("is not hardened"), "{page}");
    let (code, hardening, error) = run(&mut command(&["migrate", "--harden", "--dry-run", "--format", "sql"])?)?;
    assert!(code == 0 && !hardening.contains("taken_rights"), "{hardening}{error}");
    data.batch_execute(&hardening).await?;
    let (_, page, _) = run(&mut command(&["connect"])?)?;
    assert!(!page.contains("is not hardened"), "{page}");

    let server = Server::start(&mut command(&[])?)?;
    let (_, ready) = server.get("/health/ready").await?;
    assert!(ready["checks"]["data"].as_str().is_some_and(|data| data.starts_with("in another database")), "{ready}");
    let create = async |sql: &str| {
        let metric = json!({"id": "revenue", "title": "Revenue", "sql": sql});
        call("POST", format!("{}/metrics", server.address), None, Some(metric)).await
    };
    let (status, _, created) = create("SELECT sum(amount) AS revenue FROM orders").await?;
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["contract"]["tables"][0]["name"], "orders", "{created}");
    let (_, result) = server.get("/metrics/revenue?start_date=2025-01-02&end_date=2025-01-03").await?;
    assert_eq!(result["rows"], json!([{"revenue": 4.5}]), "{result}");
    let tag = tag_of(&server, "/metrics/revenue").await?;
    assert_eq!(tagged(&server, "/metrics/revenue", &tag).await?, 304);
    for (sql, expected) in [
        ("SELECT count(*) AS n FROM catalog.queries", "sql-relation-not-allowed"),
        ("SELECT count(*) AS n FROM warehouse.metrics", "sql-relation-not-allowed"),
        ("SELECT pg_sleep(1) AS n", "sql-function-not-allowed"),
        ("SELECT count(*) AS n FROM pg_class", "sql-relation-not-allowed"),
    ] {
        let (status, _, refused) = create(sql).await?;
        assert_eq!((status, refused["findings"][0]["code"].as_str()), (422, Some(expected)), "{sql}: {refused}");
    }
    // The table changes, and the contract follows.
    data.batch_execute("ALTER TABLE orders ALTER amount TYPE double precision").await?;
    let (status, result) = server.get("/metrics/revenue").await?;
    assert_eq!((status, &result["columns"][0]["type"]), (200, &Value::from("double precision")), "{result}");
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);

    // Files: definitions are validated where the data is, records are refused.
    let files = definitions(folder.path(), "SELECT count(*) AS n FROM orders")?;
    write(
        &files,
        "records.csv",
        "id,date,obsolescence,alert_type,parts_flagged,obsolescence_val,alert_category\nq1,2025-06-01,1,,,,\n",
    )?;
    let files = files.to_str().context("UTF-8")?;
    let (code, report, error) = run(&mut command(&["ingest", files])?)?;
    assert!(code == 0 && report.contains("tables-not-stored") && report.contains("1 read: 1 added"), "{report}{error}");
    let (code, report, error) = run(&mut command(&["check"])?)?;
    assert!(code == 0 && report.contains("nothing has drifted"), "{report}{error}");
    let mut of_tenants = command(&["serve", "--tenant-claim", "tenant"])?;
    of_tenants.env_remove("METRICD_INSECURE_ALLOW_ANONYMOUS").env("METRICD_JWT_SECRET", SECRET);
    let (code, _, error) = run(&mut of_tenants)?;
    assert!(code == 1 && error.contains("--tenant-claim cannot be used"), "{error}");
    let (code, _, error) = run(command(&["check"])?.env("METRICD_DATA_SCHEMAS", "public,slaes"))?;
    assert!(code == 1 && error.contains("slaes"), "{error}");
    Ok(())
}

/// On a standby, PostgreSQL can make no view. What it prints is judged, and is the same.
#[actix_web::test]
async fn metrics_read_a_standby_of_another_server() -> Result<()> {
    let (of_catalog, of_data, folder) = (cluster()?, cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let primary = owner_of(&of_data, "postgres").await?;
    let reader = of_data.connection().url("reader", "postgres")?;
    let migrate = |url: &str| -> Result<(i32, String, String)> {
        let mut command = external_metricd(of_catalog.connection(), &data_dir)?;
        run(command.env("READER_DATABASE_URL", url).env("METRICD_DATA_SCHEMAS", "public").arg("migrate"))
    };
    // The database has the same name, and neither role can log in there: nothing is changed, also on the catalog's server.
    let (code, printed, error) = migrate(reader.expose_secret())?;
    assert!(code == 2 && printed.contains("-- If the role does not exist"), "{printed}{error}");
    let readers = "SELECT count(*) FROM pg_roles WHERE rolname = 'reader'";
    let catalog = owner_of(&of_catalog, "postgres").await?;
    assert_eq!(catalog.query_one(readers, &[]).await?.get::<_, i64>(0), 0);
    let password = of_data.connection().password("reader")?.expose_secret().to_owned();
    primary
        .batch_execute(&format!(
            "CREATE TABLE sales AS SELECT n AS id, n % 7 AS shop FROM generate_series(1, 100) AS n;
             CREATE ROLE reader LOGIN PASSWORD '{password}'"
        ))
        .await?;
    let (code, printed, error) = migrate(reader.expose_secret())?;
    assert_eq!(code, 2, "{printed}{error}");
    let script: String = printed.lines().filter_map(|line| line.strip_prefix("  ")).collect::<Vec<_>>().join("\n");
    primary.batch_execute(&script).await?;
    let standby = Standby::of(&of_data).await?;
    let url = standby.url(&of_data, "reader", "postgres")?;
    let (code, printed, error) = migrate(&url)?;
    assert!(code == 0 && printed.contains("may read the schema `public`"), "{printed}{error}");

    let mut command = external_metricd(of_catalog.connection(), &data_dir)?;
    command.env("READER_DATABASE_URL", &url).env("METRICD_DATA_SCHEMAS", "public");
    let server = Server::start(&mut command)?;
    for (id, sql) in [
        ("count", "SELECT count(*) AS n FROM sales"),
        ("place", "SELECT count(*) AS n FROM sales WHERE id > 0"),
        ("shops", "SELECT shop, count(*) AS n FROM sales GROUP BY shop ORDER BY shop"),
        ("pairs", "SELECT count(*) AS n FROM sales a JOIN sales b ON a.shop <> b.id"),
    ] {
        let metric = json!({"id": id, "title": id, "sql": sql});
        let (status, _, created) = call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?;
        assert_eq!(status, 201, "{created}");
    }
    let hostile = json!({"title": "x", "sql": "SELECT count(*) AS n FROM pg_authid"});
    assert_eq!(call("POST", format!("{}/metrics", server.address), None, Some(hostile)).await?.0, 422);
    let count = server.get("/metrics/count").await?.1["rows"][0]["n"].clone();
    assert_eq!(count, 100);
    let tag = tag_of(&server, "/metrics/count").await?;
    primary.batch_execute("INSERT INTO sales VALUES (101, 3)").await?;
    standby.catch_up(&of_data).await?;
    assert_eq!(tagged(&server, "/metrics/count", &tag).await?, 200, "the result is another one");
    let several = server.get("/results?metric_id=count&metric_id=place&metric_id=pairs").await?.1;
    assert_eq!(several["results"][0]["result"]["rows"], several["results"][1]["result"]["rows"], "{several}");
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);
    Ok(())
}
