//! Verifies that a statement still meets its contract and that the role may run it.

use std::collections::BTreeSet;
use std::time::Duration;

use metricd_domain::Contract;
use metricd_execution::{BoundStatement, Column, Expected, FieldType, RunError};
use serde_json::json;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::connection::Connection;
use crate::cost::send_explain;
use crate::error::run_error;
use crate::introspection::FOREIGN_KEYS_SQL;
use crate::resolver::enums::ENUM_LABELS_SQL;
use crate::runner::PgRunner;
use crate::session::SessionError;
use crate::timing::Clock;
use crate::transaction::finish_cleanup;

/// The time limit of a verification.
const MAX_TIME: Duration = Duration::from_secs(3);

/// Whether the labels of enum types, the time columns and foreign keys of tables, and the tables that names without a
/// schema mean equal those of a contract. `$1` is `{"types": [name], "enums": {name: [label]}, "tables": [{"schema",
/// "name", "is_visible", "columns", "time_columns", "foreign_keys"}]}`; without `is_visible` it is true, and a table
/// without `foreign_keys` has none.
const CATALOG_SQL: &str = include_str!("verify.sql");

impl PgRunner {
    /// Implements [`MetricRunner::verify`](metricd_execution::MetricRunner::verify).
    pub(crate) async fn verify_statement(
        &self,
        statement: &BoundStatement,
        contract: Option<&Contract>,
    ) -> Result<(), RunError> {
        self.pool.quarantine().check(statement.text())?;
        // It holds no permit of a caller. It may wait for a lock, or not stop.
        let held = self.pool.locks().permit().await?;
        let mut acquired = self.acquire_timed(&mut Clock::start(), held, false).await?;
        // The planner evaluates constants, which may not stop.
        acquired.set_running([statement.shared_text()]);
        let verified = timeout(MAX_TIME, verify(acquired.connection(), statement, contract)).await;
        let verified = verified
            .unwrap_or(Err(SessionError::Lost("PostgreSQL took too long to answer".to_owned())))
            .map_err(|error| run_error(error, MAX_TIME))?;
        if verified { Ok(()) } else { Err(RunError::Drifted) }
    }
}

/// Whether the statement meets the contract.
async fn verify(
    connection: &mut Connection,
    statement: &BoundStatement,
    contract: Option<&Contract>,
) -> Result<bool, SessionError> {
    // Prepared and looked up again: cached types and statements may be from before a change.
    connection.forget_types();
    let prepared = connection.prepare(statement.text(), None).await?;
    if let Some(contract) = contract {
        let described = prepared.description.columns();
        let described: Vec<_> =
            described.map(|column| (String::from_utf8_lossy(column.name).into_owned(), column.type_oid)).collect();
        let mut columns = Vec::with_capacity(described.len());
        for (name, type_oid) in described {
            let type_name = connection.type_name(type_oid).await?;
            columns.push(Column { name, type_name, field_type: FieldType::Text });
        }
        let parameter_types = connection.type_names(&prepared.parameters).await?;
        let is_met = Expected::of(contract).matches(&columns, &parameter_types);
        if !is_met || !is_in_catalog(connection, contract).await? {
            return Ok(false);
        }
    }
    may_run(connection, statement).await.map(|()| true)
}

/// Whether the catalogs match the enum types and tables of the contract.
async fn is_in_catalog(connection: &mut Connection, contract: &Contract) -> Result<bool, SessionError> {
    if contract.tables().is_empty() && contract.enums().is_empty() {
        return Ok(true);
    }
    let columns = contract.columns().iter().map(|column| &column.type_name);
    let parameters = contract.parameters().iter().map(|parameter| &parameter.type_name);
    let types: BTreeSet<_> = columns.chain(parameters).map(|name| name.trim_end_matches("[]")).collect();
    let expected = json!({"types": types, "enums": contract.enums(), "tables": contract.tables()});
    let row = connection.row(&catalog_sql(), &expected.to_string()).await?;
    Ok(matches!(row.first(), Some(Some(is_same)) if is_same == "true"))
}

/// [`CATALOG_SQL`] with its queries for labels and foreign keys.
pub(super) fn catalog_sql() -> String {
    let labels = ENUM_LABELS_SQL.replace("$1::jsonb", "($1::jsonb -> 'types'::text)");
    let foreign_keys = FOREIGN_KEYS_SQL.replace("$1::jsonb", "$1::jsonb -> 'tables'::text");
    CATALOG_SQL.replace("{labels}", &labels).replace("{foreign_keys}", &foreign_keys)
}

/// Whether the role has the privileges. PostgreSQL checks them at executor startup, which `EXPLAIN` includes.
async fn may_run(connection: &mut Connection, statement: &BoundStatement) -> Result<(), SessionError> {
    let session = send_explain(connection, statement, "COSTS OFF").await?;
    let explained = session.drain().await;
    if !session.is_lost() {
        finish_cleanup(session).await?;
    }
    match explained {
        // With other values it may plan.
        Err(SessionError::Refused { sqlstate, .. }) if sqlstate != *SqlState::INSUFFICIENT_PRIVILEGE.code() => Ok(()),
        explained => explained,
    }
}
