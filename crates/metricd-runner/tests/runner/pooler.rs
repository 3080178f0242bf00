//! The reader behind a pooler that gives each transaction a process of its choice.

use std::time::Duration;

use anyhow::{Context, Result};
use metricd_database::DataSchemas;
use metricd_domain::{SqlText, Tenant};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, SnapshotRun, Statement};
use metricd_postgres::{DataPlace, check_reader, data_place, open_classes, refuse_pooler, survey_server, tenant_key};
use metricd_runner::{PgRunner, RunnerConfig, survey_pooler};
use metricd_test_support::{PoolMode, Pooler, StartupOptions, TestDatabase};
use tokio::task::{JoinSet, spawn_blocking};

use crate::permits;

const PROCESSES: usize = 4;

/// Statements whose results differ in names, types, forms and number of columns, with their only answer.
const METRICS: [(&str, &str); 8] = [
    ("SELECT 'm0' AS who", r#"[{"who":"m0"}]"#),
    ("SELECT 'm1' AS who", r#"[{"who":"m1"}]"#),
    ("SELECT 2::bigint AS who", r#"[{"who":2}]"#),
    ("SELECT 3::double precision AS who", r#"[{"who":3.0}]"#),
    ("SELECT interval '4 days' AS who", r#"[{"who":"4 days"}]"#),
    ("SELECT ARRAY[interval '5 days'] AS who, 5 AS five", r#"[{"who":["5 days"],"five":5}]"#),
    ("SELECT timestamptz '2025-06-01 00:00+02' AS who", r#"[{"who":"2025-05-31T22:00:00Z"}]"#),
    ("SELECT 'sad'::mood AS who", r#"[{"who":"sad"}]"#),
];

const TABLES: &str = "
    CREATE TYPE warehouse.mood AS ENUM ('sad');
    CREATE TABLE warehouse.orders (tenant text NOT NULL, number integer NOT NULL);
    INSERT INTO warehouse.orders SELECT tenant, n FROM unnest(ARRAY['red', 'blue']) AS tenant, generate_series(1, 3) AS n;
    ALTER TABLE warehouse.orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY of_tenant ON warehouse.orders FOR SELECT USING (tenant = (SELECT tenancy.current_tenant()));";

const OF_TENANT: &str = "SELECT string_agg(DISTINCT tenant, ',') AS who, count(*) AS n FROM orders";

fn bound(sql: &str) -> Result<BoundStatement> {
    Ok(BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?))
}

async fn rows(
    runner: &PgRunner,
    tenant: Option<&Tenant>,
    sql: &str,
    limits: RunLimits,
) -> Result<Result<String, RunError>> {
    let (statement, mut sink) = (bound(sql)?, JsonRows::default());
    let outcome = runner.run(&statement, tenant, limits, Permit::default(), &mut sink).await;
    Ok(outcome.map(|_| String::from_utf8_lossy(&sink.finish()).into_owned()))
}

/// A database, and a runner of its reader behind a pooler.
async fn pooled(database: &TestDatabase, processes: usize, options: StartupOptions) -> Result<(PgRunner, Pooler)> {
    database.connect().await?.batch_execute(TABLES).await?;
    let pooler = Pooler::listen(database, processes, options).await?;
    let config =
        RunnerConfig { max_connections: 8, acquire_timeout: Duration::from_secs(20), ..RunnerConfig::default() };
    let owner = database.owner.clone();
    let key = spawn_blocking(move || tenant_key(&owner)).await??.into();
    let runner = PgRunner::new(&pooler.reader, config)?.exporting_as(&database.owner)?.naming_tenants_by(key);
    Ok((runner, pooler))
}

#[tokio::test]
async fn every_answer_is_that_of_its_statement() -> Result<()> {
    for options in [StartupOptions::Ignored, StartupOptions::Refused] {
        for database in [TestDatabase::new().await?, TestDatabase::unhardened().await?] {
            let (runner, _) = pooled(&database, PROCESSES, options).await?;
            let mut clients = JoinSet::new();
            for client in 0..8 {
                let runner = runner.clone();
                clients.spawn(async move {
                    for turn in 0..40 {
                        let (sql, expected) = METRICS[(client + turn) % METRICS.len()];
                        // A stream's transaction has a limit of time of its own.
                        let write_timeout = Duration::from_secs(u64::from(turn % 5 == 0));
                        let limits = RunLimits { write_timeout, ..RunLimits::default() };
                        assert_eq!(rows(&runner, None, sql, limits).await??, expected, "{sql}");
                        let tenant = if (client + turn) % 2 == 0 { "red" } else { "blue" };
                        let found = rows(&runner, Some(&Tenant::parse(tenant)?), OF_TENANT, limits).await??;
                        assert_eq!(found, format!(r#"[{{"who":"{tenant}","n":3}}]"#));
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(ended) = clients.join_next().await {
                ended??;
            }
            // Without a tenant there are no rows.
            let found = rows(&runner, None, OF_TENANT, RunLimits::default()).await??;
            assert_eq!(found, r#"[{"who":null,"n":0}]"#);
        }
    }
    Ok(())
}

#[tokio::test]
async fn several_statements_see_one_snapshot_also_where_the_pooler_has_one_process() -> Result<()> {
    for processes in [1, PROCESSES] {
        let database = TestDatabase::new().await?;
        let (runner, _) = pooled(&database, processes, StartupOptions::Ignored).await?;
        for tenant in [None, Some("red"), Some("blue")] {
            let dear = "SELECT count(*) AS n FROM generate_series(1, 100000) AS a, generate_series(1, 4) AS b";
            let (own, tenant) = (tenant, tenant.map(Tenant::parse).transpose()?);
            let texts: Vec<_> = METRICS.iter().map(|(sql, _)| *sql).chain([OF_TENANT, dear, dear]).collect();
            let statements = texts.iter().map(|sql| bound(sql)).collect::<Result<Vec<_>>>()?;
            let mut sinks: Vec<_> = texts.iter().map(|_| JsonRows::default()).collect();
            let limits = RunLimits::default();
            let runs =
                statements.iter().zip(&mut sinks).map(|(statement, sink)| SnapshotRun { statement, limits, sink });
            let outcome =
                runner.run_on_one_snapshot(runs.collect(), tenant.as_ref(), Duration::from_secs(20), permits()).await?;
            for outcome in outcome.outcomes {
                outcome?;
            }
            let found: Vec<_> =
                sinks.into_iter().map(|sink| String::from_utf8_lossy(&sink.finish()).into_owned()).collect();
            let of_tenant =
                own.map_or(r#"[{"who":null,"n":0}]"#.to_owned(), |own| format!(r#"[{{"who":"{own}","n":3}}]"#));
            let expected: Vec<_> = METRICS.iter().map(|(_, expected)| (*expected).to_owned()).collect();
            assert_eq!(found[..8], expected);
            assert_eq!(found[8..], [of_tenant, r#"[{"n":400000}]"#.to_owned(), r#"[{"n":400000}]"#.to_owned()]);
        }
    }
    Ok(())
}

/// Other clients of the pooler, of the same role, leave what they have set in the processes.
#[tokio::test]
async fn what_other_clients_have_left_in_a_process_does_not_reach_a_run() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let (runner, pooler) = pooled(&database, 1, StartupOptions::Ignored).await?;
    let left = "SET search_path = pg_temp, public; SET timezone = 'Asia/Tokyo'; SET intervalstyle = iso_8601;
                SET datestyle = german; SET extra_float_digits = -10; SET bytea_output = escape;
                SET statement_timeout = 0; SET transform_null_equals = on;
                CREATE TEMP TABLE metrics (id text); CREATE TEMP TABLE orders AS SELECT 'evil' AS tenant, 1 AS number";
    let other = pooler.connect().await?;
    // For the transactions that follow.
    other.batch_execute("SET default_transaction_read_only = off").await?;
    other.batch_execute(left).await?;
    let sql = "SELECT interval '1 day 2 hours' AS i, ARRAY[0.1::float8::text] AS f, current_setting('timezone') AS z,
               tstzrange('2025-06-01 00:00+00', NULL) AS r, current_setting('transaction_read_only') AS o,
               current_setting('statement_timeout') AS t, (NULL::integer = NULL) IS NULL AS n";
    let expected = r#"[{"i":"1 day 02:00:00","f":["0.1"],"z":"UTC","r":"[\"2025-06-01 00:00:00+00\",)","o":"on","t":"6s","n":true}]"#;
    assert_eq!(rows(&runner, None, sql, RunLimits::default()).await??, expected);
    let red = Tenant::parse("red")?;
    assert_eq!(rows(&runner, Some(&red), OF_TENANT, RunLimits::default()).await??, r#"[{"who":"red","n":3}]"#);
    let columns = rows(&runner, None, "SELECT count(obsolescence) AS n FROM metrics", RunLimits::default()).await?;
    assert!(columns.is_ok(), "{columns:?}");
    // The other client finds what it has left.
    assert_eq!(other.query_one("SHOW timezone", &[]).await?.get::<_, &str>(0), "Asia/Tokyo");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_is_given_up_is_stopped_and_the_process_goes_on() -> Result<()> {
    let database = TestDatabase::unhardened().await?;
    let (runner, _) = pooled(&database, 2, StartupOptions::Ignored).await?;
    let client = database.connect().await?;
    let limits = RunLimits { time: Duration::from_millis(100), ..RunLimits::default() };
    for _ in 0..5 {
        let outcome = rows(&runner, None, "SELECT pg_sleep(30)", limits).await?;
        assert!(matches!(outcome, Err(RunError::TimedOut { .. })), "{outcome:?}");
        for (sql, expected) in METRICS {
            assert_eq!(rows(&runner, None, sql, RunLimits::default()).await??, expected);
        }
    }
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%'
                   AND pid <> pg_backend_pid() AND datname = current_database()";
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while client.query_one(running, &[]).await?.get::<_, i64>(0) > 0 {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "a statement goes on");
    }
    Ok(())
}

#[tokio::test]
async fn a_column_s_type_may_change_between_two_runs() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (runner, _) = pooled(&database, PROCESSES, StartupOptions::Ignored).await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.t AS SELECT 120::bigint AS a, 1 AS b").await?;
    for (column_type, expected) in [
        ("bigint", "120"),
        ("double precision", "120.0"),
        ("interval", "\"120 days\""),
        ("text", "\"120 days\""),
        ("interval", "\"120 days\""),
    ] {
        let using = if column_type == "interval" {
            "(a || CASE WHEN a::text LIKE '% days' THEN '' ELSE ' days' END)"
        } else {
            "a"
        };
        client
            .batch_execute(&format!("ALTER TABLE warehouse.t ALTER a TYPE {column_type} USING {using}::{column_type}"))
            .await?;
        let found = rows(&runner, None, "SELECT * FROM t", RunLimits::default()).await??;
        assert_eq!(found, format!(r#"[{{"a":{expected},"b":1}}]"#));
    }
    Ok(())
}

#[tokio::test]
async fn no_snapshot_is_remembered_of_a_session_that_is_not_postgresql_s() -> Result<()> {
    let database = TestDatabase::new().await?;
    let (runner, _) = pooled(&database, PROCESSES, StartupOptions::Ignored).await?;
    assert!(runner.snapshot_token().await?.is_none());
    assert!(PgRunner::new(&database.reader, RunnerConfig::default())?.snapshot_token().await?.is_some());
    assert!(!runner.relations().await?.is_empty());
    runner.check().await?;
    Ok(())
}

#[tokio::test]
async fn the_reader_may_be_behind_a_pooler_and_the_owner_not() -> Result<()> {
    for options in [StartupOptions::Ignored, StartupOptions::Refused] {
        let database = TestDatabase::new().await?;
        let pooler = Pooler::listen(&database, PROCESSES, options).await?;
        let (owner, reader) = (database.owner.clone(), pooler.reader);
        spawn_blocking(move || {
            for _ in 0..10 {
                check_reader(&reader, &DataSchemas::default())?;
                assert!(open_classes(&reader)?.is_empty());
                assert_eq!(data_place(&owner, &reader)?, DataPlace::Catalog);
            }
            refuse_pooler(&owner)?;
            let refused = refuse_pooler(&reader).err().context("a refusal")?.to_string();
            assert!(refused.contains("pooler") && refused.contains("DATABASE_URL"), "{refused}");
            assert!(survey_server(&owner)?.major >= 15);
            anyhow::Ok(())
        })
        .await??;
    }
    Ok(())
}

#[tokio::test]
async fn statement_mode_is_refused_with_what_to_set() -> Result<()> {
    for options in [StartupOptions::Ignored, StartupOptions::Refused] {
        let database = TestDatabase::new().await?;
        let pooler = Pooler::listen_in(PoolMode::Statement, &database, PROCESSES, options).await?;
        let (owner, reader) = (database.owner.clone(), pooler.reader.clone());
        spawn_blocking(move || {
            let schemas = DataSchemas::default();
            let refused = [
                data_place(&owner, &reader).err().map(|error| error.to_string()),
                check_reader(&reader, &schemas).err().map(|error| error.to_string()),
            ];
            for refused in refused {
                let refused = refused.context("a refusal")?;
                assert!(refused.contains("`pool_mode = transaction`") && !refused.contains('\n'), "{refused}");
            }
            anyhow::Ok(refuse_pooler(&reader).err().context("a refusal")?)
        })
        .await??;
        // A pooler that changes to statement mode fails statements, and gives no wrong result.
        let runner = PgRunner::new(&pooler.reader, RunnerConfig::default())?;
        let outcome = rows(&runner, None, "SELECT 1 AS n", RunLimits::default()).await?;
        assert!(matches!(outcome, Err(RunError::Unavailable(_))), "{outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn session_mode_gives_the_answers_of_transaction_mode() -> Result<()> {
    for options in [StartupOptions::Ignored, StartupOptions::Refused] {
        let database = TestDatabase::new().await?;
        database.connect().await?.batch_execute(TABLES).await?;
        let pooler = Pooler::listen_in(PoolMode::Session, &database, 2, options).await?;
        let runner = PgRunner::new(&pooler.reader, RunnerConfig { max_connections: 2, ..RunnerConfig::default() })?;
        for (sql, expected) in METRICS {
            assert_eq!(rows(&runner, None, sql, RunLimits::default()).await??, expected, "{sql}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_backend_of_two_clients_shows_transaction_mode() -> Result<()> {
    let database = TestDatabase::new().await?;
    for (mode, processes, expected) in [
        (PoolMode::Transaction, 1, true),
        (PoolMode::Session, 2, false),
        // The second client waits.
        (PoolMode::Session, 1, false),
    ] {
        let pooler = Pooler::listen_in(mode, &database, processes, StartupOptions::Refused).await?;
        let facts = survey_pooler(&pooler.reader).await?;
        assert_eq!((facts.shares_backends, facts.settings), (expected, None), "{mode:?} with {processes}");
    }
    Ok(())
}
