//! Clients that ask for a column without a pause, while its type is changed again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};
use metricd_domain::SqlText;
use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits, Statement};
use metricd_runner::{PgRunner, RunnerConfig};
use metricd_test_support::TestDatabase;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many clients ask at once.
const CLIENTS: usize = 8;

/// After how many answers the type is changed.
const ANSWERS_BETWEEN_CHANGES: usize = 8;

/// The types that the column has, one after the other, with the name of its type and its value in each.
const TYPES: [(&str, &str, &str); 4] = [
    ("bigint USING 120", "bigint", "120"),
    ("double precision USING 120", "double precision", "120.0"),
    ("interval USING '120 days'", "interval", "\"120 days\""),
    ("text USING '120 words'", "text", "\"120 words\""),
];

/// What is asked for: the column alone, beside one that comes in text format, and in an array.
const STATEMENTS: [(&str, &str); 3] = [
    ("SELECT v FROM changing", "{}"),
    ("SELECT v, interval '1 day' AS d FROM changing", "{}"),
    ("SELECT array_agg(v) AS v FROM changing", "[{}]"),
];

/// What became of the answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// With the value that the column has as the type that the answer names.
    pub(crate) right: AtomicUsize,
    /// With any other.
    pub(crate) wrong: AtomicUsize,
    /// An error of PostgreSQL.
    pub(crate) failed: AtomicUsize,
    /// How often the type was changed meanwhile.
    pub(crate) changes: AtomicUsize,
}

/// Asks until there are so many answers.
pub(crate) async fn ask_while_types_change(count: usize) -> Result<Arc<Answers>> {
    let database = TestDatabase::new().await?;
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE warehouse.changing AS SELECT 120::bigint AS v").await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig { max_connections: CLIENTS, ..RunnerConfig::default() })?;
    let answers = Arc::new(Answers::default());
    let due = Arc::new(Semaphore::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (runner, answers, due) = (runner.clone(), Arc::clone(&answers), Arc::clone(&due));
        clients.spawn(async move {
            for turn in 0..count.div_ceil(CLIENTS) {
                ask(&runner, &answers, STATEMENTS[(client + turn) % STATEMENTS.len()]).await?;
                if turn % ANSWERS_BETWEEN_CHANGES == client {
                    due.add_permits(1);
                }
            }
            anyhow::Ok(())
        });
    }
    let changing = async {
        loop {
            for (column_type, ..) in TYPES {
                due.acquire().await?.forget();
                client.batch_execute(&format!("ALTER TABLE warehouse.changing ALTER v TYPE {column_type}")).await?;
                answers.changes.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let asking = async {
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(())
    };
    tokio::select! {
        changed = changing => changed,
        asked = asking => asked,
    }
    .map(|()| answers)
}

async fn ask(runner: &PgRunner, answers: &Answers, (sql, shape): (&str, &str)) -> Result<()> {
    let statement = BoundStatement::without_arguments(&Statement::parse(&SqlText::parse(sql)?)?);
    let mut rows = JsonRows::default();
    match runner.run(&statement, None, RunLimits::default(), Permit::default(), &mut rows).await {
        Ok(_) => {}
        Err(RunError::Failed { .. }) => {
            answers.failed.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Err(error) => bail!(error),
    }
    let name = rows.result_columns().first().map(|column| column.type_name.trim_end_matches("[]").to_owned());
    let text = String::from_utf8(rows.finish())?;
    let expected = TYPES.iter().find(|(_, type_name, _)| name.as_deref() == Some(*type_name)).map(|(_, _, value)| {
        let rest = if sql.contains(" AS d") { ",\"d\":\"1 day\"" } else { "" };
        format!("[{{\"v\":{}{rest}}}]", shape.replace("{}", value))
    });
    let counter = if expected.as_ref() == Some(&text) { &answers.right } else { &answers.wrong };
    counter.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
