//! The port through which stored SQL is run.

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use metricd_domain::{Contract, ContractTable, RowLimit, Tenant};

use crate::{BoundStatement, EncodeError, Permit, Relation, RowSink, SnapshotToken};

/// What a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunLimits {
    /// How many rows are handed to the sink at most.
    pub rows: RowLimit,
    /// How many bytes the sink may hold at most; a row that would go past it is the first that is cut.
    pub size_bytes: usize,
    /// How long the statement may run, from when it is sent until its last row has been read. The time in which the sink
    /// makes the run wait does not count.
    pub time: Duration,
    /// What the planner may estimate that the statement costs, in its own unit: 1 is the reading of a page in sequence. The
    /// estimate is asked for again when it is older than a minute. It does not count for a tenant.
    pub cost: u64,
    /// How long the sink may make the run wait, in total. A sink that is never full does not make it wait; its limit is zero.
    pub write_timeout: Duration,
    /// How many bytes a second the sink has to accept while it makes the run wait, averaged over half a minute; 0 for no limit.
    pub min_bytes_per_second: u64,
}

impl RunLimits {
    /// The limits of a run on behalf of the tenant, if there is one. For tenants the planner's estimate refuses nothing: it
    /// knows the rows of all of them, and whoever tries parameters until a run is refused would learn of the others'.
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

/// What a run that ended well leaves beside the rows in the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOutcome {
    /// How many rows the sink was handed.
    pub row_count: usize,
    /// Whether the result had more rows than the limits allow.
    pub truncated: bool,
}

/// Where a run's time goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunTiming {
    /// Until there was a connection, be it that one had to be opened.
    pub queue: Duration,
    /// For PostgreSQL: preparing the statement, running it, and waiting for its rows.
    pub database: Duration,
    /// For the sink, as it takes rows. What it makes the run wait is not counted at all.
    pub encode: Duration,
}

/// Why a run has no result. The sink's content is of no use then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The database cannot be reached, or went away during the run.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// No connection became free in time.
    #[error("no database connection became free within {} ms", .waited.as_millis())]
    NoConnection {
        /// How long the run waited for one.
        waited: Duration,
    },
    /// No connection became free in time, because all of them run statements that were cancelled and have not stopped.
    #[error("all database connections run statements that were cancelled and have not stopped")]
    ConnectionsStuck,
    /// Streams hold as many connections as they may.
    #[error("streams hold as many database connections as they may, and none ended within {} ms", .waited.as_millis())]
    TooManyStreams {
        /// How long the run waited for one to end.
        waited: Duration,
    },
    /// A table that the statement reads is locked for a change, and was not unlocked in time; or it was rewritten after the
    /// snapshot that the statement is to see. The statement has no rows.
    #[error("a table that the statement reads is locked for a change")]
    TableLocked,
    /// The statement was cancelled at its time limit, and PostgreSQL has not stopped it: it still runs.
    #[error("the statement ran longer than {} ms, was cancelled, and has not stopped", .limit.as_millis())]
    NotStopped {
        /// The limit that it went past.
        limit: Duration,
    },
    /// The statement still runs for an earlier caller, although it was cancelled. It was not run again.
    #[error("the statement still runs for an earlier caller, although it was cancelled")]
    Quarantined,
    /// The statement ran past its time limit and was stopped in the database.
    #[error("the statement ran longer than {} ms and was stopped", .limit.as_millis())]
    TimedOut {
        /// The limit that it went past.
        limit: Duration,
    },
    /// The planner expects the statement to cost more than it may. It was not run.
    #[error("the planner expects a cost of {cost:.0}, where {limit} is allowed")]
    TooCostly {
        /// The estimate, in the planner's own unit.
        cost: f64,
        /// The limit that it is past.
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
        /// PostgreSQL's message. It may quote the SQL and the data, so it is for the log alone.
        message: String,
    },
    /// PostgreSQL says other things of the statement than its contract does. It was not run.
    #[error("PostgreSQL describes the statement otherwise than its contract does")]
    Drifted,
    /// A value did not have the form that its type promises.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// One statement of a snapshot batch.
