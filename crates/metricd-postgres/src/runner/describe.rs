//! What a statement would answer with, and whether the role may run it.

use std::time::Duration;

use metricd_execution::{BoundStatement, Column, FieldType, Permit, RunError};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use super::connection::Connection;
use super::error::run_error;
use super::session::{Ahead, SessionError};
use super::timing::Clock;
use super::types::type_name;
use super::{BEGIN, CLEAN, PgRunner};

/// How long PostgreSQL may take to answer.
const MAX_TIME: Duration = Duration::from_secs(3);

impl PgRunner {
    /// As for [`MetricRunner::describe`](metricd_execution::MetricRunner::describe).
    pub(super) async fn describe_statement(&self, statement: &BoundStatement) -> Result<Vec<Column>, RunError> {
        self.pool.quarantine().check(statement.text())?;
        let mut lease = self.timed_lease(&mut Clock::start(), &Permit::default(), false).await?;
        // The planner computes what is constant, which may not stop.
        lease.expect([statement.text().into()]);
        let described = timeout(MAX_TIME, describe(lease.connection(), statement)).await;
        described
            .unwrap_or(Err(SessionError::Lost("PostgreSQL took too long to answer".to_owned())))
            .map_err(|error| run_error(error, MAX_TIME))
    }
}

async fn describe(connection: &mut Connection, statement: &BoundStatement) -> Result<Vec<Column>, SessionError> {
    // Prepared for this once: what was prepared before may be of tables as they were then.
    let prepared = connection.prepare(statement.text()).await?;
    let described = prepared.description.columns();
    let described: Vec<_> =
        described.map(|column| (String::from_utf8_lossy(column.name).into_owned(), column.type_oid)).collect();
    let mut columns = Vec::with_capacity(described.len());
    for (name, type_oid) in described {
        let type_name = type_name(&connection.data_type(type_oid).await?);
        columns.push(Column { name, type_name, field_type: FieldType::Text });
    }
    // Rights are looked at when a statement begins, which explaining it does as well.
    let explain = format!("EXPLAIN (COSTS OFF) {}", statement.text());
    let prelude = connection.own_prelude().await?;
    let mut before: Vec<_> = prelude.ahead().collect();
    if before.is_empty() {
        before.push(Ahead::Sql(BEGIN));
    }
    let session = &mut connection.session;
    session.ask_once(&before, &explain, statement.texts())?;
    session.ask(CLEAN)?;
    let explained = session.finish().await;
    if !session.is_lost() {
        session.finish().await?;
    }
    match explained {
        // With other values it may be planned all the same.
        Err(SessionError::Refused { sqlstate, .. }) if sqlstate != *SqlState::INSUFFICIENT_PRIVILEGE.code() => {
            Ok(columns)
        }
        explained => explained.map(|()| columns),
    }
}
