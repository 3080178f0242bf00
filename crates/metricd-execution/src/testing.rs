//! Fakes of both ports for tests without a database: a scripted runner and a scripted resolver.

mod resolver;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use metricd_domain::{Contract, ContractTable, ParameterValue, SqlText, Tenant};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

pub use self::resolver::ScriptedResolver;
use crate::{
    BoundStatement, Column, Expected, FieldType, MetricRunner, Permit, ReadableTable, Relation, RemoteRelations, Row,
    RowSink, RunError, RunLimits, RunOutcome, RunTiming, SnapshotBatchOutcome, SnapshotRun, SnapshotToken, Statement,
    TableDescription, TableFilter, TimeZones,
};

/// A result: its columns, and its rows. A value is in PostgreSQL's binary format, and `None` is NULL.
#[derive(Debug, Clone)]
pub struct ScriptedResult {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// What happens after the rows.
    pub ending: Ending,
}

/// What happens after the rows of a result.
#[derive(Debug, Clone, Copy, Default)]
pub enum Ending {
    /// The run succeeds.
    #[default]
    Complete,
    /// The run fails.
    Fails(fn() -> RunError),
    /// The run never ends.
    Never,
}

/// PostgreSQL's description of a statement: its columns, and the types of its parameters.
#[derive(Debug, Clone)]
pub struct Description {
    /// The columns.
    pub columns: Vec<Column>,
    /// The types of the parameters, in the order of their numbers.
    pub parameter_types: Vec<String>,
}

impl Description {
    fn meets(&self, expected: &Expected) -> Result<(), RunError> {
        let is_met = expected.matches(&self.columns, &self.parameter_types);
        if is_met { Ok(()) } else { Err(RunError::Drifted) }
    }
}

/// The response of the runner to one SQL text.
type Script = Box<dyn Fn() -> Result<ScriptedResult, RunError> + Send + Sync>;

/// A runner with a script, which has a result or an error for each statement.
#[derive(Default)]
pub struct ScriptedRunner {
    descriptions: Mutex<HashMap<String, Result<Description, RunError>>>,
    scripts: Mutex<HashMap<String, Script>>,
    echoed: Mutex<HashSet<String>>,
    showing_tenant: Mutex<HashSet<String>>,
    showing_time_zone: Mutex<HashSet<String>>,
    running: AtomicUsize,
    begun: AtomicUsize,
    connections: Arc<RwLock<()>>,
    data: Mutex<Option<Data>>,
    relations: Mutex<Vec<Relation>>,
    tables: Mutex<Vec<TableDescription>>,
    remote_relations: Mutex<RemoteRelations>,
    last_limits: Mutex<Option<RunLimits>>,
    last_connections: AtomicUsize,
    stuck_connections: AtomicUsize,
}

/// The snapshot and the fingerprint of the data.
#[derive(Debug)]
struct Data {
    snapshot: String,
    fingerprint: String,
}

/// Counts a run until it ends or is dropped.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for ScriptedRunner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ScriptedRunner").finish_non_exhaustive()
    }
}

impl ScriptedRunner {
    /// The name of the column of a result that [`Self::script`] sets.
    pub const COLUMN: &'static str = "value";

    /// The timing of each run, as its sink receives it at the end. Before the columns, it lacks the time of encoding.
    pub const TIMING: RunTiming = RunTiming {
        queue: Duration::from_millis(1),
        database: Duration::from_millis(2),
        encode: Duration::from_millis(3),
    };

    /// Sets the result of this SQL, as one column of text. The texts `check`, `relations`, `remote relations`, `tables`
    /// and `time zones` are those of [`MetricRunner::check`], [`MetricRunner::relations`],
    /// [`MetricRunner::remote_relations`], [`MetricRunner::list_tables`] and [`MetricRunner::time_zones`];
    /// [`Self::set_relations`], [`Self::set_remote_relations`] and [`Self::set_tables`] set the relations and tables.
    pub fn script(
        &self,
        sql: &str,
        answer: impl Fn() -> Result<Vec<Option<String>>, RunError> + Send + Sync + 'static,
    ) {
        let column = Column { name: Self::COLUMN.into(), type_name: "text".into(), field_type: FieldType::Text };
        self.script_result(sql, move || {
            let rows = answer()?.into_iter().map(|value| vec![value.map(String::into_bytes)]).collect();
            Ok(ScriptedResult { columns: vec![column.clone()], rows, ending: Ending::Complete })
        });
    }

    /// Sets the result of this SQL, with columns of any number and type.
    pub fn script_result(
        &self,
        sql: &str,
        answer: impl Fn() -> Result<ScriptedResult, RunError> + Send + Sync + 'static,
    ) {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        // The runner receives the statement without the comments and semicolons around it.
        let statement = SqlText::parse(sql).ok().and_then(|sql| Statement::parse(&sql).ok());
        let sql = statement.map_or_else(|| sql.to_owned(), |statement| statement.body().to_owned());
        scripts.insert(sql, Box::new(answer));
    }

