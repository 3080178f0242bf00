//! A database that has tables of its own: the data schemas, `metricd connect`, and the page about it.

use std::process::Command;

use anyhow::{Context, Result};
use metricd_embedded::Cluster;
use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::definitions::call;
use crate::external_database::{cluster, external_metricd};
use crate::support::{Server, folder, metricd, run, write};

/// The first steps on a database that has tables in `public`: two commands, then a metric.
#[actix_web::test]
async fn metrics_read_the_existing_tables_of_the_data_schemas() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let url = cluster.connection().owner_url("postgres")?;
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
    actix_web::rt::spawn(connection);
    client
        .batch_execute(
            "CREATE TYPE country AS ENUM ('de', 'fr');
             CREATE TABLE customers (id integer PRIMARY KEY, country country NOT NULL);
             CREATE TABLE orders (customer_id integer REFERENCES customers, placed date NOT NULL, amount numeric);
             INSERT INTO customers VALUES (1, 'de'), (2, 'fr');
             INSERT INTO orders VALUES (1, '2025-01-01', 10), (2, '2025-01-02', 20.50), (2, '2025-02-01', 1);
             CREATE SCHEMA sales; CREATE VIEW sales.large AS SELECT * FROM orders WHERE amount > 5;
             COMMENT ON COLUMN sales.large.amount IS 'In euros.'",
        )
        .await?;
    let command = |arguments: &[&str]| -> Result<Command> {
        let mut command = external_metricd(cluster.connection(), &data_dir)?;
        command.env("METRICD_DATA_SCHEMAS", "public,sales").args(arguments);
        Ok(command)
    };
    let (code, printed, error) = run(command(&["migrate"])?.env("METRICD_DATA_SCHEMAS", "public,slaes"))?;
    assert!(code == 1 && error.contains("no schema `slaes`: the database has `public`, `sales`"), "{printed}{error}");
    let own = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('catalog', 'tenancy', 'warehouse')";
    assert_eq!(client.query_one(own, &[]).await?.get::<_, i64>(0), 0, "nothing was migrated");
    let (code, printed, error) = run(&mut command(&["migrate"])?)?;
    assert!(
        code == 0 && printed.contains("may read the schemas `public`, `sales` and nothing else"),
        "{printed}{error}"
    );
    let server = Server::start(&mut command(&[])?)?;
    let metric = json!({
        "id": "revenue", "title": "Revenue",
        "sql": "SELECT country, amount AS revenue FROM customers JOIN large ON customer_id = id WHERE country <> 'de'::country",
    });
    let url = |path: &str| format!("{}{path}", server.address);
    let (status, _, created) = call("POST", url("/metrics"), None, Some(metric)).await?;
    assert_eq!(status, 201, "{created}");
    let tables: Vec<_> = created["contract"]["tables"].as_array().into_iter().flatten().collect();
    assert_eq!(
        tables.iter().map(|table| table["schema"].as_str()).collect::<Vec<_>>(),
        [Some("public"), Some("sales")]
    );
    let columns = &created["contract"]["columns"];
    assert_eq!(columns[1]["description"], "In euros.", "{columns}");
    let (_, document) = server.get("/metrics/revenue/openapi.json").await?;
    let columns = &document["components"]["schemas"]["revenue-row"]["properties"];
    assert_eq!(columns["country"]["enum"], json!(["de", "fr", null]), "{columns}");
    assert!(columns["revenue"]["description"].as_str().is_some_and(|text| text.starts_with("In euros.")), "{columns}");
    let (_, result) = server.get("/metrics/revenue?start_date=2025-01-01&end_date=2025-01-31").await?;
    assert_eq!(result["rows"], json!([{"country": "fr", "revenue": 20.50}]), "{result}");
    for sql in ["SELECT * FROM warehouse.metrics", "SELECT version FROM catalog.__diesel_schema_migrations"] {
        let (status, _, refused) = call("POST", url("/metrics"), None, Some(json!({"title": "x", "sql": sql}))).await?;
        let code = refused["findings"][0]["code"].as_str();
        assert_eq!((status, code), (422, Some("sql-relation-not-allowed")), "{refused}");
    }
    let unknown = json!({"title": "x", "sql": "SELECT version FROM __diesel_schema_migrations"});
    assert_eq!(call("POST", url("/metrics"), None, Some(unknown)).await?.0, 422);
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);

    let records = write(folder.path(), "records.json", r#"[{"id": "q1", "date": "2025-06-01"}]"#)?;
    let records = records.to_str().context("UTF-8")?;
    let (_, printed, error) = run(&mut command(&["ingest", records])?)?;
    assert!(error.contains("no metric can read the tables of these files"), "{printed}{error}");
    client.batch_execute("CREATE TABLE later (id integer); REVOKE SELECT ON later FROM reader").await?;
    for arguments in [&["check"] as &[_], &["migrate"]] {
        let (code, printed, error) = run(&mut command(arguments)?)?;
        for notice in ["may not read `later`", "no metric can read the tables that files have made"] {
            assert!(code == 0 && error.matches(notice).count() == 1, "{notice}: {printed}{error}");
        }
    }

    // Every command refuses another list than that of the reader, also without the reader's URL.
    for arguments in [&["serve"] as &[_], &["ingest", records], &["check"], &["openapi", "--metric", "revenue"]] {
        for has_reader in [true, false] {
            let mut other = command(arguments)?;
            other.args(["--data-schema", "public"]);
            if !has_reader {
                other.env_remove("READER_DATABASE_URL");
            }
            let (code, _, error) = run(&mut other)?;
            let expected = if has_reader || arguments != ["serve"] {
                "reads the schemas `public, sales`, and this command expects the schema `public`: give every command the \
                 same --data-schema"
            } else {
                "READER_DATABASE_URL is not"
            };
            assert!(code == 1 && error.contains(expected) && !error.contains("not a safe"), "{arguments:?}: {error}");
        }
    }
    let (_, _, error) = run(command(&["check"])?.env_remove("METRICD_DATA_SCHEMAS"))?;
    assert!(error.contains("`public, sales`, and this command expects the schema `warehouse`: give every"), "{error}");
    for (schemas, expected) in [
        ("public,shop", "no schema `shop`: the database has `public`, `sales`, `warehouse`"),
        ("public,public", "the schema `public` occurs twice"),
        ("catalog", "holds no data for metrics"),
    ] {
        let (code, _, error) = run(command(&["serve", "--data-schema", schemas])?.arg("--listen=127.0.0.1:0"))?;
        assert!(code != 0 && error.contains(expected), "{schemas}: {error}");
    }
    // A shorter list is a change of the reader, and `migrate` says what remains of the longer one.
    let (code, printed, _) = run(&mut command(&["migrate", "--data-schema", "public, warehouse"])?)?;
    assert!(code == 0 && printed.contains("may read the schemas `public`, `warehouse`\n"), "{printed}");
    let (_, revoke) = printed.split_once("to revoke them, run ").context("what remains")?;
    client.batch_execute(revoke).await?;
    let (_, printed, error) = run(&mut command(&["migrate", "--data-schema", "public, warehouse"])?)?;
    assert!(printed.contains("may read the schemas `public`, `warehouse` and nothing else\n"), "{printed}");
    assert!(!error.contains("records"), "{error}");
    Ok(())
}

