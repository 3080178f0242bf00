//! The port that runs statements.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use metricd_database::{Fault, fault_of};
use metricd_domain::{Contract, ContractTable, RowLimit, Tenant};

use crate::{
    BoundStatement, EncodeError, Permit, ReadableTable, Relation, RemoteRelations, RowSink, SnapshotToken,
    TableDescription, TableFilter, TimeZones,
};

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunLimits {
    /// The maximum number of rows that the sink receives.
    pub rows: RowLimit,
    /// The maximum number of bytes that the sink may hold. The first row that would exceed it is dropped, and all rows
    /// after it.
    pub size_bytes: usize,
    /// The maximum time from sending the statement to reading its last row, without the time in which the run waits for
    /// the sink.
    pub time: Duration,
    /// The maximum cost that the planner may estimate, in the planner's unit: 1 is one sequential page read. An
    /// estimate is cached for a minute. The limit does not apply to a run for a tenant.
    pub cost: u64,
    /// The maximum time in total that the run waits for the sink. It is 0 for a sink that is never full.
    pub write_timeout: Duration,
    /// The minimum rate at which the sink accepts bytes while the run waits for it, in bytes a second; 0 for no
    /// minimum. The sink may fall up to 30 s behind.
    pub min_bytes_per_second: u64,
}

impl RunLimits {
    /// The limits of a run for the tenant, if there is one. A run for a tenant has no limit of cost: the statistics of
    /// the planner cover the rows of all tenants, and probing with parameters would reveal them.
    #[must_use]
    pub fn on_behalf_of(self, tenant: Option<&Tenant>) -> Self {
        let cost = if tenant.is_some() { u64::MAX } else { self.cost };
        Self { cost, ..self }
    }
}

impl Default for RunLimits {
    /// 1 000 rows, 16 MiB, 5 s, a cost of 10 000 000, no waiting for the sink, and no minimum rate.
    fn default() -> Self {
        Self {
            rows: RowLimit::default(),
            size_bytes: 16 << 20,
            time: Duration::from_secs(5),
            cost: 10_000_000,
            write_timeout: Duration::ZERO,
            min_bytes_per_second: 0,
        }
    }
}

/// The result of a successful run, in addition to the rows in the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOutcome {
    /// The number of rows that the sink received.
    pub row_count: usize,
    /// Whether the result had more rows than the limits allow.
    pub truncated: bool,
}

/// How a run spent its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTiming {
    /// Waiting for a connection, or opening one.
    pub queue: Duration,
    /// Waiting for PostgreSQL to prepare the statement, run it and send its rows.
    pub database: Duration,
    /// Encoding rows in the sink. The time in which the run waits for the sink is not included.
    pub encode: Duration,
}