pub struct SnapshotRun<'a> {
    /// The statement.
    pub statement: &'a BoundStatement,
    /// Its limits. The write timeout has no effect: the sink is never full.
    pub limits: RunLimits,
    /// Who takes its rows.
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
    /// Where the time of the whole batch went, by the clock: the parts do not overlap, even if several connections worked at
    /// the same time.
    pub timing: RunTiming,
}

/// Runs stored SQL against the data.
///
/// # Contract
///
/// - The statement runs with the rights of a role that may only read the data, in a transaction that is rolled back.
/// - Where it is run on behalf of a tenant, the row security policies of the database know that from first to last, and the
///   statement can name no other.
/// - A statement of which PostgreSQL says other things than it [expects](BoundStatement::expected) is not run.
/// - The sink is told the columns once, before the first row, also where there is no row; then each row, in the result's order.
/// - A sink that is full is flushed before it is handed the next row.
/// - The sink of a statement that is run by itself is told just before that is sent: what is committed until then is in the result.
/// - The sink of a statement that is run by itself is told where the time has gone: before the columns, and when the run has
///   ended, also where it has failed.
/// - A statement that nobody waits for any more, because a limit was reached or because the future was dropped, is cancelled
///   in the database. Its connection, and the caller's permit for it, are not given back before PostgreSQL has ended it.
/// - A statement that PostgreSQL does not stop is quarantined: until it has ended, each further run of it is refused with
///   [`RunError::Quarantined`].
/// - A run leaves nothing behind on a connection that the next run could see.
#[async_trait]
pub trait MetricRunner: Debug + Send + Sync {
    /// Runs the statement, on behalf of the tenant where there is one, and hands its rows to the sink. Holds the permit until it
    /// has ended in the database.
    ///
    /// # Errors
    ///
    /// [`RunError`], after which the runner is ready for the next run.
    async fn run(
        &self,
        statement: &BoundStatement,
        tenant: Option<&Tenant>,
        limits: RunLimits,
        permit: Permit,
        sink: &mut dyn RowSink,
    ) -> Result<RunOutcome, RunError>;

    /// Runs several statements on one snapshot of the data, for one tenant or for none: no statement sees a change that another
    /// one does not see. Errors of one statement do not affect the others.
    ///
    /// The statements run in parallel if that is faster and connections are free, on at most as many connections as there are
    /// permits, and on at least one. Each permit is held until its connection's statement has ended in the database.
    ///
    /// Each statement has its own limits. `time` limits the whole batch: it stops the statements that have not ended, with
    /// [`RunError::TimedOut`].
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`] or [`RunError::NoConnection`] if none of the statements could run.
    async fn run_on_one_snapshot(
        &self,
        runs: Vec<SnapshotRun<'_>>,
        tenant: Option<&Tenant>,
        time: Duration,
        permits: Vec<Permit>,
    ) -> Result<SnapshotBatchOutcome, RunError>;

    /// How many connections run statements that were cancelled and have not stopped.
    fn stuck_connections(&self) -> usize {
        0
    }

    /// The token of the current snapshot; none if PostgreSQL cannot provide one, as on a standby.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn snapshot_token(&self) -> Result<Option<SnapshotToken>, RunError>;

    /// The fingerprint that a contract over these tables would have now; none where it would have none.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn fingerprint(&self, tables: &[ContractTable]) -> Result<Option<String>, RunError>;

    /// Holds the statement to its contract, if it has one: its columns, the types of its parameters, the labels of its enum
    /// types, and the time columns of its tables are as PostgreSQL has them now. The statement is not run.
    ///
    /// # Errors
    ///
    /// [`RunError::Drifted`] if PostgreSQL says otherwise; as for [`Self::run`], [`RunError::Failed`] if it cannot resolve the
    /// statement, or the role lacks a right that the statement needs.
    async fn verify(&self, statement: &BoundStatement, contract: Option<&Contract>) -> Result<(), RunError>;

    /// The relations that statements may read, by their names.
    ///
    /// # Errors
    ///
    /// As for [`Self::check`].
    async fn relations(&self) -> Result<Vec<Relation>, RunError>;

    /// Says whether a statement could be run now.
    ///
    /// # Errors
    ///
    /// [`RunError::Unavailable`] or [`RunError::NoConnection`] where it could not.
    async fn check(&self) -> Result<(), RunError>;
}
