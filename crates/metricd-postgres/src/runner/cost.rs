//! What the planner expects a statement to cost.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use metricd_execution::BoundStatement;
use moka::sync::Cache;

use super::connection::Connection;
use super::session::{Ahead, Answer, Session, SessionError};
use super::{BEGIN, CLEAN};

/// How long an estimate holds: it changes with the data, and asking for it costs a run two more round trips.
const ESTIMATE_LIFETIME: Duration = Duration::from_secs(60);

/// How long a statement is not sent with others once that has turned out to be wrong.
const APART: Duration = Duration::from_secs(5);

/// Of how many statements an estimate is held.
const MAX_ESTIMATES: u64 = 10_000;

/// The planner's estimates, by the text of the statement. One that was made for other values of the parameters will do.
#[derive(Debug, Clone)]
pub(super) struct Estimates {
    costs: Cache<Arc<str>, f64, RandomState>,
    /// The statements that are not sent with others, whatever they cost.
    apart: Cache<Arc<str>, (), RandomState>,
}

impl Default for Estimates {
    fn default() -> Self {
        Self { costs: cache(ESTIMATE_LIFETIME), apart: cache(APART) }
    }
}

/// What is held by the text of a statement, for so long.
fn cache<V: Clone + Send + Sync + 'static>(lifetime: Duration) -> Cache<Arc<str>, V, RandomState> {
    let cache = Cache::builder().max_capacity(MAX_ESTIMATES).time_to_live(lifetime);
    cache.build_with_hasher(RandomState::default())
}

impl Estimates {
    /// What the planner expects the statement to cost, in its own unit.
    pub(super) async fn of(
        &self,
        connection: &mut Connection,
        statement: &BoundStatement,
    ) -> Result<f64, SessionError> {
        if let Some(cost) = self.costs.get(statement.text()) {
            return Ok(cost);
        }
        let cost = explain(connection, statement).await?;
        self.costs.insert(statement.text().into(), cost);
        Ok(cost)
    }

    /// What is known of a statement that can be sent with others.
    pub(super) fn of_together(&self, text: &str) -> Option<f64> {
        self.costs.get(text).filter(|_| !self.apart.contains_key(text))
    }

    /// Has the statement sent by itself for a while.
    pub(super) fn set_apart(&self, text: &str) {
        self.apart.insert(text.into(), ());
    }
}

/// Asks the planner. An answer that cannot be read is no reason to refuse a statement.
async fn explain(connection: &mut Connection, statement: &BoundStatement) -> Result<f64, SessionError> {
    // Explaining may leave more behind than running: that of SELECT INTO makes a schema for temporary tables.
    let explain = format!("EXPLAIN (FORMAT JSON) {}", statement.text());
    let prelude = connection.own_prelude().await?;
    let mut before: Vec<_> = prelude.ahead().collect();
    if before.is_empty() {
        before.push(Ahead::Sql(BEGIN));
    }
    let session = &mut connection.session;
    session.ask_once(&before, &explain, statement.texts())?;
    session.ask(CLEAN)?;
    let cost = read_cost(session).await;
    session.finish().await?;
    cost
}

async fn read_cost(session: &mut Session) -> Result<f64, SessionError> {
    let mut cost = 0.0;
    while session.next(usize::MAX).await? != Answer::End {
        let plan = session.fields().next().flatten().and_then(|json| serde_json::from_slice(json).ok());
        let plan: serde_json::Value = plan.unwrap_or_default();
        cost = plan.pointer("/0/Plan/Total Cost").and_then(serde_json::Value::as_f64).unwrap_or_default();
    }
    Ok(cost)
}
