//! The port that runs stored SQL.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use metricd_database::{Fault, fault_of};
use metricd_domain::{Contract, ContractTable, RowLimit, Tenant};

use crate::{BoundStatement, EncodeError, Permit, Relation, RowSink, SnapshotToken};

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunLimits {
    /// The maximum number of rows that the sink receives.
    pub rows: RowLimit,
    /// The maximum number of bytes that the sink may hold. The first row that would exceed it, and all rows after it,
    /// are dropped.
    pub size_bytes: usize,
    /// The maximum time from sending the statement until its last row has been read, without the time in which the sink
    /// makes the run wait.
    pub time: Duration,
    /// The maximum cost by the planner's estimate, in its unit: 1 for reading a page sequentially. An estimate is used
    /// for a minute. Does not apply to a tenant.
    pub cost: u64,
    /// How long the sink may make the run wait, in total. A sink that is never full does not make it wait; its limit is
    /// zero.
    pub write_timeout: Duration,
    /// How many bytes a second the sink has to accept while it makes the run wait; 0 for no limit. The sink may fall up
    /// to 30 s behind.
    pub min_bytes_per_second: u64,
}

impl RunLimits {
    /// The limits of a run for the tenant, if there is one. There is no limit of cost for a tenant: the planner's
    /// statistics cover the rows of all tenants, and trying parameters until a run is refused would reveal them.
    #[must_use]
    pub fn on_behalf_of(self, tenant: Option<&Tenant>) -> Self {
        let cost = if tenant.is_some() { u64::MAX } else { self.cost };
        Self { cost, ..self }
    }
}

impl Default for RunLimits {
    /// 1 000 rows, 16 MiB, 5 s, a cost of 10 000 000, no time for a sink to make the run wait, and no minimum rate.
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

/// The outcome of a successful run, in addition to the rows in the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOutcome {
    /// The number of rows that the sink received.
    pub row_count: usize,
    /// Whether the result had more rows than the limits allow.
    pub truncated: bool,
}

/// Where the time of a run went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTiming {
    /// Waiting for a connection, or opening one.
    pub queue: Duration,
    /// Waiting for PostgreSQL: preparing the statement, running it, and sending its rows.
    pub database: Duration,
    /// In the sink, encoding rows. The time in which the sink makes the run wait is not counted.
    pub encode: Duration,
}

/// Why a run has no result. Discard the content of the sink.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The database cannot be reached, or the connection was lost during the run.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// No connection became free in time.
    #[error("no database connection became free within {} ms", .waited.as_millis())]
    NoConnection {
        /// How long the run waited for one.
        waited: Duration,
    },
    /// No connection became free in time: all of them run statements that were cancelled and have not stopped.
    #[error("all database connections run statements that were cancelled and have not stopped")]
    ConnectionsStuck,
    /// Streams hold the maximum number of connections that they may.
    #[error("streams hold as many database connections as they may, and none ended within {} ms", .waited.as_millis())]
    TooManyStreams {
        /// How long the run waited for one to end.
        waited: Duration,
    },
    /// A table that the statement reads stayed locked for a change, or was rewritten after the snapshot that the
    /// statement sees. The statement returned no rows.
    #[error("a table that the statement reads is locked for a change")]
    TableLocked,
    /// The statement was cancelled at its time limit, but PostgreSQL has not stopped it.
    #[error("the statement ran longer than {} ms, was cancelled, and has not stopped", .limit.as_millis())]
    NotStopped {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The statement was not run, because it still runs for an earlier caller although it was cancelled.
    #[error("the statement still runs for an earlier caller, although it was cancelled")]
    Quarantined,
    /// The statement exceeded its time limit and was stopped in the database.
    #[error("the statement ran longer than {} ms and was stopped", .limit.as_millis())]
    TimedOut {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The statement was not run, because its estimated cost exceeds the limit.
    #[error("the planner expects a cost of {cost:.0}, where {limit} is allowed")]
    TooCostly {
        /// The estimate, in the planner's unit.
        cost: f64,
        /// The limit that it exceeds.
        limit: u64,
    },
    /// The client read the rows too slowly: the sink reached [`RunLimits::write_timeout`], or accepted less than
    /// [`RunLimits::min_bytes_per_second`]. The statement was stopped.
    #[error("the client read the rows too slowly, and the statement was stopped (it waits for at most {} ms)", .limit.as_millis())]
    ClientTooSlow {
        /// How long the sink was allowed to make the run wait.
        limit: Duration,
    },
    /// The database refused the statement, or it failed while it ran.
    #[error("the statement failed: {message} (SQLSTATE {sqlstate})")]
    Failed {
        /// The five characters of PostgreSQL's error code.
        sqlstate: String,
        /// PostgreSQL's message, for the log only: it may quote the SQL and the data.
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
    /// Whose fault PostgreSQL's error is; `None` if the error is not that of a statement in PostgreSQL.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Failed { sqlstate, .. } => Some(fault_of(sqlstate)),
            _ => None,
        }
    }
}

