//! What every request shares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use metricd_access::Access;
use metricd_domain::Tenant;
use metricd_execution::{Judge, JudgeError, MetricRunner, Resolver, RunLimits};
use metricd_repository::MetricRepository;
use tokio::sync::Semaphore;

use crate::results::definition_cache::CachedMetric;
use crate::{DefinitionCache, Problem, ProblemCode, Quotas, RunCoalescer, TenantIsolation, Uploads, ValidatorCache};

/// How many texts of SQL are judged at once, each on a connection of the resolver's.
const MAX_CONCURRENT_VALIDATIONS: usize = 2;

/// What every request shares: the store, the runner, the resolver, and the rules that are the operator's to set.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// Whom the server answers.
    pub access: Access,
    /// How much each of them may ask for.
    pub quotas: Arc<Quotas>,
    /// Whose rows are kept apart, where SQL runs on behalf of the tenant that a token names.
    pub tenants: Option<Arc<TenantIsolation>>,
    /// The store of metrics.
    pub repository: Arc<dyn MetricRepository>,
    /// Its definitions, as far as they are held in memory.
    pub definitions: Arc<DefinitionCache>,
    /// What is known of their results.
    pub validator_cache: Arc<ValidatorCache>,
    /// The runs that have not ended, for requests that ask the same to share them.
    pub run_coalescer: Arc<RunCoalescer>,
    /// Runs their SQL.
    pub runner: Arc<dyn MetricRunner>,
    /// Says what SQL is that is to be stored.
    pub resolver: Arc<dyn Resolver>,
    /// The functions that stored SQL may call beside those of the guard's list.
    pub allowed_functions: Arc<BTreeSet<String>>,
    /// The types that it may name beside those of the guard's list.
    pub allowed_types: Arc<BTreeSet<String>>,
    /// How long a metric's SQL may run.
    pub query_timeout: Duration,
    /// How long all metrics of one call may run.
    pub results_timeout: Duration,
    /// What the planner may estimate that a metric's SQL costs, in its own unit: 1 is the reading of a page in sequence.
    pub query_cost: u64,
    /// How long the client of a stream may make the database wait, in total.
    pub stream_write_timeout: Duration,
    /// How many bytes a second the client of a stream has to take at least; 0 is any number.
    pub stream_min_bytes_per_second: u64,
    /// How many bytes an upload may have.
    pub max_upload_bytes: u64,
    /// Room for uploads.
    pub uploads: Arc<Uploads>,
    /// Lets so many texts of SQL in at once to be judged, so that those that wait for it hold no thread.
    pub validation_permits: Arc<Semaphore>,
    /// Lets one ingestion in at a time, so that those that wait for it hold no connection.
    pub ingestion_permits: Arc<Semaphore>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

impl ApiState {
    /// For anybody, without tenants and quotas, with 5 s and a cost of 10 000 000 for a metric's SQL, 15 s for several metrics in one call, 5 minutes and 16 KiB a second for a client to
    /// read a stream, 256 MiB for an upload, and the system's clock.
    #[must_use]
    pub fn new(
        repository: Arc<dyn MetricRepository>,
        runner: Arc<dyn MetricRunner>,
        resolver: Arc<dyn Resolver>,
        uploads: Uploads,
    ) -> Self {
        Self {
            access: Access::default(),
            quotas: Arc::default(),
            tenants: None,
            definitions: Arc::new(DefinitionCache::new(Arc::clone(&repository))),
            repository,
            validator_cache: Arc::default(),
            run_coalescer: Arc::default(),
            runner,
            resolver,
            allowed_functions: Arc::default(),
            allowed_types: Arc::default(),
            query_timeout: Duration::from_secs(5),
            results_timeout: Duration::from_secs(15),
            query_cost: RunLimits::default().cost,
            stream_write_timeout: Duration::from_secs(300),
            stream_min_bytes_per_second: 16 << 10,
            max_upload_bytes: 256 << 20,
            uploads: Arc::new(uploads),
            validation_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_VALIDATIONS)),
            ingestion_permits: Arc::new(Semaphore::new(1)),
            now: Utc::now,
        }
    }

    /// Who judges SQL before it is stored. Waits for the database on the caller's thread.
    ///
    /// # Errors
    ///
    /// [`JudgeError::Unavailable`].
    pub(crate) fn judge(&self) -> Result<Judge, JudgeError> {
        let judge = Judge::new(Arc::clone(&self.resolver), &self.allowed_functions)?;
        Ok(judge.with_types(&self.allowed_types))
    }

    /// Lets the metric be run where that is on behalf of nobody, or policies keep the tenant's rows apart.
    ///
    /// # Errors
    ///
    /// 500 where they do not: that is the operator's to mend. 503 where the database cannot be asked.
    pub(crate) async fn require_row_security(
        &self,
        tenant: Option<&Tenant>,
        cached: &CachedMetric,
    ) -> Result<(), Problem> {
        let (Some(_), Some(tenants)) = (tenant, &self.tenants) else { return Ok(()) };
        let checked = tenants.check(self.runner.as_ref(), cached.definition.contract.as_ref()).await?;
        checked.map_err(|error| Problem::new(ProblemCode::RowSecurityMissing).caused_by(error))
    }
}
