//! Statements on behalf of tenants, whose rows the policies of the database choose.

mod full_speed;
mod policies;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_domain::{SqlText, Tenant};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, SnapshotRun, Statement};
use metricd_postgres::tenant_key;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::task::spawn_blocking;

use crate::permits;

/// Three rows of each of two tenants, and a table whose policy asks for each row anew.
const TABLES: &str = "
    CREATE TABLE warehouse.orders (tenant text NOT NULL, number integer NOT NULL);
    INSERT INTO warehouse.orders SELECT tenant, n FROM unnest(ARRAY['acme', 'o''neil']) AS tenant, generate_series(1, 3) AS n;
    ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_tenant ON warehouse.orders FOR SELECT USING (tenant = (SELECT tenancy.current_tenant()));
    CREATE TABLE warehouse.notes AS SELECT * FROM warehouse.orders;
    ALTER TABLE warehouse.notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_tenant ON warehouse.notes FOR SELECT USING (tenant = tenancy.current_tenant());";

const TENANTS: &str =
    "SELECT string_agg(DISTINCT tenant, ',' ORDER BY tenant) AS tenants, count(*) AS count FROM orders";

async fn keyed(database: &TestDatabase, max_connections: usize) -> Result<PgRunner> {
    let config = RunnerConfig { max_connections, acquire_timeout: Duration::from_secs(20), ..RunnerConfig::default() };
    let owner = database.owner.clone();
    let key = spawn_blocking(move || tenant_key(&owner)).await??.into();
    Ok(PgRunner::new(&database.reader, config)?.exporting_as(&database.owner)?.naming_tenants_by(key))
}

/// A database where the reader may leave nothing behind, and one where only the runner keeps order.
async fn databases() -> Result<[TestDatabase; 2]> {
    let databases = [TestDatabase::new().await?, TestDatabase::unhardened().await?];
    for database in &databases {
        database.connect().await?.batch_execute(TABLES).await?;
    }
    Ok(databases)
}

fn tenant(name: &str) -> Result<Option<Tenant>> {
    Ok(if name.is_empty() { None } else { Some(Tenant::parse(name)?) })
}