/// The code block of the page that follows this text.
fn block_after<'a>(page: &'a str, text: &str) -> Result<&'a str> {
    let (_, rest) = page.split_once(text).context(text.to_owned())?;
    let (_, rest) = rest.split_once("```sql\n").context("a block of SQL")?;
    Ok(rest.split_once("```").context("the end of the block")?.0)
}

/// An owner and a reader with as few rights as possible, from the SQL of docs/existing-database.md to its removal.
#[actix_web::test]
async fn the_page_about_an_existing_database_holds() -> Result<()> {
    let page = include_str!("../../../../docs/existing-database.md");
    let (cluster, folder) = (cluster()?, folder()?);
    let data_dir = folder.path().join("data");
    let client = connect(&cluster, "postgres").await?;
    client.batch_execute("CREATE DATABASE shop").await?;
    client.batch_execute("CREATE ROLE app").await?;
    let client = connect(&cluster, "shop").await?;
    client
        .batch_execute(
            "GRANT CREATE ON SCHEMA public TO app; CREATE SCHEMA sales AUTHORIZATION app; SET ROLE app;
             CREATE TABLE customers (id integer PRIMARY KEY, country text NOT NULL);
             CREATE TABLE sales.orders (customer_id integer REFERENCES customers, placed date NOT NULL, amount numeric);
             INSERT INTO customers VALUES (1, 'de'); INSERT INTO sales.orders VALUES (1, '2025-01-01', 10);
             RESET ROLE",
        )
        .await?;
    let trace = "SELECT
            ARRAY(SELECT nspname::text FROM pg_namespace ORDER BY 1)
            || ARRAY(SELECT oid::regclass::text || relacl::text FROM pg_class WHERE relkind = 'r' ORDER BY 1)
            || ARRAY(SELECT nspname || nspacl::text FROM pg_namespace ORDER BY 1)
            || ARRAY(SELECT datname || datacl::text FROM pg_database ORDER BY 1)
            || ARRAY(SELECT defaclacl::text FROM pg_default_acl) || ARRAY(SELECT rolname::text FROM pg_roles ORDER BY 1)";
    // The first GRANT on an object writes its default privileges down.
    client.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, sales TO app; GRANT USAGE ON SCHEMA public, sales TO app; GRANT CONNECT ON DATABASE shop TO app").await?;
    let before: Vec<Option<String>> = client.query_one(trace, &[]).await?.get(0);

    client.batch_execute(block_after(page, "create the owner:")?.trim()).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let command = |arguments: &[&str]| {
        let mut command = metricd(&data_dir);
        command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "1").env("METRICD_DATA_SCHEMAS", "public,sales");
        command.env("DATABASE_URL", format!("postgres://metricd_owner:choose-one@127.0.0.1:{port}/shop"));
        command.env("READER_DATABASE_URL", format!("postgres://metricd_reader:choose-another@127.0.0.1:{port}/shop"));
        command.args(arguments);
        command
    };
    let (code, _, error) = run(&mut command(&["migrate"]))?;
    let (_, script) = error.split_once("Have an administrator run: ").context(error.clone())?;
    assert_eq!(code, 1);
    let statements = |sql: &str| sql.replace('"', "").split(';').map(|one| one.trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(statements(script), statements(block_after(page, "### What the administrator runs")?));
    client.batch_execute(&script.replace('…', "choose-another")).await?;
    client.batch_execute("REVOKE CREATE ON DATABASE shop FROM metricd_owner").await?;
    for _ in 0..2 {
        let (code, printed, error) = run(&mut command(&["migrate"]))?;
        assert!(code == 0 && printed.contains("`public`, `sales` and nothing else"), "{printed}{error}");
    }

    let server = Server::start(&mut command(&[]))?;
    let sql = page.split_once("\"sql\": \"").and_then(|(_, rest)| rest.split_once("\"\n")).context("a metric")?.0;
    let metric = json!({"id": "revenue", "title": "Revenue", "sql": sql});
    let (status, _, created) = call("POST", format!("{}/metrics", server.address), None, Some(metric)).await?;
    assert_eq!(status, 201, "{created}");
    let (_, result) = server.get("/metrics/revenue").await?;
    assert_eq!(result["rows"], json!([{"country": "de", "revenue": 10}]), "{result}");
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);

    client.batch_execute(block_after(page, "## Remove metricd")?).await?;
    let after: Vec<Option<String>> = client.query_one(trace, &[]).await?.get(0);
    assert_eq!(after, before);
    Ok(())
}

