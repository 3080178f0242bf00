//! Cheap statements that are sent as one question.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use metricd_domain::{RowLimit, SqlText, Tenant};
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, RunOutcome, Statement};
use metricd_postgres::tenant_key;
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use serde_json::Value;
use tokio_postgres::Client;

use super::{rows, run, until_running};

/// It reads a table that a test can lock.
const LOCKABLE: &str = "SELECT count(*) AS locked FROM t";

/// Statements of one question are one transaction, which its time and its process tell from all others.
const WHEN: &str = "SELECT now() || ' ' || pg_backend_pid() AS at, count(*) AS rows FROM u";

/// A hardened database whose statements have run once, so that they are known.
struct Known {
    database: TestDatabase,
    owner: Client,
    runner: PgRunner,
}

impl Known {
    async fn of(statements: &[&str]) -> Result<Self> {
        Self::on(TestDatabase::new().await?, 2, statements).await
    }

    async fn on(database: TestDatabase, max_connections: usize, statements: &[&str]) -> Result<Self> {
        let config =
            RunnerConfig { max_connections, acquire_timeout: Duration::from_secs(10), ..RunnerConfig::default() };
        Self::configured(database, config, statements).await
    }

    async fn configured(database: TestDatabase, config: RunnerConfig, statements: &[&str]) -> Result<Self> {
        let owner = database.connect().await?;
        owner.batch_execute("CREATE TABLE warehouse.t (a integer); CREATE TABLE warehouse.u (a integer)").await?;
        let runner = PgRunner::new(&database.reader, config)?;
        for sql in statements.iter().chain(&[LOCKABLE, WHEN]) {
            let _ = rows(&runner, sql).await;
        }
        Ok(Self { database, owner, runner })
    }

    /// Runs the statements at once.
    async fn together(&self, statements: &[&str]) -> Vec<Result<String, RunError>> {
        self.within(&statements.iter().map(|sql| (*sql, RunLimits::default())).collect::<Vec<_>>()).await
    }

    async fn within(&self, statements: &[(&str, RunLimits)]) -> Vec<Result<String, RunError>> {
        join_all(statements.iter().map(|(sql, limits)| async {
            run(&self.runner, sql, *limits).await.map(|(outcome, rows)| format!("{rows}{}", cut(outcome)))
        }))
        .await
    }
}

fn cut(outcome: RunOutcome) -> &'static str {
    if outcome.truncated { ", and more" } else { "" }
}

/// When each of the transactions has begun.
fn times(answers: Vec<Result<String, RunError>>) -> Result<Vec<String>> {
    let mut times = Vec::new();
    for answer in answers {
        let rows: Value = serde_json::from_str(&answer?)?;
        times.push(rows[0]["at"].as_str().context("a time")?.to_owned());
    }
    Ok(times)
}

