//! Reads the state of the data and its tables: the snapshot token, fingerprints, row-level security.

mod relations;
mod remote_relations;
mod tables;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metricd_domain::{ContractTable, ParameterValue};
use metricd_execution::{
    BoundStatement, Column, EncodeError, Fields, Permit, Relation, RemoteRelations, RowSink, RunError, RunLimits,
    SnapshotToken, TimeZones,
};

use self::relations::relations;
use self::remote_relations::{REMOTE_RELATIONS_SQL, remote_relations};
use self::tables::TABLES_SQL;
use crate::run::Task;
use crate::runner::PgRunner;
use crate::timing::Clock;

/// The current snapshot, which changes with every commit. None on a standby, which shows commits later.
const SNAPSHOT_SQL: &str = "SELECT pg_catalog.pg_current_snapshot()::text WHERE NOT pg_catalog.pg_is_in_recovery()";

/// The last snapshot that was read, and when that one was first read.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastSnapshot(Arc<Mutex<Option<(String, Instant)>>>);

impl LastSnapshot {
    /// Whether this snapshot, read at `read_at`, was first read this long before. Records it.
    fn is_older(&self, snapshot: &str, read_at: Instant, age: Duration) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = last.as_ref().filter(|(last, _)| last == snapshot) {
            return read_at.saturating_duration_since(*since) >= age;
        }
        *last = Some((snapshot.to_owned(), Instant::now()));
        false
    }
}
/// The names of the time zones.
const TIME_ZONES_SQL: &str = "SELECT pg_catalog.string_agg(name, E'\\n'::text) FROM pg_catalog.pg_timezone_names";

/// The time limit of each query.
const INTROSPECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of reading the time zones. PostgreSQL reads a file for each.
const TIME_ZONES_TIMEOUT: Duration = Duration::from_secs(5);

const RELATIONS_SQL: &str = include_str!("introspection/relations.sql");

/// The fingerprint of tables, `$1`.
pub(crate) const FINGERPRINT_SQL: &str = include_str!("introspection/fingerprint.sql");

/// The foreign keys of tables, `$1`.
pub(crate) const FOREIGN_KEYS_SQL: &str = include_str!("introspection/foreign_keys.sql");

/// The statements of this module, with `NULL` for their parameters.
pub(crate) fn own_statements() -> Vec<String> {
    let verify = verify::catalog_sql();
    let catalogs = [RELATIONS_SQL, REMOTE_RELATIONS_SQL, TABLES_SQL, FINGERPRINT_SQL, &verify];
    let statements = [SNAPSHOT_SQL, TIME_ZONES_SQL].into_iter().chain(catalogs);
    statements.map(|sql| sql.replace("$1", "NULL")).collect()
}

impl PgRunner {
    /// Implements [`MetricRunner::snapshot_token`](metricd_execution::MetricRunner::snapshot_token).
    pub(crate) async fn current_snapshot(&self) -> Result<Option<SnapshotToken>, RunError> {
        // One of several servers may lag behind another.
        if !self.has_one_server {
            return Ok(None);
        }
        let read_at = Instant::now();
        let (snapshot, clock) = self.query_value(BoundStatement::internal(SNAPSHOT_SQL, Vec::new())).await?;
        // Behind a pooler the age of the session with PostgreSQL is unknown.
        let Some(session_since) = clock.session_since else { return Ok(None) };
        // Until then a run may still have the result from before the last commit, by an older plan.
        if let (Some(snapshot), Some(age)) = (&snapshot, self.pool.max_plan_age())
            && !self.last_snapshot.is_older(snapshot, read_at, age)
        {
            return Ok(None);
        }
        Ok(snapshot.map(|snapshot| SnapshotToken::new(snapshot, read_at, session_since)))
    }

    /// Implements [`MetricRunner::fingerprint`](metricd_execution::MetricRunner::fingerprint).
    pub(crate) async fn fingerprint_of(&self, tables: &[ContractTable]) -> Result<Option<String>, RunError> {
        // Names always serialize.
        let tables = ParameterValue::unvalidated(&serde_json::to_string(tables).unwrap_or_default());
        let (fingerprint, _) = self.query_value(BoundStatement::internal(FINGERPRINT_SQL, vec![Some(tables)])).await?;
        Ok(fingerprint)
    }

    /// Implements [`MetricRunner::relations`](metricd_execution::MetricRunner::relations).
    pub(crate) async fn relations_of_warehouse(&self) -> Result<Vec<Relation>, RunError> {
        let (document, _) = self.query_value(BoundStatement::internal(RELATIONS_SQL, Vec::new())).await?;
        relations(&document.unwrap_or_default())
            .map_err(|error| RunError::Unavailable(format!("the relations are not as expected: {error}")))
    }

    /// Implements [`MetricRunner::remote_relations`](metricd_execution::MetricRunner::remote_relations).
    pub(crate) async fn relations_of_other_servers(&self) -> Result<RemoteRelations, RunError> {
        let (document, _) = self.query_value(BoundStatement::internal(REMOTE_RELATIONS_SQL, Vec::new())).await?;
        remote_relations(&document.unwrap_or_default())
            .map_err(|error| RunError::Unavailable(format!("the foreign tables are not as expected: {error}")))
    }

    /// Implements [`MetricRunner::time_zones`](metricd_execution::MetricRunner::time_zones).
    pub(crate) async fn known_time_zones(&self) -> Result<TimeZones, RunError> {
        let statement = BoundStatement::internal(TIME_ZONES_SQL, Vec::new());
        let (names, _) = self.query_value_within(TIME_ZONES_TIMEOUT, statement).await?;
        Ok(names.unwrap_or_default().lines().collect())
    }

    /// The only value of a statement, and the timing of its run.
    pub(crate) async fn query_value(&self, statement: BoundStatement) -> Result<(Option<String>, Clock), RunError> {
        self.query_value_within(INTROSPECTION_TIMEOUT, statement).await
    }

    async fn query_value_within(
        &self,
        time: Duration,
        statement: BoundStatement,
    ) -> Result<(Option<String>, Clock), RunError> {
        let (mut value, mut clock) = (SingleValueSink(None), Clock::start());
        let limits = RunLimits { time, ..RunLimits::default() };
        let task = Task { statement: &statement, tenancy: None, limits };
        self.run_with_retries(task, &Permit::default(), &mut value, &mut clock).await?;
        Ok((value.0, clock))
    }
}

/// A sink for the value of a single row and column.
struct SingleValueSink(Option<String>);

impl RowSink for SingleValueSink {
    fn columns(&mut self, _: &[Column]) -> Result<(), EncodeError> {
        Ok(())
    }

    fn row(&mut self, mut fields: Fields<'_>, _: usize) -> Result<bool, EncodeError> {
        let value = fields.next().flatten();
        self.0 = value.map(|value| String::from_utf8_lossy(value).into_owned());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_as_old_as_its_first_reading() {
        let (last, age) = (LastSnapshot::default(), Duration::from_secs(1));
        let after = |seconds: u64| Instant::now() + Duration::from_secs(seconds);
        assert!(!last.is_older("7:7:", after(0), age));
        assert!(!last.is_older("7:7:", after(0), age));
        assert!(last.is_older("7:7:", after(2), age));
        assert!(!last.is_older("8:8:", after(2), age));
        assert!(last.is_older("8:8:", after(2), age));
        assert!(!last.is_older("7:7:", after(2), age));
    }
}
