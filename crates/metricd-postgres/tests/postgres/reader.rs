//! The reader may read the warehouse, for a limited time, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use metricd_connection::Connector;
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_domain::SqlText;
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, Statement};
use metricd_postgres::{
    DataPlace, ReaderError, ReaderLimits, check_candidate, check_reader, check_reader_elsewhere, data_place,
    open_classes, prepare_reader, script_elsewhere, script_for_new_reader,
};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::{READER, TestDatabase};
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;

/// Held to change the role `metricd_reader`, which the databases of the tests share; shared to check it.
static READER_OF_ALL: RwLock<()> = RwLock::const_new(());

async fn sqlstate(runner: &PgRunner, sql: &str) -> Result<String> {
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    let limits = RunLimits { time: Duration::from_secs(20), ..RunLimits::default() };
    match runner.run(&statement, None, limits, Permit::default(), &mut JsonRows::default()).await {
        Ok(_) => Ok("none".to_owned()),
        Err(RunError::Failed { sqlstate, .. }) => Ok(sqlstate),
        Err(other) => Ok(other.to_string()),
    }
}

#[tokio::test]
async fn the_role_is_set_up_as_promised() -> Result<()> {
    let _is_unchanged = READER_OF_ALL.read().await;
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let role = client
        .query_one("SELECT rolcanlogin, rolsuper, rolconnlimit, rolconfig FROM pg_roles WHERE rolname = $1", &[&READER])
        .await?;
    assert_eq!((role.get(0), role.get(1), role.get(2)), (true, false, 50));
    let settings: Vec<String> = role.get(3);
    for setting in ["default_transaction_read_only=on", "statement_timeout=5000ms", "search_path=warehouse"] {
        assert!(settings.iter().any(|found| found == setting), "{setting}: {settings:?}");
    }
    let reader = database.reader.clone();
    spawn_blocking(move || check_reader(&reader, &DataSchemas::default())).await??;
    Ok(())
}

#[tokio::test]
async fn stored_sql_can_read_the_warehouse_and_nothing_else() -> Result<()> {
    let database = TestDatabase::new().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    for sql in ["SELECT count(*) FROM metrics", "SELECT count(*) FROM warehouse.metrics"] {
        assert_eq!(sqlstate(&runner, sql).await?, "none", "{sql}");
    }
    // Privilege missing, transaction read-only, not in a transaction.
    let refusals = ["42501", "25006", "25001"];
    // The others are no queries, and do not come as far as the runner.
    for sql in HARMFUL.iter().filter(|sql| sql.starts_with("SELECT") || sql.starts_with("WITH")) {
        let found = sqlstate(&runner, sql).await?;
        assert!(refusals.contains(&found.as_str()), "{sql}: {found}");
    }
    Ok(())
}

/// The rights hold by themselves, without the read-only transaction.
#[tokio::test]
async fn the_reader_has_no_right_to_write() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect_as_reader().await?;
    client.batch_execute("SET default_transaction_read_only = off").await?;
    for sql in HARMFUL.iter().filter(|sql| !sql.contains("VACUUM")) {
        let error = client.batch_execute(sql).await.err().with_context(|| sql.to_string())?;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{sql}");
    }
    Ok(())
}

const HARMFUL: [&str; 12] = [
    "SELECT * FROM catalog.queries",
    "SELECT catalog.keep_query_version()",
    "INSERT INTO metrics (id, date) VALUES ('q1', '2025-06-01')",
    "DELETE FROM metrics",
    "WITH gone AS (DELETE FROM metrics RETURNING 1) SELECT * FROM gone",
    "CREATE TABLE warehouse.mine (x int)",
    "DROP TABLE metrics",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY metrics TO '/tmp/out'",
    "SET SESSION AUTHORIZATION metricd",
    "SET ROLE metricd",
    "VACUUM metrics",
];

#[tokio::test]
async fn a_table_that_the_owner_adds_later_can_be_read() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.later AS SELECT 1 AS one").await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    assert_eq!(sqlstate(&runner, "SELECT one FROM later").await?, "none");
    Ok(())
}

