//! The state that all requests share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web;
use chrono::{DateTime, Utc};
use metricd_access::Access;
use metricd_database::Outage;
use metricd_domain::{Contract, Tenant, TimeZone};
use metricd_execution::{
    FileWriters, MetricRunner, Replicas, Resolver, RunLimits, SqlValidationError, SqlValidator, TimeZones,
};
use metricd_ingestion::TableFormat;
use metricd_repository::MetricRepository;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::auth::quotas::VALIDATION_ACQUIRE_TIMEOUT;
use crate::results::definition_cache::CachedMetric;
use crate::{
    DefinitionCache, Problem, ProblemCode, Quotas, RunCoalescer, SnapshotScopes, TenantIsolation, Uploads,
    ValidatorCache,
};

/// The number of concurrent validations, each on a connection of the resolver.
const MAX_CONCURRENT_VALIDATIONS: usize = 2;

/// How long a request waits until the time zones that the database knows have been read, which happens once.
const TIME_ZONES_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that all requests share: repository, runner, resolver, file writers, caches and the operator's limits.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// Which tokens the server accepts.
    pub access: Access,
    /// The quotas of callers.
    pub quotas: Arc<Quotas>,
    /// The check of row-level security; `None` without tenants.
    pub tenants: Option<Arc<TenantIsolation>>,
    /// The repository of metrics.
    pub repository: Arc<dyn MetricRepository>,
    /// The cached definitions.
    pub definitions: Arc<DefinitionCache>,
    /// The validators of earlier results.
    pub validator_cache: Arc<ValidatorCache>,
    /// The runs in flight that identical requests may join.
    pub run_coalescer: Arc<RunCoalescer>,
    /// Runs the SQL of metrics.
    pub runner: Arc<dyn MetricRunner>,
    /// The servers that results are read from; `None` if there is only that of [`Self::runner`].
    pub replicas: Option<Arc<dyn Replicas>>,
    /// Writes results as files.
    pub file_writers: Arc<dyn FileWriters>,
    /// Knows which relations have rows that other servers have.
    pub snapshot_scopes: Arc<SnapshotScopes>,
    /// Resolves SQL before it is stored.
    pub resolver: Arc<dyn Resolver>,
    /// Functions that stored SQL may call in addition to the guard's list.
    pub allowed_functions: Arc<BTreeSet<String>>,
    /// Types that stored SQL may name in addition to the guard's list.
    pub allowed_types: Arc<BTreeSet<String>>,
    /// The time limit of a metric's SQL.
    pub query_timeout: Duration,
    /// The time limit of all metrics of one call.
    pub results_timeout: Duration,
    /// The highest planner cost of a metric's SQL, in PostgreSQL's unit (1 is a sequential page read).
    pub query_cost: u64,
    /// How long the client of a stream may make the database wait, in total.
    pub stream_write_timeout: Duration,
    /// The minimum rate, in bytes per second, at which a client must read a stream; 0 is unlimited.
    pub stream_min_bytes_per_second: u64,
    /// The size limit of an upload, in bytes.
    pub max_upload_bytes: u64,
    /// The folder and the slots of uploads.
    pub uploads: Arc<Uploads>,
    /// Limits concurrent validations; waiting requests hold no thread.
    pub validation_permits: Arc<Semaphore>,
    /// Allows one ingestion at a time; waiting requests hold no connection.
    pub ingestion_permits: Arc<Semaphore>,
    /// The time zone of requests that name none: that of the runner's sessions.
    pub time_zone: TimeZone,
    /// The time zones that the database knows. Read for the first request that names one, and kept.
    pub time_zones: Arc<OnceCell<TimeZones>>,
    /// The formats of files of rows besides text, such as Parquet.
    pub binary_formats: Vec<Arc<dyn TableFormat>>,
    /// Whether tables of files are stored. Not if the data is in another database than the catalog.
    pub stores_tables: bool,
    /// Where the data is and what follows from that, for `GET /health/ready`; `None` if it is in the catalog's database.
    pub data_place: Option<&'static str>,
    /// Whether the data is no longer in the database in which SQL was validated. Then the server is not ready.
    pub has_data_moved: Arc<AtomicBool>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

impl ApiState {
    /// Without tokens, tenants and quotas, in UTC. Limits: 5 s and a cost of 10 000 000 for a metric's SQL, 15 s for several
    /// metrics in one call, 5 minutes and 16 KiB/s for reading a stream, 256 MiB for an upload.
    #[must_use]
    pub fn new(
        repository: Arc<dyn MetricRepository>,
        runner: Arc<dyn MetricRunner>,
        resolver: Arc<dyn Resolver>,
        file_writers: Arc<dyn FileWriters>,
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
            replicas: None,
            file_writers,
            snapshot_scopes: Arc::default(),
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
            time_zone: TimeZone::default(),
            time_zones: Arc::default(),
            binary_formats: Vec::new(),
            stores_tables: true,
            data_place: None,
            has_data_moved: Arc::default(),
            now: Utc::now,
        }
    }

    /// The time zones that the database knows.
    ///
    /// # Errors
    ///
    /// The problem of reading them, which the next request tries again. 503 if other requests still read them.
    pub(crate) async fn time_zones(&self) -> Result<&TimeZones, Problem> {
        let read = self.time_zones.get_or_try_init(|| self.runner.time_zones());
        let read = timeout(TIME_ZONES_TIMEOUT, read).await;
        Ok(read.map_err(|_| Problem::new(ProblemCode::NoConnection))??)
    }

    /// Creates the validator of SQL, for which it reads the functions and types of the warehouse.
    ///
    /// # Errors
    ///
    /// [`SqlValidationError::Unavailable`].
    pub(crate) async fn validator(&self) -> Result<SqlValidator, SqlValidationError> {
        if self.has_data_moved.load(Ordering::Relaxed) {
            let message = "the data is no longer in the database in which SQL was validated";
            return Err(SqlValidationError::Unavailable(Outage::unreachable(message)));
        }
        let validator = SqlValidator::new(Arc::clone(&self.resolver), &self.allowed_functions).await?;
        Ok(validator.with_types(&self.allowed_types))
    }

    /// Waits for a permit to validate SQL on a connection of the resolver.
    ///
    /// # Errors
    ///
    /// 503 if other validations hold all permits until the timeout.
    pub(crate) async fn acquire_validation_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = timeout(VALIDATION_ACQUIRE_TIMEOUT, Arc::clone(&self.validation_permits).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| Problem::new(ProblemCode::NoConnection))
    }

    /// Validates SQL on a thread that serves nothing else: parsing SQL and comparing trees take a tenth of a second, if the SQL
    /// is as large as permitted. The permits are released when the validation ends, also if the request is dropped
    /// before.
    ///
    /// # Errors
    ///
    /// 500 if the validation panics.
    pub(crate) async fn validate(
        &self,
        permits: impl Send + 'static,
        validation: impl AsyncFnOnce(SqlValidator) -> Result<Contract, SqlValidationError> + Send + 'static,
    ) -> Result<Result<Contract, SqlValidationError>, Problem> {
        let (state, runtime) = (self.clone(), Handle::current());
        let validated = web::block(move || {
            let _permits = permits;
            runtime.block_on(async { validation(state.validator().await?).await })
        });
        validated.await.map_err(|error| Problem::new(ProblemCode::InternalError).caused_by(error))
    }

    /// Requires row-level security for every relation that the metric may read, if it runs for a tenant.
    ///
    /// # Errors
    ///
    /// 500 if a relation lacks it, which the operator must fix; 503 if the database cannot be reached.
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