/// Why a run failed. The content of the sink is incomplete, so discard it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The database is unreachable, or the connection was lost during the run.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// No connection became free in time.
    #[error("no database connection became free within {} ms", .waited.as_millis())]
    NoConnection {
        /// How long the run waited for a connection.
        waited: Duration,
    },
    /// No connection became free in time, because all of them run cancelled statements that have not stopped.
    #[error("all database connections run statements that were cancelled and have not stopped")]
    ConnectionsStuck,
    /// Streams hold all connections that they may hold.
    #[error("streams hold as many database connections as they may, and none ended within {} ms", .waited.as_millis())]
    TooManyStreams {
        /// How long the run waited for a stream to end.
        waited: Duration,
    },
    /// A table that the statement reads stayed locked for a change, or was rewritten after the statement's snapshot.
    /// The statement returned no rows.
    #[error("a table that the statement reads is locked for a change")]
    TableLocked,
    /// No server shows the position that the caller requests.
    #[error("no server has reached the requested position")]
    PositionNotReached,
    /// The statement was cancelled at its time limit, but PostgreSQL has not stopped it.
    #[error("the statement ran longer than {} ms, was cancelled, and has not stopped", .limit.as_millis())]
    NotStopped {
        /// The time limit.
        limit: Duration,
    },
    /// The statement was not run, because an earlier run of it was cancelled and has not stopped.
    #[error("the statement still runs for an earlier caller, although it was cancelled")]
    Quarantined,
    /// The statement exceeded its time limit, and PostgreSQL stopped it.
    #[error("the statement ran longer than {} ms and was stopped", .limit.as_millis())]
    TimedOut {
        /// The time limit.
        limit: Duration,
    },
    /// The statement was not run, because its estimated cost exceeds the limit.
    #[error("the planner expects a cost of {cost:.0}, where {limit} is allowed")]
    TooCostly {
        /// The estimated cost, in the planner's unit.
        cost: f64,
        /// The limit of the cost.
        limit: u64,
    },
    /// The client read the rows too slowly: the run waited for the sink for [`RunLimits::write_timeout`], or the sink
    /// accepted less than [`RunLimits::min_bytes_per_second`]. The statement was stopped.
    #[error("the client read the rows too slowly, and the statement was stopped (it waits for at most {} ms)", .limit.as_millis())]
    ClientTooSlow {
        /// The limit of waiting for the sink.
        limit: Duration,
    },
    /// PostgreSQL refused the statement, or the statement failed while it ran.
    #[error("the statement failed: {message} (SQLSTATE {sqlstate})")]
    Failed {
        /// PostgreSQL's error code of five characters.
        sqlstate: String,
        /// PostgreSQL's message. It may quote the SQL and the data, so use it only in the log.
        message: String,
    },
    /// The statement was not run, because PostgreSQL describes it differently from its contract.
    #[error("PostgreSQL describes the statement differently from its contract")]
    Drifted,
    /// A value was not in the format of its type.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl RunError {
    /// Who is at fault for an error of PostgreSQL. `None` if PostgreSQL did not report an error of the statement.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Failed { sqlstate, .. } => Some(fault_of(sqlstate)),
            _ => None,
        }
    }
}

/// A statement of a snapshot batch.
pub struct SnapshotRun<'a> {
    /// The statement.
    pub statement: &'a BoundStatement,
    /// The limits of the statement. The write timeout has no effect: a sink does not wait for a client. It may be full in
    /// order to let other tasks run.
    pub limits: RunLimits,
    /// The sink that receives the rows.
    pub sink: &'a mut dyn RowSink,
}

impl fmt::Debug for SnapshotRun<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statement, limits, sink: _ } = self;
        let mut shown = formatter.debug_struct("SnapshotRun");
        shown.field("statement", statement).field("limits", limits).finish_non_exhaustive()
    }
}

/// The result of a snapshot batch, in addition to the rows in the sinks.
#[derive(Debug)]
pub struct SnapshotBatchOutcome {
    /// The result of each statement, in the order of the statements.
    pub outcomes: Vec<Result<RunOutcome, RunError>>,
    /// How the batch spent its time, by the clock. The parts do not overlap, even if several connections worked in
    /// parallel.
    pub timing: RunTiming,
}

