//! The planner's cost estimates.

mod distributed;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::error::SqlState;

use metricd_execution::BoundStatement;
use moka::sync::Cache;

use crate::connection::Connection;
use crate::connection::settings::set_time_zone;
use crate::session::{PreludeStatement, Response, Session, SessionError};
use crate::transaction::finish_cleanup;
use crate::transaction::{BEGIN_SQL, CLEANUP_SQL};

/// The maximum size of an `EXPLAIN` result that is read. It contains the constants that the planner has computed; a
/// statement whose conditions exceed this counts as too costly.
const MAX_PLAN_BYTES: usize = 4 << 20;

/// A connection with a plan of this size is retired: PostgreSQL would hold the plan for as long as the session lives.
const LARGE_PLAN_BYTES: usize = 128 << 10;

/// How long an estimate is valid. It changes with the data, and estimating costs a run a round trip.
const ESTIMATE_LIFETIME: Duration = Duration::from_secs(60);

/// How long a statement is not batched after it got no response in a batch, its response was too large, or it could not
/// be prepared.
const BATCHING_DENIAL: Duration = Duration::from_secs(5);

/// The maximum number of statements with an estimate.
const MAX_ESTIMATES: u64 = 10_000;

/// The planner's estimate for a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// The total cost in the planner's unit; infinite if the plan is too large to be read.
    pub(crate) cost: f64,
    /// Whether the plan is so large that the session should not keep it.
    pub(crate) is_large: bool,
    /// Whether other servers compute some of the rows.
    is_remote: bool,
}

impl Estimate {
    const TOO_LARGE: Self = Self { cost: f64::INFINITY, is_large: true, is_remote: false };
}

/// Estimates by the text of the statement. One made for other values of the parameters is good enough; that of a page is for
/// all pages.
#[derive(Debug, Clone)]
pub(crate) struct Estimates {
    costs: Cache<Arc<str>, Estimate>,
    /// The statements that are not batched, whatever they cost.
    batching_denied: Cache<Arc<str>, ()>,
}

impl Default for Estimates {
    fn default() -> Self {
        Self { costs: cache(ESTIMATE_LIFETIME), batching_denied: cache(BATCHING_DENIAL) }
    }
}

/// A cache by the text of a statement, with this time to live.
fn cache<V: Clone + Send + Sync + 'static>(lifetime: Duration) -> Cache<Arc<str>, V> {
    Cache::builder().max_capacity(MAX_ESTIMATES).time_to_live(lifetime).build()
}

impl Estimates {
    /// The estimate for the statement, from the cache or from PostgreSQL.
    pub(crate) async fn of(
        &self,
        connection: &mut Connection,
        statement: &BoundStatement,
    ) -> Result<Estimate, SessionError> {
        if let Some(estimate) = self.costs.get(statement.text()) {
            return Ok(estimate);
        }
        let estimate = explain(connection, statement).await?;
        self.costs.insert(statement.shared_text(), estimate);
        Ok(estimate)
    }

    /// The cost of a statement that may be batched, if it is known. One that waits for other servers, however cheap, would
    /// delay the others.
    pub(crate) fn batchable_cost(&self, text: &str) -> Option<f64> {
        let estimate = self.costs.get(text).filter(|estimate| !estimate.is_large && !estimate.is_remote);
        estimate.filter(|_| !self.batching_denied.contains_key(text)).map(|estimate| estimate.cost)
    }

    /// Denies batching to the statement for [`BATCHING_DENIAL`].
    pub(crate) fn deny_batching(&self, text: &str) {
        self.batching_denied.insert(text.into(), ());
    }
}

/// Runs `EXPLAIN`. A result that cannot be read does not refuse the statement.
async fn explain(connection: &mut Connection, statement: &BoundStatement) -> Result<Estimate, SessionError> {
    // Only VERBOSE shows the constants of the columns.
    let estimate = explain_with(connection, statement, "VERBOSE, FORMAT JSON").await?;
    if estimate != Estimate::TOO_LARGE {
        return Ok(estimate);
    }
    let estimate = explain_with(connection, statement, "FORMAT JSON").await?;
    Ok(Estimate { is_large: true, ..estimate })
}