fn distinct(times: &[String]) -> usize {
    times.iter().collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn waiting_statements_are_sent_in_one_batch() -> Result<()> {
    let known = Known::of(&[]).await?;
    let times = times(known.together(&[WHEN; 8]).await)?;
    assert_eq!(distinct(&times), 1, "{times:?}");
    Ok(())
}

#[tokio::test]
async fn statements_that_arrive_during_a_batch_form_the_next() -> Result<()> {
    let known = Known::of(&[]).await?;
    // More than one question takes.
    let times = times(known.together(&[WHEN; 100]).await)?;
    let questions = distinct(&times);
    assert!((4..=10).contains(&questions), "{questions}");
    assert!(times.is_sorted(), "{times:?}");
    let mut later = Vec::new();
    for _ in 0..3 {
        later.push(rows(&known.runner, WHEN).await);
    }
    assert_eq!(distinct(&self::times(later)?), 3);
    Ok(())
}

#[tokio::test]
async fn each_statement_has_its_own_result_within_its_own_limits() -> Result<()> {
    const SERIES: &str = "SELECT n FROM generate_series(1, 3) AS n";
    const TEXT: &str = "SELECT repeat('x', 10) AS t FROM generate_series(1, 100)";
    const NONE: &str = "SELECT a FROM t WHERE a IS NOT NULL LIMIT 0";
    let known = Known::of(&[SERIES, TEXT]).await?;
    let two = RunLimits { rows: RowLimit::parse("2")?, ..RunLimits::default() };
    let three = RunLimits { rows: RowLimit::parse("3")?, ..RunLimits::default() };
    let small = RunLimits { size_bytes: 30, ..RunLimits::default() };
    let dear = RunLimits { cost: 0, ..RunLimits::default() };
    let asked = [(SERIES, two), (TEXT, small), (SERIES, three), (WHEN, dear), (SERIES, RunLimits::default())];
    let answers = known.within(&asked).await;
    let texts: Vec<_> = answers.iter().map(|answer| answer.as_deref().unwrap_or_default()).collect();
    let all = r#"[{"n":1},{"n":2},{"n":3}]"#;
    assert_eq!(texts, [r#"[{"n":1},{"n":2}], and more"#, r#"[{"t":"xxxxxxxxxx"}], and more"#, all, "", all]);
    assert!(matches!(answers[3], Err(RunError::TooCostly { .. })), "{:?}", answers[3]);
    assert_eq!(rows(&known.runner, NONE).await?, "[]");
    Ok(())
}

#[tokio::test]
async fn a_failed_statement_does_not_affect_the_others() -> Result<()> {
    const FAILING: &str = "SELECT 1 / (SELECT count(*) FROM u) AS x";
    let known = Known::of(&[FAILING]).await?;
    let answers = known.together(&[WHEN, FAILING, WHEN, FAILING, WHEN]).await;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok(_) => assert!(index % 2 == 0, "{answers:?}"),
            Err(RunError::Failed { sqlstate, .. }) => assert!(index % 2 == 1 && sqlstate == "22012", "{answers:?}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_statement_does_not_delay_the_others() -> Result<()> {
    const ALSO_LOCKED: &str = "SELECT count(*) AS also FROM t";
    let known = Known::on(TestDatabase::new().await?, 4, &[ALSO_LOCKED]).await?;
    let mut owner = known.database.connect().await?;
    let locking = owner.transaction().await?;
    locking.batch_execute("LOCK TABLE warehouse.t IN ACCESS EXCLUSIVE MODE").await?;
    let began = Instant::now();
    let (runner, limits) = (&known.runner, RunLimits { time: Duration::from_secs(2), ..RunLimits::default() });
    let others = async {
        let answers = join_all([WHEN, WHEN, WHEN].map(|sql| rows(runner, sql))).await;
        (answers, began.elapsed())
    };
    let (first, locked, (answers, elapsed)) =
        tokio::join!(run(runner, LOCKABLE, limits), run(runner, ALSO_LOCKED, limits), others);
    assert!(answers.iter().all(Result::is_ok) && elapsed < Duration::from_secs(1), "{elapsed:?} {answers:?}");
    for outcome in [first, locked] {
        assert!(matches!(outcome, Err(RunError::TableLocked)), "{outcome:?}");
    }
    locking.rollback().await?;
    assert_eq!(rows(runner, ALSO_LOCKED).await?, r#"[{"also":0}]"#);
    Ok(())
}

#[tokio::test]
async fn statements_behind_a_slow_batch_run_alone() -> Result<()> {
    // By its cost, a few of them are all that a question takes.
    const DEAR: &str = "SELECT count(*) FROM t WHERE (SELECT count(*) FROM generate_series(1, 60000)) > 0";
    let known = Known::on(TestDatabase::new().await?, 12, &[DEAR]).await?;
    let mut owner = known.database.connect().await?;
    let locking = owner.transaction().await?;
    locking.batch_execute("LOCK TABLE warehouse.t IN ACCESS EXCLUSIVE MODE").await?;
    let limits = RunLimits { time: Duration::from_secs(1), ..RunLimits::default() };
    let locked = join_all([(); 6].map(|()| run(&known.runner, DEAR, limits)));
    let (locked, behind) = tokio::join!(locked, known.together(&[WHEN; 64]));
    assert!(locked.iter().all(|outcome| matches!(outcome, Err(RunError::TableLocked))), "{locked:?}");
    // Those that are sent together have waited for each of the questions before.
    let times = times(behind)?;
    assert_eq!(distinct(&times), 64, "{times:?}");
    Ok(())
}

#[tokio::test]
async fn each_run_waits_for_a_connection_for_its_own_time() -> Result<()> {
    // Too dear to be sent with others.
    const DEAR: &str = "SELECT count(*) AS dear FROM t WHERE (SELECT count(*) FROM generate_series(1, 200000)) > 0";
    let known = Known::on(TestDatabase::new().await?, 1, &[]).await?;
    let config =
        RunnerConfig { max_connections: 1, acquire_timeout: Duration::from_millis(300), ..RunnerConfig::default() };
    let runner = PgRunner::new(&known.database.reader, config)?;
    for sql in [DEAR, WHEN] {
        rows(&runner, sql).await?;
    }
    let mut owner = known.database.connect().await?;
    let locking = owner.transaction().await?;
    locking.batch_execute("LOCK TABLE warehouse.t IN ACCESS EXCLUSIVE MODE").await?;
    let (sent, mut is_sent) = tokio::sync::mpsc::channel(1);
    let ask = async |after: u64| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let began = Instant::now();
        (rows(&runner, WHEN).await, began.elapsed())
    };
    let unlock = async {
        until_running(&known.owner, "dear", 1).await?;
        sent.send(()).await?;
        // Before the statement has waited for the lock in vain.
        tokio::time::sleep(Duration::from_millis(380)).await;
        locking.rollback().await?;
        anyhow::Ok(())
    };
    let others = async {
        is_sent.recv().await;
        tokio::join!(ask(0), ask(250), ask(280))
    };
    let (first, unlocked, (refused, second, third)) = tokio::join!(rows(&runner, DEAR), unlock, others);
    unlocked?;
    first?;
    let (refused, waited) = refused;
    assert!(matches!(refused, Err(RunError::NoConnection { .. })), "{refused:?}");
    assert!(waited >= Duration::from_millis(300), "{waited:?}");
    assert!(second.0.is_ok() && third.0.is_ok(), "{second:?} {third:?}");
    Ok(())
}

#[tokio::test]
async fn statements_of_a_dropped_batch_are_stopped() -> Result<()> {
    let known = Known::of(&[]).await?;
    let mut owner = known.database.connect().await?;
    let locking = owner.transaction().await?;
    locking.batch_execute("LOCK TABLE warehouse.t, warehouse.u IN ACCESS EXCLUSIVE MODE").await?;
    let waiting = join_all([LOCKABLE, WHEN, WHEN, WHEN].map(|sql| rows(&known.runner, sql)));
    // Once what was sent as one is stopped, they go on alone.
    let both = async { until_running(&known.owner, "SELECT", 2).await };
    tokio::select! {
        answers = waiting => anyhow::bail!("{answers:?}"),
        seen = both => seen?,
    }
    let given_up = Instant::now();
    until_running(&known.owner, "SELECT", 0).await?;
    ensure!(given_up.elapsed() < Duration::from_millis(250), "{:?}", given_up.elapsed());
    locking.rollback().await?;
    assert_eq!(rows(&known.runner, LOCKABLE).await?, r#"[{"locked":0}]"#);
    Ok(())
}

#[tokio::test]
async fn a_statement_that_cannot_be_batched_runs_alone() -> Result<()> {
    const CAST: &str = "SELECT interval '1 day' AS x";
    const LARGE: &str = "SELECT repeat('x', 1000) AS t FROM generate_series(1, 100)";
    const ROW: &str = "SELECT repeat('x', 100000) AS t";
    const ALTERED: &str = "SELECT * FROM v";
    let known = Known::of(&[]).await?;
    known.owner.batch_execute("CREATE TABLE warehouse.v (a integer); INSERT INTO warehouse.v VALUES (1)").await?;
    let asked = [CAST, WHEN, LARGE, ALTERED, ROW, WHEN, ALTERED];
    for sql in asked {
        rows(&known.runner, sql).await?;
    }
    let check = |answers: Vec<Result<String, RunError>>, altered: &str| -> Result<()> {
        let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
        assert_eq!((answers[0].as_str(), answers[2].len()), (r#"[{"x":"1 day"}]"#, 100 * 1_008 + 101));
        assert_eq!((answers[3].as_str(), answers[6].as_str(), answers[4].len()), (altered, altered, 100_010));
        Ok(())
    };
    check(known.together(&asked).await, r#"[{"a":1}]"#)?;
    known.owner.batch_execute("ALTER TABLE warehouse.v ADD COLUMN b text").await?;
    check(known.together(&asked).await, r#"[{"a":1,"b":null}]"#)?;
    Ok(())
}

#[tokio::test]
async fn more_statements_than_the_statement_cache_holds_can_be_batched() -> Result<()> {
    let known = Known::of(&[]).await?;
    let statements: Vec<_> = (0..300).map(|number| format!("SELECT {number} AS n FROM u LIMIT 0")).collect();
    let statements: Vec<_> = statements.iter().map(String::as_str).collect();
    for _ in 0..2 {
        for answer in known.together(&statements).await {
            assert_eq!(answer?, "[]");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_connection_is_not_the_fault_of_a_statement() -> Result<()> {
    let known = Known::of(&[]).await?;
    known.together(&[WHEN; 4]).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'metricd_reader' AND datname = current_database()";
    known.owner.execute(end, &[]).await?;
    let gone =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'metricd_reader' AND datname = current_database()";
    while known.owner.query_one(gone, &[]).await?.get::<_, i64>(0) > 0 {}
    let answers = known.together(&[WHEN; 8]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn one_connection_will_do() -> Result<()> {
    let known = Known::on(TestDatabase::new().await?, 1, &[]).await?;
    for _ in 0..20 {
        let answers = join_all([WHEN; 40].map(|sql| rows(&known.runner, sql))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn no_statement_can_change_what_is_behind_it() -> Result<()> {
    const CHANGING: &str = "SELECT z FROM changing";
    const CHANGED: &str = "SELECT current_setting('timezone') AS z, (SELECT count(*) FROM u) AS n";
    let database = TestDatabase::new().await?;
    // PostgreSQL takes its word for it that it is stable.
    let sql = "CREATE FUNCTION warehouse.zone() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
                   AS $$ BEGIN RETURN set_config('timezone', 'Asia/Tokyo', true); END $$;
               CREATE VIEW warehouse.changing AS SELECT warehouse.zone() AS z;
               GRANT SELECT ON warehouse.changing TO metricd_reader";
    database.connect().await?.batch_execute(sql).await?;
    let known = Known::on(database, 9, &[CHANGING, CHANGED]).await?;
    let answers = known.together(&[CHANGING, CHANGED, CHANGING, CHANGED]).await;
    let answers: Vec<_> = answers.into_iter().collect::<Result<_, _>>()?;
    let (tokyo, utc) = (r#"[{"z":"Asia/Tokyo"}]"#, r#"[{"z":"UTC","n":0}]"#);
    assert_eq!(answers, [tokyo, utc, tokyo, utc]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_batched_if_it_could_have_side_effects_or_belongs_to_a_tenant() -> Result<()> {
    let known = Known::on(TestDatabase::unhardened().await?, 9, &[]).await?;
    let times_of = times(known.together(&[WHEN; 8]).await)?;
    assert_eq!(distinct(&times_of), 8, "{times_of:?}");

    let known = Known::on(TestDatabase::new().await?, 9, &[]).await?;
    let key = {
        let owner = known.database.owner.clone();
        tokio::task::spawn_blocking(move || tenant_key(&owner)).await??.into()
    };
    let (runner, tenant) = (known.runner.clone().naming_tenants_by(key), Tenant::parse("a")?);
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(WHEN)?)?);
    let answers = join_all([(); 8].map(|()| async {
        let mut rows = JsonRows::default();
        runner.run(&statement, Some(&tenant), RunLimits::default(), Permit::default(), &mut rows).await?;
        Ok(String::from_utf8_lossy(&rows.finish()).into_owned())
    }));
    let times = times(answers.await)?;
    assert_eq!(distinct(&times), 8, "{times:?}");
    Ok(())
}

#[tokio::test]
async fn each_statement_is_sent_alone_if_batching_is_off() -> Result<()> {
    let config = RunnerConfig { max_connections: 9, batching: false, ..RunnerConfig::default() };
    let known = Known::configured(TestDatabase::new().await?, config, &[]).await?;
    let times = times(known.together(&[WHEN; 8]).await)?;
    assert_eq!(distinct(&times), 8, "{times:?}");
    Ok(())
}
