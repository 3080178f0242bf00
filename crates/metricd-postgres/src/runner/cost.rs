//! What the planner expects a statement to cost.

use std::sync::Arc;
use std::time::Duration;

use metricd_execution::BoundStatement;
use moka::sync::Cache;
use tokio_postgres::Error;

use super::CLEAN;
use super::argument::Argument;
use super::connection::Connection;
use super::plan::RawFields;

/// How long an estimate holds: it changes with the data, and asking for it costs a run two more round trips.
const ESTIMATE_LIFETIME: Duration = Duration::from_secs(60);

/// Of how many statements an estimate is held.
const MAX_ESTIMATES: u64 = 10_000;

/// The planner's estimates, by the text of the statement. One that was made for other values of the parameters will do.
#[derive(Debug, Clone)]
pub(super) struct Estimates(Cache<Arc<str>, f64>);

impl Default for Estimates {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_ESTIMATES).time_to_live(ESTIMATE_LIFETIME).build())
    }
}

impl Estimates {
    /// What the planner expects the statement to cost, in its own unit.
    pub(super) async fn of(&self, client: &Connection, statement: &BoundStatement) -> Result<f64, Error> {
        if let Some(cost) = self.0.get(statement.text()) {
            return Ok(cost);
        }
        let cost = explain(client, statement).await?;
        self.0.insert(statement.text().into(), cost);
        Ok(cost)
    }
}

/// Asks the planner. An answer that cannot be read is no reason to refuse a statement.
async fn explain(client: &Connection, statement: &BoundStatement) -> Result<f64, Error> {
    // Explaining may leave more behind than running: that of SELECT INTO makes a schema for temporary tables.
    client.batch_execute("BEGIN READ ONLY").await?;
    let cost = explain_within(client, statement).await;
    client.batch_execute(CLEAN).await?;
    cost
}

async fn explain_within(client: &Connection, statement: &BoundStatement) -> Result<f64, Error> {
    let explaining = client.prepare(&format!("EXPLAIN (FORMAT JSON) {}", statement.text())).await?;
    if explaining.params().len() != statement.arguments().len() {
        // The run says what is wrong.
        return Ok(0.0);
    }
    let arguments: Vec<_> = statement.arguments().iter().map(|value| Argument::of(value.as_ref())).collect();
    let arguments: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        arguments.iter().map(|argument| argument as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    let row = client.query_one(&explaining, &arguments).await?;
    let plan = RawFields::of(&row).next().flatten().and_then(|json| serde_json::from_slice(json).ok());
    let plan: serde_json::Value = plan.unwrap_or_default();
    Ok(plan.pointer("/0/Plan/Total Cost").and_then(serde_json::Value::as_f64).unwrap_or_default())
}