/// Sends an `EXPLAIN` in a transaction that is rolled back. The caller reads the response, then calls
/// [`finish_cleanup`].
pub(crate) async fn send_explain<'a>(
    connection: &'a mut Connection,
    statement: &BoundStatement,
    options: &str,
) -> Result<&'a mut Session, SessionError> {
    // `EXPLAIN` may leave more behind than running: for SELECT INTO it creates a schema for temporary tables.
    let explain = format!("EXPLAIN ({options}) {}", statement.text());
    if statement.time_zone().is_some() {
        connection.forget_plans();
    }
    let prelude = connection.internal_prelude().await?;
    let mut before: Vec<_> = prelude.statements().collect();
    if before.is_empty() {
        before.push(PreludeStatement::Sql(BEGIN_SQL));
    }
    // For an estimate the planner calls functions, which must read their literals in the zone of the statement.
    let set = statement.time_zone().map(set_time_zone);
    before.extend(set.as_deref().map(PreludeStatement::Sql));
    let session = &mut connection.session;
    session.send_unnamed(&before, &explain, statement.texts_of_all_pages())?;
    session.send_simple(CLEANUP_SQL)?;
    Ok(session)
}

async fn explain_with(
    connection: &mut Connection,
    statement: &BoundStatement,
    options: &str,
) -> Result<Estimate, SessionError> {
    let session = send_explain(connection, statement, options).await?;
    let estimate = read_estimate(session).await;
    finish_cleanup(session).await?;
    match estimate {
        // PostgreSQL cannot even print the plan.
        Err(SessionError::Refused { sqlstate, .. }) if is_too_large(&sqlstate) => Ok(Estimate::TOO_LARGE),
        estimate => estimate,
    }
}

fn is_too_large(sqlstate: &str) -> bool {
    [SqlState::PROGRAM_LIMIT_EXCEEDED, SqlState::OUT_OF_MEMORY].iter().any(|code| code.code() == sqlstate)
}

async fn read_estimate(session: &mut Session) -> Result<Estimate, SessionError> {
    let mut estimate = Estimate { cost: 0.0, is_large: false, is_remote: false };
    loop {
        match session.next(MAX_PLAN_BYTES).await? {
            Response::End => return Ok(estimate),
            Response::OversizedRow => estimate = Estimate::TOO_LARGE,
            Response::Row => {
                let json = session.fields().next().flatten().unwrap_or_default();
                let (cost, is_remote) = cost_of_plan(json).unwrap_or_default();
                estimate = Estimate { cost, is_large: json.len() > LARGE_PLAN_BYTES, is_remote };
            }
        }
    }
}

/// What `EXPLAIN` prints in a plan that reads foreign tables. A text in the plan cannot contain it: there, quotes are escaped.
const FOREIGN_SCAN: &str = r#""Node Type": "Foreign Scan""#;

/// What `EXPLAIN` prints in a plan that Citus distributes.
const DISTRIBUTED_QUERY: &str = r#""Distributed Query": "#;

/// The total cost of a plan, and whether other servers compute some of its rows.
fn cost_of_plan(json: &[u8]) -> Option<(f64, bool)> {
    let json = str::from_utf8(json).ok()?;
    if json.contains(DISTRIBUTED_QUERY) {
        return Some((distributed::total_cost(json), true));
    }
    let [plan]: [Plan<TopmostNode>; 1] = serde_json::from_str(json).ok()?;
    Some((plan.top.total_cost, json.contains(FOREIGN_SCAN)))
}

#[derive(Deserialize)]
struct Plan<Node> {
    #[serde(rename = "Plan")]
    top: Node,
}

/// The rest of the document is not kept.
#[derive(Deserialize)]
struct TopmostNode {
    #[serde(rename = "Total Cost")]
    total_cost: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_plan_is_that_of_its_topmost_node() {
        let json = br#"[{"Plan": {"Node Type": "Limit", "Total Cost": 12.5,
            "Plans": [{"Node Type": "Seq Scan", "Total Cost": 99}]}, "Settings": {}}]"#;
        assert_eq!(cost_of_plan(json), Some((12.5, false)));
        assert_eq!(cost_of_plan(b"[]"), None);
        assert_eq!(cost_of_plan(b"QUERY PLAN"), None);
    }

    #[test]
    fn a_plan_with_a_foreign_scan_anywhere_is_remote() {
        let json = br#"[{"Plan": {"Node Type": "Append", "Total Cost": 7,
            "Plans": [{"Node Type": "Seq Scan", "Total Cost": 1}, {"Node Type": "Foreign Scan", "Total Cost": 5}]}}]"#;
        assert_eq!(cost_of_plan(json), Some((7.0, true)));
    }
}