/// Runs stored SQL against the data.
///
/// # Contract
///
/// - The statement runs as a role that may only read the data, in a transaction that is rolled back.
/// - It is parsed and runs in its [time zone](BoundStatement::time_zone), or else in that of the runner.
/// - If it runs for a tenant, the row-level security policies of the database see that tenant during the whole run, and
///   the statement cannot change it.
/// - A statement is not run if PostgreSQL describes it differently from its
///   [expected](BoundStatement::expected) description.
/// - The sink receives the columns once, even if there are no rows, and then each row in the order of the result.
/// - A full sink is flushed before it receives the next row.
/// - In [`Self::run`], the sink is notified just before the statement is sent: the result includes everything that was
///   committed until then.
/// - In [`Self::run`], the sink receives the timing before the columns and at the end of the run, even if the run
///   fails.
/// - If a limit is reached or the future is dropped, the statement is cancelled in the database. Its connection and the
///   caller's permit are released only after PostgreSQL has ended it.
/// - A statement that PostgreSQL does not stop is quarantined: further runs of it are refused with
///   [`RunError::Quarantined`] until it has ended.
/// - A run leaves nothing on a connection that the next run could observe.
#[async_trait]
pub trait MetricRunner: Debug + Send + Sync {
    /// Runs the statement, for the tenant if there is one, and passes its rows to the sink. The permit is held until
    /// the statement has ended in the database.
    ///
    /// # Errors
    ///
    /// [`RunError`] names the cause. The runner stays usable.
    async fn run(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        permit: Permit,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError>;

    /// Runs several statements on one snapshot of the data, for one tenant or for none. All statements see the same
    /// committed changes of the database. Errors of one statement do not affect the others.
    ///
    /// Each connection reads other servers on snapshots of its own. So a batch with a statement whose scope is
    /// [`SnapshotScope::PerServer`](crate::SnapshotScope::PerServer) gets one permit.
    ///
    /// The statements run in parallel if that is faster and connections are free. They use at most as many connections
    /// as there are permits, and at least one. Each permit is held until the statement on its connection has ended in
    /// the database.
    ///
    /// Each statement has its own limits. `time` limits the whole batch: the statements that have not ended by then
    /// fail with [`RunError::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`], [`RunError::NoConnection`] or [`RunError::ConnectionsStuck`] if no statement could
    /// run.
    async fn run_on_one_snapshot(
        &self,
        runs: Vec<SnapshotRun<'_>>,
        tenant: Option<&Tenant>,
        time: Duration,
        permits: Vec<Permit>,
    ) -> Result<SnapshotBatchOutcome, RunError>;

    /// The number of connections that run cancelled statements which have not stopped.
    fn stuck_connections(&self) -> usize {
        0
    }

    /// Reads the token of the current snapshot. `None` if PostgreSQL cannot provide one, for example on a standby.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn snapshot_token(&self) -> Result<Option<SnapshotToken>, RunError>;

    /// Reads the current fingerprint of the tables. `None` if a contract over them would have none.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn fingerprint(&self, tables: &[ContractTable]) -> Result<Option<String>, RunError>;

    /// Compares PostgreSQL's description of the statement with its contract, if it has one: the columns, the types of
    /// the parameters, the labels of enum types, and the time columns and foreign keys of the tables. The statement is not
    /// run.
    ///
    /// # Errors
    ///
    /// [`RunError::Drifted`] if they differ. [`RunError::Failed`] if PostgreSQL cannot resolve the statement, or the
    /// role lacks a privilege for it. Otherwise as for [`Self::run`].
    async fn verify(&self, statement: &BoundStatement, contract: Option<&Contract>) -> Result<(), RunError>;

    /// Reads the time zones that PostgreSQL knows.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn time_zones(&self) -> Result<TimeZones, RunError>;

    /// Reads the relations that statements may read, ordered by name.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn relations(&self) -> Result<Vec<Relation>, RunError>;

    /// Lists the tables, views and foreign tables of the data schemas that the role may read, ordered by schema and name:
    /// at most `limit` that match the filter, beginning after the schema and name `after`. Partitions are not listed.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn list_tables(
        &self,
        filter: &TableFilter,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Vec<ReadableTable>, RunError>;

    /// Describes the table that a name means, as [`ReadableTable::is_named`] defines. A name without a schema comes first.
    /// `None` if there is none that the role may read.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn find_table(&self, name: &str) -> Result<Option<TableDescription>, RunError>;

    /// Reads the relations with rows that other servers have.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn remote_relations(&self) -> Result<RemoteRelations, RunError>;

    /// Checks that a statement could run now.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`], [`RunError::NoConnection`] or [`RunError::ConnectionsStuck`] if it could not.
    async fn check(&self) -> Result<(), RunError>;
}