    /// The number of runs that have begun, and have neither ended nor been dropped.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// The number of runs that have begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Makes each new run wait for a connection until the returned guard is dropped.
    pub async fn hold_connections(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.connections).write_owned().await
    }

    /// Sets the description of this SQL, with `$1`, `$2`, … for its parameters, or the error of describing it. Without
    /// a description, the SQL matches every contract.
    pub fn set_description(&self, sql: &str, described: Result<Description, RunError>) {
        self.descriptions.lock().unwrap_or_else(PoisonError::into_inner).insert(sql.to_owned(), described);
    }

    fn description(&self, sql: &str) -> Option<Result<Description, RunError>> {
        self.descriptions.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    /// Sets the snapshot of the data and the fingerprint of its tables. By default there is neither.
    pub fn set_data(&self, snapshot: &str, fingerprint: &str) {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        *data = Some(Data { snapshot: snapshot.to_owned(), fingerprint: fingerprint.to_owned() });
    }

    /// The limits of the last run that began.
    #[must_use]
    pub fn last_limits(&self) -> Option<RunLimits> {
        *self.last_limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the number of connections that run cancelled statements which have not stopped.
    pub fn set_stuck_connections(&self, count: usize) {
        self.stuck_connections.store(count, Ordering::Relaxed);
    }

    /// The maximum number of connections of the last batch that began.
    #[must_use]
    pub fn last_connections(&self) -> usize {
        self.last_connections.load(Ordering::Relaxed)
    }

    /// Sets the relations. By default there are none.
    pub fn set_relations(&self, relations: Vec<Relation>) {
        *self.relations.lock().unwrap_or_else(PoisonError::into_inner) = relations;
    }

    /// Sets the tables. By default there are none.
    pub fn set_tables(&self, tables: Vec<TableDescription>) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    fn tables(&self) -> Result<Vec<TableDescription>, RunError> {
        self.answer("tables").transpose()?;
        Ok(self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Sets the relations with rows that other servers have. By default there are none.
    pub fn set_remote_relations(&self, relations: RemoteRelations) {
        *self.remote_relations.lock().unwrap_or_else(PoisonError::into_inner) = relations;
    }

    /// Makes this text return its arguments, one row of text for each. The text has `$1`, `$2`, … for them.
    pub fn script_arguments(&self, text: &str) {
        let mut echoed = self.echoed.lock().unwrap_or_else(PoisonError::into_inner);
        echoed.insert(text.to_owned());
    }

    /// Makes this text return the tenant of the run as a row of text. It is NULL without a tenant.
    pub fn script_tenant(&self, text: &str) {
        let mut showing = self.showing_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        showing.insert(text.to_owned());
    }

    /// Makes this text return the time zone of the statement as a row of text. It is NULL if that is the runner's own.
    pub fn script_time_zone(&self, text: &str) {
        let mut showing = self.showing_time_zone.lock().unwrap_or_else(PoisonError::into_inner);
        showing.insert(text.to_owned());
    }

    fn echo(&self, statement: &BoundStatement, tenant: Option<&Tenant>) -> Option<ScriptedResult> {
        let is_among = |texts: &Mutex<HashSet<String>>| {
            texts.lock().unwrap_or_else(PoisonError::into_inner).contains(statement.text())
        };
        let argument = |value: &Option<ParameterValue>| value.as_ref().map(|value| value.as_str().as_bytes().to_vec());
        let values: Vec<_> = if is_among(&self.echoed) {
            statement.arguments().iter().map(argument).collect()
        } else if is_among(&self.showing_time_zone) {
            vec![statement.time_zone().map(|zone| zone.as_str().as_bytes().to_vec())]
        } else if is_among(&self.showing_tenant) {
            vec![tenant.map(|tenant| tenant.as_str().as_bytes().to_vec())]
        } else {
            return None;
        };
        Some(ScriptedResult {
            columns: vec![Column { name: Self::COLUMN.into(), type_name: "text".into(), field_type: FieldType::Text }],
            rows: values.into_iter().map(|value| vec![value]).collect(),
            ending: Ending::Complete,
        })
    }

    fn answer(&self, sql: &str) -> Option<Result<ScriptedResult, RunError>> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.get(sql).map(|script| script())
    }

    async fn answer_into(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        sink: &mut dyn RowSink,
        never_ending: impl Future<Output = Result<RunOutcome, RunError>>,
    ) -> Result<RunOutcome, RunError> {
        if let (Some(Ok(described)), Some(expected)) = (self.description(statement.text()), statement.expected()) {
            described.meets(expected)?;
        }
        let _running = Running::begin(&self.running);
        self.begun.fetch_add(1, Ordering::Relaxed);
        *self.last_limits.lock().unwrap_or_else(PoisonError::into_inner) = Some(limits);
        let unknown = || RunError::Failed { sqlstate: "42601".into(), message: "there is no script".into() };
        let _connection = self.connections.read().await;
        sink.sent();
        let answer = self.echo(statement, tenant).map(Ok).or_else(|| self.answer(statement.text()));
        let result = answer.ok_or_else(unknown)??;
        sink.timed(RunTiming { encode: Duration::ZERO, ..Self::TIMING });
        sink.columns(&result.columns)?;
        let mut row_count = 0;
        for row in &result.rows {
            let row: Row = row.iter().map(Option::as_deref).collect();
            let taken = row_count < limits.rows.rows() && sink.row(row.fields(), limits.size_bytes)?;
            if !taken {
                return Ok(RunOutcome { row_count, truncated: true });
            }
            row_count += 1;
            if sink.is_full() {
                sink.flush().await;
            }
        }
        match result.ending {
            Ending::Complete => Ok(RunOutcome { row_count, truncated: false }),
            Ending::Fails(error) => Err(error()),
            Ending::Never => never_ending.await,
        }
    }
}

#[async_trait]
impl MetricRunner for ScriptedRunner {
    async fn run(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        permit: Permit,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError> {
        let outcome = self.answer_into(statement, tenant, limits, sink, std::future::pending()).await;
        drop(permit);
        sink.timed(Self::TIMING);
        outcome
    }

    async fn run_on_one_snapshot(
        &self,
        runs: Vec<SnapshotRun<'_>>,
        tenant: Option<&Tenant>,
        time: Duration,
        permits: Vec<Permit>,
    ) -> Result<SnapshotBatchOutcome, RunError> {
        self.last_connections.store(permits.len(), Ordering::Relaxed);
        let mut outcomes = Vec::new();
        for SnapshotRun { statement, limits, sink } in runs {
            // The clock of a test may be paused, so only a run that never ends exceeds the time limit.
            let timed_out = async { Err(RunError::TimedOut { limit: time }) };
            outcomes.push(self.answer_into(statement, tenant, limits, sink, timed_out).await);
        }
        Ok(SnapshotBatchOutcome { outcomes, timing: Self::TIMING })
    }

    fn stuck_connections(&self) -> usize {
        self.stuck_connections.load(Ordering::Relaxed)
    }

    async fn snapshot_token(&self) -> Result<Option<SnapshotToken>, RunError> {
        static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

        let session_since = *STARTED;
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(data.as_ref().map(|data| SnapshotToken::new(data.snapshot.clone(), Instant::now(), session_since)))
    }

    async fn fingerprint(&self, _: &[ContractTable]) -> Result<Option<String>, RunError> {
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(data.as_ref().map(|data| data.fingerprint.clone()))
    }

    async fn verify(&self, statement: &BoundStatement, contract: Option<&Contract>) -> Result<(), RunError> {
        match (self.description(statement.text()), contract) {
            (None, _) | (Some(Ok(_)), None) => Ok(()),
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(described)), Some(contract)) => described.meets(&Expected::of(contract)),
        }
    }

    async fn time_zones(&self) -> Result<TimeZones, RunError> {
        self.answer("time zones").transpose()?;
        Ok(["Asia/Kolkata", "Europe/Berlin", "UTC"].into_iter().collect())
    }

    async fn relations(&self) -> Result<Vec<Relation>, RunError> {
        // Yields, so that other tasks run in the meantime, as during work of a database.
        tokio::task::yield_now().await;
        self.answer("relations").transpose()?;
        Ok(self.relations.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn list_tables(
        &self,
        filter: &TableFilter,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<ReadableTable>, RunError> {
        let is_listed = |table: &ReadableTable| {
            let name = (table.schema.as_str(), table.name.as_str());
            let contains = |words: &String| {
                let text =
                    format!("{}.{}\n{}", table.schema, table.name, table.description.as_deref().unwrap_or_default());
                text.to_lowercase().contains(&words.to_lowercase())
            };
            after.is_none_or(|after| name > after)
                && filter.search.as_ref().is_none_or(contains)
                && filter.among.as_ref().is_none_or(|among| among.contains(&(name.0.to_owned(), name.1.to_owned())))
        };
        let mut tables: Vec<_> =
            self.tables()?.into_iter().map(|described| described.table).filter(is_listed).collect();
        tables.sort_by(|left, right| (&left.schema, &left.name).cmp(&(&right.schema, &right.name)));
        tables.truncate(limit);
        Ok(tables)
    }

    async fn find_table(&self, name: &str) -> Result<Option<TableDescription>, RunError> {
        let mut tables: Vec<_> =
            self.tables()?.into_iter().filter(|described| described.table.is_named(name)).collect();
        tables.sort_by_key(|described| described.table.name != name);
        Ok(tables.into_iter().next())
    }

    async fn remote_relations(&self) -> Result<RemoteRelations, RunError> {
        self.answer("remote relations").transpose()?;
        Ok(self.remote_relations.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn check(&self) -> Result<(), RunError> {
        self.answer("check").transpose().map(|_| ())
    }
}