#[tokio::test]
async fn preparing_the_reader_again_changes_nothing() -> Result<()> {
    let _is_unchanged = READER_OF_ALL.read().await;
    let database = TestDatabase::new().await?;
    for _ in 0..2 {
        let (owner, reader) = (database.owner.clone(), database.reader.clone());
        spawn_blocking(move || prepare_reader(&owner, &reader, &DataSchemas::default(), ReaderLimits::default()))
            .await??;
    }
    let reader = database.reader.clone();
    spawn_blocking(move || check_reader(&reader, &DataSchemas::default())).await??;
    Ok(())
}

/// Its transactions are read-only by default, so that libpq would hold no server for `read-write`.
#[tokio::test]
async fn the_reader_s_url_may_ask_for_a_kind_of_server() -> Result<()> {
    let _is_unchanged = READER_OF_ALL.read().await;
    let database = TestDatabase::new().await?;
    for (target, is_met) in [
        ("any", true),
        ("read-write", true),
        ("primary", true),
        ("prefer-standby", true),
        ("read-only", false),
        ("standby", false),
    ] {
        let reader = database.reader_with(&format!("target_session_attrs={target}"))?;
        let (checked, classes) = spawn_blocking(move || {
            (check_reader(&reader, &DataSchemas::default()).is_ok(), open_classes(&reader).is_ok())
        })
        .await?;
        assert_eq!((checked, classes), (is_met, is_met), "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_is_none_is_refused() -> Result<()> {
    let database = TestDatabase::new().await?;
    let owner = database.owner.clone();
    let same = spawn_blocking(move || prepare_reader(&owner, &owner, &DataSchemas::default(), ReaderLimits::default()))
        .await?;
    assert!(matches!(same, Err(ReaderError::IsOwner(_))), "{same:?}");
    let owner = database.owner.clone();
    let superuser = spawn_blocking(move || check_reader(&owner, &DataSchemas::default()))
        .await?
        .err()
        .context("a superuser is no reader")?;
    assert!(superuser.to_string().contains("superuser"), "{superuser}");

    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE SCHEMA sales; CREATE TABLE sales.orders (id integer); CREATE SEQUENCE sales.numbers;
             CREATE VIEW sales.large AS SELECT * FROM sales.orders; SELECT lo_create(4711);
             CREATE FUNCTION sales.write() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
             CREATE FUNCTION sales.read() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT 1'",
        )
        .await?;
    let check = async || {
        let reader = database.reader.clone();
        spawn_blocking(move || check_reader(&reader, &DataSchemas::default())).await
    };
    check().await??;
    for (harm, mend, word) in [
        ("GRANT USAGE ON SCHEMA catalog TO PUBLIC", "REVOKE USAGE ON SCHEMA catalog FROM PUBLIC", "catalog"),
        ("GRANT INSERT ON warehouse.metrics TO PUBLIC", "REVOKE INSERT ON warehouse.metrics FROM PUBLIC", "may write"),
        (
            "GRANT INSERT ON sales.orders TO metricd_reader",
            "REVOKE INSERT ON sales.orders FROM metricd_reader",
            "`sales.orders`",
        ),
        (
            "GRANT UPDATE (id) ON sales.orders TO PUBLIC",
            "REVOKE UPDATE (id) ON sales.orders FROM PUBLIC",
            "`sales.orders`",
        ),
        ("GRANT TRIGGER ON sales.orders TO PUBLIC", "REVOKE TRIGGER ON sales.orders FROM PUBLIC", "`sales.orders`"),
        ("GRANT INSERT ON sales.large TO PUBLIC", "REVOKE INSERT ON sales.large FROM PUBLIC", "`sales.large`"),
        (
            "GRANT USAGE ON sales.numbers TO PUBLIC",
            "REVOKE USAGE ON sales.numbers FROM PUBLIC",
            "sequence `sales.numbers`",
        ),
        ("GRANT CREATE ON SCHEMA sales TO PUBLIC", "REVOKE CREATE ON SCHEMA sales FROM PUBLIC", "schema `sales`"),
        ("GRANT UPDATE ON LARGE OBJECT 4711 TO PUBLIC", "REVOKE UPDATE ON LARGE OBJECT 4711 FROM PUBLIC", "4711"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT INSERT ON TABLES TO metricd_reader",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA sales REVOKE INSERT ON TABLES FROM metricd_reader",
            "DEFAULT PRIVILEGES",
        ),
        ("GRANT USAGE ON SCHEMA sales TO PUBLIC", "REVOKE USAGE ON SCHEMA sales FROM PUBLIC", "`sales.write()`"),
        ("ALTER TABLE sales.orders OWNER TO metricd_reader", "ALTER TABLE sales.orders OWNER TO metricd", "it owns "),
        ("GRANT CREATE ON SCHEMA warehouse TO PUBLIC", "REVOKE CREATE ON SCHEMA warehouse FROM PUBLIC", "create"),
    ] {
        client.batch_execute(harm).await?;
        let error = check().await?.err().context(harm)?;
        assert!(error.to_string().contains(word), "{error}");
        client.batch_execute(mend).await?;
        check().await?.with_context(|| mend.to_owned())?;
    }
    let version: String = client.query_one("SHOW server_version_num", &[]).await?.get(0);
    if version.parse::<u32>()? >= 170_000 {
        for (on, word) in [
            ("GRANT MAINTAIN ON sales.orders TO", "may maintain `sales.orders`"),
            ("ALTER DEFAULT PRIVILEGES GRANT MAINTAIN ON TABLES TO", "DEFAULT PRIVILEGES"),
        ] {
            client.batch_execute(&format!("{on} PUBLIC")).await?;
            let error = check().await?.err().context(on)?;
            assert!(error.to_string().contains(word), "{error}");
            client.batch_execute(&format!("{} PUBLIC", on.replace("GRANT", "REVOKE").replace(" TO", " FROM"))).await?;
            check().await??;
        }
    }
    // In another role's name, and by the settings that only superusers may change.
    // These change the reader of all databases.
    let _others_wait = READER_OF_ALL.write().await;
    let name = format!("writer_{}", database.owner.database());
    for (harm, mend, word) in [
        (
            format!("CREATE ROLE {name}; GRANT {name} TO metricd_reader"),
            format!("DROP ROLE {name}"),
            format!("member of `{name}`"),
        ),
        (
            "GRANT SET ON PARAMETER log_min_messages TO metricd_reader".to_owned(),
            "REVOKE SET ON PARAMETER log_min_messages FROM metricd_reader".to_owned(),
            "log_min_messages".to_owned(),
        ),
    ] {
        client.batch_execute(&harm).await?;
        let found = check().await?;
        client.batch_execute(&mend).await?;
        let error = found.err().context(harm)?;
        assert!(error.to_string().contains(&word), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_role_that_somebody_else_uses_is_refused_and_left_as_it_was() -> Result<()> {
    let (database, another) = (TestDatabase::new().await?, TestDatabase::new().await?);
    let (client, elsewhere) = (database.connect().await?, another.connect().await?);
    let role = format!("app_{}", database.owner.database());
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'app'; CREATE TABLE orders (id integer)")).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let url = format!("postgres://{role}:app@127.0.0.1:{port}/{}", database.owner.database());
    let reader = DatabaseUrl::parse(url)?;
    let prepare = async || {
        let (owner, reader) = (database.owner.clone(), reader.clone());
        spawn_blocking(move || prepare_reader(&owner, &reader, &DataSchemas::default(), ReaderLimits::default())).await
    };
    let settings = "SELECT coalesce(rolconfig::text, '') || rolconnlimit FROM pg_roles WHERE rolname = $1";
    for (use_of, end, word) in [
        (format!("GRANT INSERT ON orders TO {role}"), format!("REVOKE INSERT ON orders FROM {role}"), "orders"),
        (format!("ALTER ROLE {role} SUPERUSER"), format!("ALTER ROLE {role} NOSUPERUSER"), "superuser"),
        (format!("ALTER TABLE orders OWNER TO {role}"), "ALTER TABLE orders OWNER TO metricd".to_owned(), "owns"),
    ] {
        client.batch_execute(&use_of).await?;
        let error = prepare().await?.err().context(use_of)?;
        assert!(matches!(&error, ReaderError::InUse { fault, .. } if fault.contains(word)), "{error}");
        assert_eq!(client.query_one(settings, &[&role]).await?.get::<_, &str>(0), "-1");
        client.batch_execute(&end).await?;
    }
    elsewhere.batch_execute(&format!("CREATE TABLE theirs (id integer); GRANT SELECT ON theirs TO {role}")).await?;
    let error = prepare().await?.err().context("it is used in another database")?;
    assert!(error.to_string().contains(&format!("`{}`", another.owner.database())), "{error}");
    elsewhere.batch_execute("DROP TABLE theirs").await?;
    // Nobody else's role becomes the reader.
    prepare().await??;
    spawn_blocking(move || check_reader(&reader, &DataSchemas::default())).await??;
    Ok(())
}

#[tokio::test]
async fn the_place_of_the_data_is_that_of_the_readers_database() -> Result<()> {
    let (one, another) = (TestDatabase::new().await?, TestDatabase::new().await?);
    let place = async |owner: &TestDatabase, reader: &TestDatabase| {
        let (owner, reader) = (owner.owner.clone(), reader.reader.clone());
        spawn_blocking(move || data_place(&owner, &reader)).await
    };
    assert_eq!(place(&one, &one).await??, DataPlace::Catalog);
    assert_eq!(place(&one, &another).await??, DataPlace::Elsewhere);
    Ok(())
}

/// The script for an administrator of a database without a catalog makes a safe reader, and nothing is left to do then.
#[tokio::test]
async fn an_administrator_makes_the_reader_of_another_database() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let name = format!("apart_{}", database.owner.database());
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let administrator = database.owner.with_database(&name);
    let reader = DatabaseUrl::parse(format!("postgres://{name}:pw@127.0.0.1:{port}/{name}"))?;
    let schemas = DataSchemas::new(["shop".to_owned(), "public".to_owned()])?;
    let (client, connection) = Connector::new(&administrator, Duration::from_secs(3))?.connect().await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE SCHEMA shop; CREATE TABLE shop.orders (id integer)").await?;
    let script = async || {
        let (reader, schemas) = (reader.clone(), schemas.clone());
        spawn_blocking(move || script_elsewhere(&reader, &schemas, ReaderLimits::default())).await
    };
    assert!(matches!(script().await?, Err(ReaderError::Connect(_))), "nobody can log in");
    let first = script_for_new_reader(&reader, &schemas, ReaderLimits::default()).join("\n");
    assert!(first.contains("PASSWORD '…'") && !first.contains("catalog") && !first.contains("tenancy"), "{first}");
    client.batch_execute(&first.replace('…', "pw")).await?;
    let later = script().await??;
    assert!(later.iter().all(|statement| statement.starts_with("ALTER DEFAULT PRIVILEGES FOR ROLE")), "{later:?}");
    client.batch_execute(&later.join("\n")).await?;
    assert_eq!(script().await??, Vec::<String>::new());
    let check = async || {
        let (owner, reader, schemas) = (database.owner.clone(), reader.clone(), schemas.clone());
        spawn_blocking(move || check_reader_elsewhere(&owner, &reader, &schemas)).await
    };
    check().await??;

    client
        .batch_execute(&format!("ALTER ROLE {name} RESET statement_timeout; REVOKE USAGE ON SCHEMA shop FROM {name}"))
        .await?;
    assert_eq!(
        script().await??,
        [
            format!(r#"ALTER ROLE "{name}" SET statement_timeout = '5000ms';"#),
            format!(r#"GRANT USAGE ON SCHEMA "shop" TO "{name}";"#),
        ]
    );
    let error = check().await?.err().context("unsafe")?;
    assert!(
        error.to_string().ends_with("have an administrator of that database run what `metricd connect` prints"),
        "{error}"
    );
    // Settings of a reader would harm a role that has another use.
    client.batch_execute(&format!("GRANT INSERT ON shop.orders TO {name}")).await?;
    assert_eq!(script().await??, Vec::<String>::new());
    let unknown = DataSchemas::new(["slaes".to_owned()])?;
    let error = spawn_blocking(move || script_elsewhere(&reader, &unknown, ReaderLimits::default())).await?;
    assert!(matches!(error, Err(ReaderError::NoSchema { .. })), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn the_roles_own_time_limit_holds_without_ours() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let outcome = sqlstate(&runner, "SELECT pg_sleep(60)").await?;
    assert_eq!(outcome, "the statement ran longer than 20000 ms and was stopped");
    Ok(())
}

#[tokio::test]
async fn a_role_may_exist_before_the_schemas() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let name = format!("fresh_{}", database.owner.database());
    client.batch_execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'pw'")).await?;
    client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let reader = DatabaseUrl::parse(format!("postgres://{name}:pw@127.0.0.1:{port}/{name}"))?;
    let owner = database.owner.with_database(&name);
    spawn_blocking(move || {
        check_candidate(&owner, &reader, &DataSchemas::default())?;
        let missing = check_reader(&reader, &DataSchemas::default());
        assert!(missing.is_err_and(|error| error.to_string().contains("is missing")));
        Ok::<_, ReaderError>(())
    })
    .await??;
    Ok(())
}

/// The check runs in a session of the reader, whose search path names the data schemas.
#[tokio::test]
async fn an_operator_of_a_data_schema_hides_no_fault() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let name = database.owner.database();
    client
        .batch_execute(
            "CREATE SCHEMA shop;
             CREATE FUNCTION shop.never(oid, regclass) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR shop.= (FUNCTION = shop.never, LEFTARG = oid, RIGHTARG = regclass)",
        )
        .await?;
    let port: String = client.query_one("SHOW port", &[]).await?.get(0);
    let reader = DatabaseUrl::parse(format!("postgres://hides_{name}:pw@127.0.0.1:{port}/{name}"))?;
    let schemas = DataSchemas::new(["shop".to_owned()])?;
    let check = async || {
        let (reader, schemas) = (reader.clone(), schemas.clone());
        anyhow::Ok(spawn_blocking(move || check_reader(&reader, &schemas)).await?)
    };
    let (owner, role, of_role) = (database.owner.clone(), reader.clone(), schemas.clone());
    spawn_blocking(move || prepare_reader(&owner, &role, &of_role, ReaderLimits::default())).await??;
    check().await??;
    client.batch_execute(&format!("SELECT lo_create(7); ALTER LARGE OBJECT 7 OWNER TO hides_{name}")).await?;
    let fault = check().await?.err().context("it owns something")?.to_string();
    assert!(fault.contains("it owns"), "{fault}");
    Ok(())
}

/// PostgreSQL counts a user mapping as owned by its role.
#[tokio::test]
async fn a_reader_may_have_a_user_mapping_that_it_cannot_change() -> Result<()> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    let check = async || {
        let reader = database.reader.clone();
        spawn_blocking(move || check_reader(&reader, &DataSchemas::default())).await
    };
    client
        .batch_execute(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw;
             CREATE USER MAPPING FOR metricd_reader SERVER other",
        )
        .await?;
    check().await??;
    for (object, fault) in [
        ("FOREIGN SERVER other", "it may use the foreign server `other`"),
        ("FOREIGN DATA WRAPPER postgres_fdw", "it may create foreign servers of `postgres_fdw`"),
    ] {
        client.batch_execute(&format!("GRANT USAGE ON {object} TO PUBLIC")).await?;
        let error = check().await?.err().context(fault)?;
        assert!(error.to_string().contains(fault), "{error}");
        client.batch_execute(&format!("REVOKE USAGE ON {object} FROM PUBLIC")).await?;
        check().await??;
    }
    Ok(())
}