async fn connect(cluster: &Cluster, database: &str) -> Result<tokio_postgres::Client> {
    let url = cluster.connection().owner_url(database)?;
    let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await?;
    actix_web::rt::spawn(connection);
    Ok(client)
}

/// All schemas, roles, privileges and comments on roles.
async fn state(owner: &str) -> Result<String> {
    let (client, connection) = tokio_postgres::connect(owner, NoTls).await?;
    actix_web::rt::spawn(connection);
    let sql = "SELECT concat(
        (SELECT string_agg(n::text, ' ' ORDER BY oid) FROM pg_namespace AS n),
        (SELECT string_agg(r::text || coalesce(shobj_description(oid, 'pg_authid'), ''), ' ' ORDER BY oid) FROM pg_roles AS r),
        (SELECT string_agg(concat(oid, relacl), ' ' ORDER BY oid) FROM pg_class),
        (SELECT string_agg(d::text, ' ' ORDER BY oid) FROM pg_database AS d),
        (SELECT string_agg(a::text, ' ' ORDER BY oid) FROM pg_default_acl AS a))";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

#[actix_web::test]
async fn connect_prints_what_is_missing_and_the_sql_that_mends_it() -> Result<()> {
    let (cluster, folder) = (cluster()?, folder()?);
    let superuser = cluster.connection().owner_url("postgres")?.expose_secret().to_owned();
    let (client, connection) = tokio_postgres::connect(&superuser, NoTls).await?;
    actix_web::rt::spawn(connection);
    let tables = "CREATE ROLE app; CREATE ROLE metricd_owner LOGIN PASSWORD 'secret'; CREATE SCHEMA sales AUTHORIZATION app;
        SET ROLE app; CREATE TABLE sales.orders (amount integer); CREATE VIEW sales.totals AS SELECT 1 AS one; RESET ROLE;
        CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    for statement in tables.split(';') {
        client.batch_execute(statement).await?;
    }
    let (_, place) = superuser.rsplit_once('@').context("a place")?;
    let owner = format!("postgres://metricd_owner:secret@{place}");
    let reader = format!("postgres://metricd_reader:secret@{place}");
    let data_dir = folder.path().join("data");
    let command = |arguments: &[&str], schemas: &str, reader: Option<&str>| {
        let mut command = metricd(&data_dir);
        command.env("METRICD_INSECURE_ALLOW_ANONYMOUS", "true").env("DATABASE_URL", &owner).args(arguments);
        command.env("METRICD_DATA_SCHEMAS", schemas);
        if let Some(reader) = reader {
            command.env("READER_DATABASE_URL", reader);
        }
        command
    };

    let before = state(&superuser).await?;
    let (code, page, error) = run(&mut command(&["connect"], "warehouse", None))?;
    assert_eq!((code, error.as_str()), (2, ""), "{page}");
    for part in [
        "PostgreSQL   1",
        "connection   without TLS",
        "database     `postgres`, UTF8",
        "role         `metricd_owner`, may create neither roles nor schemas",
        "sales        1 table, 1 view\n",
        "run `metricd migrate`",
        "set READER_DATABASE_URL",
        "GRANT CREATE ON DATABASE \"postgres\" TO \"metricd_owner\";",
        "--data-schema sales\n",
        "The database is not ready for `metricd serve`.",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let (code, page, error) = run(&mut command(&["connect"], "slaes", Some(&reader)))?;
    assert_eq!((code, error.as_str()), (2, ""), "{page}");
    assert!(page.contains("no schema `slaes`: the database has `public`, `sales`\n"), "{page}");
    assert!(!page.contains("CREATE ROLE"), "{page}");

    // One visit of an administrator is enough.
    let (code, page, error) = run(&mut command(&["connect"], "sales", Some(&reader)))?;
    assert_eq!((code, error.as_str()), (2, ""), "{page}");
    assert_eq!(state(&superuser).await?, before, "nothing is changed");
    let (_, rest) = page.split_once("an administrator runs").context("the script")?;
    let script: Vec<_> = rest.lines().filter(|line| line.starts_with("  ")).collect();
    client.batch_execute(&script.join("\n").replace('…', "secret")).await?;
    let (code, _, error) = run(&mut command(&["migrate"], "sales", Some(&reader)))?;
    assert_eq!((code, error.as_str()), (0, ""));
    let (code, page, error) = run(&mut command(&["connect"], "sales", Some(&reader)))?;
    assert_eq!((code, error.as_str()), (0, ""), "{page}");
    assert!(page.contains("sales        1 table, 1 view; the reader may read 2; stored SQL reads it"), "{page}");
    assert!(
        page.contains("is not hardened") && page.ends_with("\nThe database is ready for `metricd serve`.\n"),
        "{page}"
    );
    let server = Server::start(&mut command(&[], "sales", Some(&reader)))?;
    assert_eq!(server.stop(Signal::SIGTERM)?.0, 0);

    client.batch_execute("ALTER TABLE catalog.metrics OWNER TO app").await?;
    let (code, page, _) = run(&mut command(&["connect"], "sales", Some(&reader)))?;
    assert!(code == 2 && page.contains("the owner cannot read them: ") && page.contains("not ready"), "{page}");
    client.batch_execute("ALTER TABLE catalog.metrics OWNER TO metricd_owner").await?;

    // Another list of schemas: the command line is wrong, or it is to be changed.
    let (code, page, _) = run(&mut command(&["connect"], "public", Some(&reader)))?;
    assert!(code == 2 && page.contains("--data-schema") && page.contains("SET search_path = \"public\";"), "{page}");
    assert!(
        page.contains("To change the list to the schema `public`, once all servers with the former one are stopped: "),
        "{page}"
    );
    let (code, page, _) = run(command(&["connect"], "sales", Some(&owner)).env("DATABASE_URL", &reader))?;
    assert!(
        code == 2 && page.contains("DATABASE_URL names the role `metricd_reader`, which is a reader of metricd"),
        "{page}"
    );
    assert!(!page.contains("GRANT CREATE"), "{page}");
    // What is not the reader's is never given to it.
    client.batch_execute("CREATE ROLE application LOGIN CREATEDB PASSWORD 'secret'").await?;
    for (other, refusal) in [("application", "is not a safe reader"), ("metricd_owner", "is the owner")] {
        let other = format!("postgres://{other}:secret@{place}");
        let (code, page, _) = run(&mut command(&["connect"], "sales", Some(&other)))?;
        assert!(code == 2 && !page.contains("an administrator runs") && page.contains(refusal), "{page}");
    }
    client.batch_execute("CREATE SCHEMA \"x\n  ALTER ROLE eve SUPERUSER;\"").await?;
    let (_, page, _) = run(&mut command(&["connect"], "sales", Some(&reader)))?;
    assert!(!page.lines().any(|line| line.starts_with("  ALTER")), "{page}");

    let latin = owner.replace("/postgres", "/latin");
    let (code, page, _) = run(command(&["connect"], "public", Some(&reader)).env("DATABASE_URL", &latin))?;
    assert!(code == 2 && page.contains("has the encoding LATIN1, and metricd needs UTF8"), "{page}");
    let (code, _, error) = run(command(&["migrate"], "public", Some(&reader)).env("DATABASE_URL", &latin))?;
    assert!(code == 1 && error.contains("has the encoding LATIN1"), "{error}");

    let nowhere = "postgres://ann@127.0.0.1:1/metricd";
    let (code, page, error) = run(&mut command(&["connect", nowhere], "public", None))?;
    assert!(code == 1 && page.is_empty() && error.contains("cannot connect to `metricd` on 127.0.0.1"), "{error}");
    let (code, _, error) = run(&mut command(&["connect", "s3cret"], "public", None))?;
    assert!(code == 2 && error.contains("is not a database URL") && !error.contains("s3cret"), "{error}");
    Ok(())
}