fn bound(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

async fn rows(runner: &PgRunner, name: &str, sql: &str, write_timeout: Duration) -> Result<Result<String, RunError>> {
    let (statement, mut sink) = (bound(sql)?, JsonRows::default());
    let limits = RunLimits { write_timeout, ..RunLimits::default() };
    let outcome = runner.run(&statement, tenant(name)?.as_ref(), limits, Permit::default(), &mut sink).await;
    Ok(outcome.map(|_| String::from_utf8_lossy(&sink.finish()).into_owned()))
}

/// Runs the texts together; what fails is its SQLSTATE.
async fn together(runner: &PgRunner, name: &str, texts: &[&str]) -> Result<Vec<String>> {
    let statements = texts.iter().map(|sql| bound(sql)).collect::<Result<Vec<_>>>()?;
    let mut sinks: Vec<_> = texts.iter().map(|_| JsonRows::default()).collect();
    let limits = RunLimits::default();
    let runs = statements.iter().zip(&mut sinks).map(|(statement, sink)| SnapshotRun { statement, limits, sink });
    let outcomes = runner
        .run_on_one_snapshot(runs.collect(), tenant(name)?.as_ref(), Duration::from_secs(20), permits())
        .await?
        .outcomes;
    let told = |(outcome, sink): (Result<_, RunError>, JsonRows)| match outcome {
        Ok(_) => Ok(String::from_utf8_lossy(&sink.finish()).into_owned()),
        Err(RunError::Failed { sqlstate, .. }) => Ok(sqlstate),
        Err(error) => Err(error.into()),
    };
    outcomes.into_iter().zip(sinks).map(told).collect()
}

#[tokio::test]
async fn a_sample_of_a_table_has_rows_of_the_tenant_alone() -> Result<()> {
    for database in databases().await? {
        let runner = keyed(&database, 1).await?;
        let described = runner.find_table("orders").await?.context("a table")?;
        let statement = described.sample().context("a sample")?;
        let row = |tenant: &str, number: i32| format!(r#"{{"tenant":"{tenant}","number":{number}}}"#);
        for (name, count) in [("acme", 3), ("o'neil", 3), ("nobody", 0), ("", 0)] {
            let mut sink = JsonRows::default();
            let limits = RunLimits::default();
            runner.run(&statement, tenant(name)?.as_ref(), limits, Permit::default(), &mut sink).await?;
            let rows: Vec<_> = (1..=count).map(|number| row(name, number)).collect();
            assert_eq!(String::from_utf8(sink.finish())?, format!("[{}]", rows.join(",")), "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_tenant_sees_its_own_rows_and_nobody_sees_none() -> Result<()> {
    for database in databases().await? {
        let runner = keyed(&database, 1).await?;
        for write_timeout in [Duration::ZERO, Duration::from_secs(1)] {
            for (name, expected) in [
                ("acme", r#"[{"tenants":"acme","count":3}]"#),
                ("o'neil", r#"[{"tenants":"o'neil","count":3}]"#),
                ("", r#"[{"tenants":null,"count":0}]"#),
                ("acme", r#"[{"tenants":"acme","count":3}]"#),
                ("nobody", r#"[{"tenants":null,"count":0}]"#),
                ("ACME", r#"[{"tenants":null,"count":0}]"#),
                ("", r#"[{"tenants":null,"count":0}]"#),
            ] {
                for sql in [TENANTS.to_owned(), TENANTS.replace("orders", "notes")] {
                    assert_eq!(rows(&runner, name, &sql, write_timeout).await??, expected, "{name:?} {sql}");
                }
                assert_eq!(together(&runner, name, &[TENANTS, TENANTS]).await?, [expected; 2], "{name:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn of_several_statements_one_that_fails_leaves_the_tenant_to_the_others() -> Result<()> {
    let acme = r#"[{"tenants":"acme","count":3}]"#;
    // Statements that are worth connections of their own, which take the snapshot over.
    let dear = format!(
        "{TENANTS} WHERE (SELECT count(*) FROM generate_series(1, 300000) AS a, generate_series(1, 4) AS b) > 0"
    );
    let failing = "SELECT 1 / (count(*) - count(*)) FROM orders";
    for database in databases().await? {
        for connections in [1, 4] {
            let runner = keyed(&database, connections).await?;
            let told = together(&runner, "acme", &[TENANTS, failing, TENANTS, failing]).await?;
            assert_eq!(told, [acme, "22012", acme, "22012"]);
            let told = together(&runner, "acme", &[&dear, failing, &dear, TENANTS, &dear]).await?;
            assert_eq!(told, [acme, "22012", acme, acme, acme], "{connections} connections");
        }
    }
    Ok(())
}

/// What a statement might do to be somebody else, had it got past the guard; `{}` is a setting that is not its own.
const ATTEMPTS: &[&str] = &[
    "SELECT set_config('metricd.tenant', {}, true), tenant FROM orders",
    "SELECT set_config('metricd.tenant', {}, false), tenant FROM notes",
    "SELECT tenant FROM notes WHERE set_config('metricd.tenant', {}, true) <> ''",
    "SELECT tenant FROM orders WHERE set_config('metricd.tenant', {}, true) <> ''",
    "WITH other AS MATERIALIZED (SELECT set_config('metricd.tenant', {}, false) AS s) SELECT n.tenant, length(s) FROM other, notes AS n",
    "WITH other AS MATERIALIZED (SELECT set_config('metricd.tenant', {}, true) AS s) SELECT (SELECT string_agg(tenant, s) FROM orders) FROM other",
    "SELECT tenant FROM (SELECT set_config('metricd.tenant', {}, true) AS s OFFSET 0) AS other CROSS JOIN LATERAL (SELECT tenant FROM notes WHERE s IS NOT NULL) AS n",
    "SELECT tenancy.enter({}), tenant FROM notes",
    "WITH other AS MATERIALIZED (SELECT tenancy.enter({})::text AS s) SELECT n.tenant, s FROM other, notes AS n",
    "SELECT query_to_xml($q$SELECT tenancy.enter({})$q$, false, false, ''), tenant FROM notes",
    "SELECT query_to_xml($q$SELECT string_agg(tenant, ',') FROM notes WHERE set_config('metricd.tenant', {}, true) <> ''$q$, false, false, '')",
];

/// The same without such a setting.
const OTHER_ATTEMPTS: &[&str] = &[
    "SELECT set_config('row_security', 'off', true), tenant FROM orders",
    "SELECT set_config('role', 'metricd', true), tenant FROM notes",
    "SELECT set_config('session_authorization', 'metricd', true), tenant FROM notes",
    "SELECT set_config('search_path', 'pg_temp', true), n.tenant FROM warehouse.notes AS n",
    "SELECT encode(key, 'hex') AS tenant FROM catalog.tenant_key",
    "SELECT query_to_xml('SELECT * FROM catalog.tenant_key', false, false, '')",
    "SELECT pg_get_functiondef('tenancy.current_tenant()'::regprocedure) || tenant FROM notes",
];

#[tokio::test]
async fn no_statement_makes_itself_another_tenant() -> Result<()> {
    // What a genuine setting looks like, as far as anybody can guess: of another session, of another tenant, made up.
    let mut settings = vec![
        "'o''neil'".to_owned(),
        "''".to_owned(),
        "NULL".to_owned(),
        "repeat('0', 64) || 'o''neil'".to_owned(),
        "left(current_setting('metricd.tenant'), 64) || 'o''neil'".to_owned(),
        "encode(sha256(convert_to(pg_backend_pid() || ':o''neil', 'UTF8')), 'hex') || 'o''neil'".to_owned(),
        "current_setting('metricd.tenant') || 'o''neil'".to_owned(),
    ];
    let [hardened, unhardened] = databases().await?;
    let another = keyed(&unhardened, 1).await?;
    let told = rows(&another, "o'neil", "SELECT current_setting('metricd.tenant') AS s", Duration::ZERO).await??;
    let sealed = told.strip_prefix(r#"[{"s":""#).and_then(|told| told.strip_suffix(r#""}]"#)).context(told.clone())?;
    assert_eq!(sealed.len(), 64 + "o'neil".len());
    settings.push(format!("'{}'", sealed.replace('\'', "''")));

    let of_settings = settings.iter().flat_map(|setting| ATTEMPTS.iter().map(|sql| sql.replace("{}", setting)));
    let attempts: Vec<_> = of_settings.chain(OTHER_ATTEMPTS.iter().map(|sql| (*sql).to_owned())).collect();
    let runner = keyed(&unhardened, 1).await?;
    let acme = r#"[{"tenants":"acme","count":3}]"#;
    let (mut refused, mut answered) = (0, 0);
    for sql in &attempts {
        for write_timeout in [Duration::ZERO, Duration::from_secs(1)] {
            match rows(&runner, "acme", sql, write_timeout).await? {
                // What a statement names itself is not what it sees.
                Ok(rows) => {
                    ensure!(!rows.contains(r#""tenant":"o'neil""#) && !rows.contains("o'neil,"), "{sql}: {rows}");
                    answered += 1;
                }
                Err(RunError::Failed { .. }) => refused += 1,
                Err(error) => return Err(error).context(sql.clone()),
            }
            // Nor is anything left to whoever comes next.
            assert_eq!(rows(&runner, "acme", TENANTS, write_timeout).await??, acme, "{sql}");
        }
        let told = together(&runner, "acme", &[sql, TENANTS]).await?;
        ensure!(
            told.iter().all(|rows| !rows.contains(r#""tenant":"o'neil""#) && !rows.contains("o'neil,")),
            "{sql}: {told:?}"
        );
        let nobody = rows(
            &runner,
            "",
            "SELECT current_setting('metricd.tenant', true) AS s, count(*) FROM orders",
            Duration::ZERO,
        );
        assert_eq!(nobody.await??, r#"[{"s":"","count":0}]"#, "{sql}");
    }
    ensure!(refused > 60 && answered > 20, "{refused} refused, {answered} answered");

    // Where the database is hardened, there is nothing to try with.
    let runner = keyed(&hardened, 1).await?;
    for sql in attempts.iter().filter(|sql| sql.contains("set_config(")) {
        let told = rows(&runner, "acme", sql, Duration::ZERO).await?;
        ensure!(matches!(&told, Err(RunError::Failed { sqlstate, .. }) if sqlstate == "42501"), "{sql}: {told:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_runs_for_a_tenant_without_a_key() -> Result<()> {
    let [database, _] = databases().await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let outcome = rows(&runner, "acme", TENANTS, Duration::ZERO).await?;
    assert!(matches!(outcome, Err(RunError::Unavailable(_))), "{outcome:?}");
    // As after the key was made anew: what the server says is no longer taken for the server's.
    let runner = keyed(&database, 1).await?;
    database.connect().await?.batch_execute("UPDATE catalog.tenant_key SET inner_pad = outer_pad").await?;
    let outcome = rows(&runner, "acme", TENANTS, Duration::ZERO).await?;
    assert!(matches!(&outcome, Err(RunError::Failed { sqlstate, .. }) if sqlstate == "42501"), "{outcome:?}");
    Ok(())
}

/// The planner's estimate is made from the rows of all tenants.
#[tokio::test]
async fn no_tenant_learns_from_a_refusal_what_the_planner_knows() -> Result<()> {
    let [database, _] = databases().await?;
    let runner = keyed(&database, 2).await?;
    let sql = "SELECT count(*) AS n FROM generate_series(1, 100000)";
    let limits = RunLimits { cost: 1, ..RunLimits::default() };
    for (name, is_run) in [("", false), ("acme", true)] {
        let (statement, mut sink, mut other) = (bound(sql)?, JsonRows::default(), JsonRows::default());
        let alone = runner.run(&statement, tenant(name)?.as_ref(), limits, Permit::default(), &mut sink).await;
        let runs = vec![SnapshotRun { statement: &statement, limits, sink: &mut other }];
        let batch = runner.run_on_one_snapshot(runs, tenant(name)?.as_ref(), Duration::from_secs(5), permits()).await?;
        for outcome in [&alone, &batch.outcomes[0]] {
            assert_eq!(outcome.is_ok(), is_run, "{name}: {outcome:?}");
            assert!(is_run || matches!(outcome, Err(RunError::TooCostly { .. })), "{outcome:?}");
        }
    }
    Ok(())
}

/// A policy costs a metric neither its index nor its parallel plan.
#[tokio::test]
async fn policies_leave_the_planner_its_ways() -> Result<()> {
    let [database, _] = databases().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "INSERT INTO warehouse.orders SELECT 'tenant ' || n % 100, n FROM generate_series(1, 200000) AS n;
             CREATE INDEX ON warehouse.orders (tenant, number);
             ANALYZE warehouse.orders",
        )
        .await?;
    let reader = database.connect_as_reader().await?;
    reader
        .batch_execute("SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0")
        .await?;
    let plan = async |sql: &str| -> Result<String> {
        let lines = reader.query(&format!("EXPLAIN (COSTS OFF) {sql}"), &[]).await?;
        Ok(lines.iter().map(|line| line.get::<_, String>(0)).collect::<Vec<_>>().join("\n"))
    };
    let found = plan("SELECT sum(number) FROM orders").await?;
    assert!(found.contains("Index"), "{found}");
    reader
        .batch_execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
        .await?;
    let found = plan("SELECT sum(number) FROM orders").await?;
    assert!(found.contains("Gather"), "{found}");
    Ok(())
}

#[tokio::test]
async fn parallel_workers_see_the_same_tenant() -> Result<()> {
    let [database, _] = databases().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "INSERT INTO warehouse.orders SELECT 'tenant ' || n % 10, n FROM generate_series(1, 100000) AS n;
             ALTER TABLE warehouse.orders SET (parallel_workers = 2);
             ANALYZE warehouse.orders;
             DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET parallel_setup_cost = 0', current_database());
                 EXECUTE format('ALTER DATABASE %I SET parallel_tuple_cost = 0', current_database());
             END $$",
        )
        .await?;
    let runner = keyed(&database, 1).await?;
    let expected = r#"[{"tenants":"tenant 3","count":10000}]"#;
    for _ in 0..5 {
        assert_eq!(rows(&runner, "tenant 3", TENANTS, Duration::ZERO).await??, expected);
    }
    let reader = database.connect_as_reader().await?;
    let plan = reader.query(&format!("EXPLAIN (COSTS OFF) {TENANTS}"), &[]).await?;
    assert!(plan.iter().any(|line| line.get::<_, String>(0).contains("Gather")), "{plan:?}");
    Ok(())
}

/// A request may be given up at any moment, also while its session is told how tenants are named.
#[tokio::test]
async fn a_run_that_is_given_up_leaves_its_connection_fit_for_tenants() -> Result<()> {
    for database in databases().await? {
        let runner = keyed(&database, 1).await?;
        let (statement, tenant) = (bound(TENANTS)?, tenant("acme")?);
        for microseconds in (0..4_000).step_by(20) {
            // Each on a connection of its own, as all of them begin.
            let begun = keyed(&database, 1).await?;
            for runner in [&begun, &runner] {
                let mut sink = JsonRows::default();
                let run = runner.run(&statement, tenant.as_ref(), RunLimits::default(), Permit::default(), &mut sink);
                let _ = tokio::time::timeout(Duration::from_micros(microseconds), run).await;
            }
            let rows = rows(&begun, "acme", TENANTS, Duration::ZERO).await??;
            assert_eq!(rows, r#"[{"tenants":"acme","count":3}]"#, "after {microseconds} µs");
        }
    }
    Ok(())
}

/// What is said to be immutable is worked out when a plan is made.
#[tokio::test]
async fn cached_plans_are_discarded_between_tenants() -> Result<()> {
    for database in databases().await? {
        database
            .connect()
            .await?
            .batch_execute(
                "CREATE FUNCTION warehouse.whose() RETURNS text LANGUAGE sql IMMUTABLE AS
                     'SELECT string_agg(DISTINCT tenant, '','') FROM warehouse.orders';
                 CREATE FUNCTION warehouse.my_tenant() RETURNS text LANGUAGE sql IMMUTABLE AS
                     'SELECT tenancy.current_tenant()';
                 CREATE TABLE warehouse.wrapped AS SELECT * FROM warehouse.orders;
                 ALTER TABLE warehouse.wrapped ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY of_tenant ON warehouse.wrapped FOR SELECT USING (tenant = warehouse.my_tenant());
                 GRANT USAGE ON SCHEMA tenancy TO PUBLIC",
            )
            .await?;
        let runner = keyed(&database, 1).await?;
        for name in ["acme", "o'neil", "acme", "o'neil"] {
            for sql in
                ["SELECT whose() AS t", "SELECT max(tenant) AS t FROM wrapped", "SELECT min(tenant) AS t FROM wrapped"]
            {
                let rows = rows(&runner, name, sql, Duration::ZERO).await??;
                assert_eq!(rows, format!(r#"[{{"t":"{name}"}}]"#), "{sql}");
            }
        }
    }
    Ok(())
}