/// One statement of a snapshot batch.
pub struct SnapshotRun<'a> {
    /// The statement.
    pub statement: &'a BoundStatement,
    /// Its limits. The write timeout has no effect: the sink is never full.
    pub limits: RunLimits,
    /// The receiver of its rows.
    pub sink: &'a mut dyn RowSink,
}

impl fmt::Debug for SnapshotRun<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statement, limits, sink: _ } = self;
        let mut shown = formatter.debug_struct("SnapshotRun");
        shown.field("statement", statement).field("limits", limits).finish_non_exhaustive()
    }
}

/// The outcome of a snapshot batch, in addition to the rows in the sinks.
#[derive(Debug)]
pub struct SnapshotBatchOutcome {
    /// The outcome or the error of each statement, in the order of the statements.
    pub outcomes: Vec<Result<RunOutcome, RunError>>,
    /// Where the time of the whole batch went, by the clock: the parts do not overlap, even if several connections
    /// worked at the same time.
    pub timing: RunTiming,
}

/// Runs stored SQL against the data.
///
/// # Contract
///
/// - The statement runs with the rights of a role that may only read the data, in a transaction that is rolled back.
/// - If it runs for a tenant, the row-level security policies of the database see that tenant during the whole run, and
///   the statement cannot change it.
/// - A statement that PostgreSQL describes differently from its [expected](BoundStatement::expected) description is not
///   run.
/// - The sink receives the columns once, before the first row, even if there is no row; then each row, in the order of
///   the result.
/// - A sink that is full is flushed before it receives the next row.
/// - In [`Self::run`], the sink is notified just before the statement is sent: the result has everything committed
///   until then.
/// - In [`Self::run`], the sink receives the timing: before the columns, and when the run has ended, even if it failed.
/// - A statement whose result is no longer needed, because a limit was reached or the future was dropped, is cancelled
///   in the database. Its connection and the caller's permit are released only after PostgreSQL has ended it.
/// - A statement that PostgreSQL does not stop is quarantined: until it has ended, further runs of it are refused with
///   [`RunError::Quarantined`].
/// - A run leaves nothing on a connection that the next run could observe.
#[async_trait]
pub trait MetricRunner: Debug + Send + Sync {
    /// Runs the statement, for the tenant if there is one, and passes its rows to the sink. Holds the permit until the
    /// statement has ended in the database.
    ///
    /// # Errors
    ///
    /// [`RunError`]. The runner stays usable.
    async fn run(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        permit: Permit,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError>;

    /// Runs several statements on one snapshot of the data, for one tenant or for none: no statement sees a change that
    /// another one does not see. Errors of one statement do not affect the others.
    ///
    /// The statements run in parallel if that is faster and connections are free, on at most as many connections as
    /// there are permits, and on at least one. Each permit is held until its connection's statement has ended in the
    /// database.
    ///
    /// Each statement has its own limits. `time` limits the whole batch: it stops the statements that have not ended,
    /// with [`RunError::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`], [`RunError::NoConnection`] or [`RunError::ConnectionsStuck`] if none of the
    /// statements could run.
    async fn run_on_one_snapshot(
        &self,
        runs: Vec<SnapshotRun<'_>>,
        tenant: Option<&Tenant>,
        time: Duration,
        permits: Vec<Permit>,
    ) -> Result<SnapshotBatchOutcome, RunError>;

    /// The number of connections that run statements which were cancelled and have not stopped.
    fn stuck_connections(&self) -> usize {
        0
    }

    /// The token of the current snapshot; none if PostgreSQL cannot provide one, as on a standby.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn snapshot_token(&self) -> Result<Option<SnapshotToken>, RunError>;

    /// The present fingerprint of a contract over these tables; none if it would have none.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn fingerprint(&self, tables: &[ContractTable]) -> Result<Option<String>, RunError>;

    /// Compares the statement with its contract, if it has one: the columns, the types of the parameters, the labels of
    /// enum types, and the time columns of the tables. The statement is not run.
    ///
    /// # Errors
    ///
    /// [`RunError::Drifted`] if they differ; as for [`Self::run`], [`RunError::Failed`] if PostgreSQL cannot resolve
    /// the statement, or the role lacks a right that the statement needs.
    async fn verify(&self, statement: &BoundStatement, contract: Option<&Contract>) -> Result<(), RunError>;

    /// The relations that statements may read, ordered by name.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn relations(&self) -> Result<Vec<Relation>, RunError>;

    /// Checks that a statement could run now.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`], [`RunError::NoConnection`] or [`RunError::ConnectionsStuck`].
    async fn check(&self) -> Result<(), RunError>;
}
