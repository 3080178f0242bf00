//! Detects stale contracts and refreshes them.
//!
//! Tables, views and types may change after a definition was stored, and so may metricd's own rules. The runner refuses
//! a statement that PostgreSQL describes differently from its contract. A [`Problem`] therefore says whether a stale
//! contract may be its cause; if so, the contract is refreshed and the request is answered again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metricd_database::{Fault, fault_of};
use metricd_domain::{Actor, ChangeSource, Contract, MetricDefinition, MetricId};
use metricd_execution::{BoundStatement, Declarations, RunError, SqlValidationError, SqlValidator, Statement};
use metricd_repository::{MetricChange, MetricContent, RepositoryError};

use crate::results::definition_cache::CachedMetric;
use crate::{ApiState, Problem};

/// How often a request is answered again with a refreshed contract.
pub(crate) const MAX_CONTRACT_REFRESHES: usize = 2;

/// How long the outcome of a check is reused. Otherwise each request that PostgreSQL refuses would be validated again.
const CONTRACT_CHECK_TTL: Duration = Duration::from_secs(2);

/// Whether a stale contract may be the cause of a problem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Staleness {
    /// It is not the cause.
    #[default]
    None,
    /// It may be: another contract would give another response.
    Possible,
    /// It is: PostgreSQL contradicts the contract.
    Certain,
}

/// The last check of a metric's contract: when, and the outcome.
#[derive(Debug, Default)]
pub(crate) struct ContractCheck(Mutex<Option<(Instant, CheckOutcome)>>);

/// The outcome of a check.
#[derive(Debug, Clone)]
enum CheckOutcome {
    /// The contract is current.
    Current,
    /// The contract could not be refreshed; this metric is served instead.
    Fallback(Arc<CachedMetric>),
}

impl ContractCheck {
    /// The outcome of the last check, unless it is older than [`CONTRACT_CHECK_TTL`].
    fn outcome(&self) -> Option<CheckOutcome> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < CONTRACT_CHECK_TTL).map(|(_, outcome)| outcome.clone())
    }

    fn note(&self, outcome: CheckOutcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), outcome));
    }
}

/// The contract that PostgreSQL gives now.
enum Refresh {
    /// The same as the stored one.
    Unchanged,
    /// Another one, or none; this metric has it.
    Replaced(Arc<CachedMetric>),
}

impl ApiState {
    /// The metric in service, or its fallback if its contract could not be refreshed.
    ///
    /// # Errors
    ///
    /// As for [`DefinitionCache::get_in_service`](crate::DefinitionCache::get_in_service).
    pub(crate) async fn cached_metric(&self, id: &MetricId) -> Result<Arc<CachedMetric>, RepositoryError> {
        let cached = self.definitions.get_in_service(id).await?;
        match cached.contract_check.outcome() {
            Some(CheckOutcome::Fallback(fallback)) => Ok(fallback),
            Some(CheckOutcome::Current) | None => Ok(cached),
        }
    }

    /// The metric in service with its current contract. The contract is absent if the SQL is no longer valid, and the
    /// stored one if the database cannot be reached.
    ///
    /// # Errors
    ///
    /// As for [`DefinitionCache::get_in_service`](crate::DefinitionCache::get_in_service); 503 if the stored contract
    /// is stale and cannot be refreshed.
    pub(crate) async fn current_metric(&self, id: &MetricId) -> Result<Arc<CachedMetric>, Problem> {
        let cached = self.definitions.get_in_service(id).await?;
        if !self.has_drifted(&cached.definition).await {
            return Ok(cached);
        }
        match self.refresh(&cached).await {
            Ok(Refresh::Replaced(refreshed)) => Ok(refreshed),
            Ok(Refresh::Unchanged) => Ok(cached),
            // Nothing is claimed that may be wrong.
            Err(_) if cached.definition.contract.is_none() => Ok(cached),
            Err(problem) => Err(problem),
        }
    }

    /// The definition that was just stored with its current contract; without a contract if that cannot be determined.
    pub(crate) async fn with_current_contract(&self, mut stored: MetricDefinition) -> MetricDefinition {
        match self.current_metric(&stored.metric.metric_id).await {
            Ok(cached) if cached.definition.version == stored.version => cached.definition.clone(),
            // The metric was changed again, and validated by that change.
            Ok(_) => stored,
            Err(_) => {
                stored.contract = None;
                stored
            }
        }
    }

    /// Calls `answer` with the metric, and again with a refreshed contract if a stale one may have caused the problem.
    ///
    /// # Errors
    ///
    /// The problem of the last attempt; 503 if the contract is stale and cannot be refreshed.
    pub(crate) async fn with_contract_retry<T>(
        &self,
        mut cached: Arc<CachedMetric>,
        answer: impl AsyncFn(&Arc<CachedMetric>) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        for _ in 0..MAX_CONTRACT_REFRESHES {
            let answered = answer(&cached).await;
            let Err(problem) = &answered else { return answered };
            match self.refreshed(&cached, problem.staleness()).await? {
                Some(refreshed) => cached = refreshed,
                None => return answered,
            }
        }
        answer(&cached).await
    }

    /// The metric with a refreshed contract; `None` if the contract is current.
    ///
    /// # Errors
    ///
    /// 503 if the contract is stale and cannot be refreshed.
    pub(crate) async fn refreshed(
        &self,
        cached: &Arc<CachedMetric>,
        staleness: Staleness,
    ) -> Result<Option<Arc<CachedMetric>>, Problem> {
        if staleness == Staleness::None || cached.is_fallback {
            return Ok(None);
        }
        match cached.contract_check.outcome() {
            Some(CheckOutcome::Fallback(fallback)) => return Ok(Some(fallback)),
            Some(CheckOutcome::Current) if staleness == Staleness::Possible => return Ok(None),
            Some(CheckOutcome::Current) | None => {}
        }
        if staleness == Staleness::Possible && !self.has_drifted(&cached.definition).await {
            cached.contract_check.note(CheckOutcome::Current);
            return Ok(None);
        }
        Ok(Some(match self.refresh(cached).await? {
            Refresh::Replaced(refreshed) => refreshed,
            // The reader sees other tables than the owner, for example on a standby that lags behind. The result
            // describes its own columns.
            Refresh::Unchanged => fallback(cached, cached.definition.contract.clone()),
        }))
    }

    /// Whether PostgreSQL describes the SQL differently from its contract, or the contract was made by other rules or is
    /// absent.
    async fn has_drifted(&self, definition: &MetricDefinition) -> bool {
        // It was never validated, or by a release whose contract this one cannot read.
        let Some(contract) = &definition.contract else { return true };
        if !contract.has_current_period_revision() {
            return true;
        }
        let Ok(statement) = Statement::parse(&definition.sql) else { return false };
        let bound = BoundStatement::with_nulls(&statement, &definition.metric.parameters);
        match self.runner.verify(&bound, Some(contract)).await {
            Err(RunError::Drifted) => true,
            Err(RunError::Failed { sqlstate, .. }) => !matches!(fault_of(&sqlstate), Fault::Unavailable(_)),
            Ok(()) | Err(_) => false,
        }
    }

    /// Validates the SQL again and stores its contract. The version stays, since the definition did not change.
    async fn refresh(&self, cached: &Arc<CachedMetric>) -> Result<Refresh, Problem> {
        let definition = &cached.definition;
        let id = &definition.metric.metric_id;
        let permit = self.acquire_validation_permit().await?;
        // Another request may have refreshed it while this one waited.
        let stored = self.definitions.get_in_service(id).await?;
        if stored.tag != cached.tag {
            return Ok(Refresh::Replaced(stored));
        }
        let (sql, metric) = (definition.sql.clone(), definition.metric.clone());
        let validation = async move |validator: SqlValidator| validator.validate(&sql, Declarations::of(&metric)).await;
        let contract = match self.validate(permit, validation).await? {
            Ok(contract) => contract,
            Err(refused @ SqlValidationError::Refused(_)) => {
                log::warn!("the SQL of `{id}` is no longer valid: {refused}");
                return Ok(Refresh::Replaced(fallback(cached, None)));
            }
            Err(unavailable @ SqlValidationError::Unavailable(_)) => return Err(unavailable.into()),
        };
        if definition.contract.as_ref() == Some(&contract) {
            return Ok(Refresh::Unchanged);
        }
        log::info!("the contract of `{id}` is refreshed: its tables have changed since, or the rules of validation");
        let content = MetricContent::of(definition, contract.clone());
        // Only the contract changes, so the change has no subject.
        let change = MetricChange::Content(Box::new(content));
        match self.repository.change_metric(id, definition.version, change, Actor::by(ChangeSource::Database)).await {
            // A concurrent change of the metric has stored a contract as well.
            Ok(_) | Err(RepositoryError::VersionMismatch { .. }) => {}
            Err(error @ (RepositoryError::MetricDeleted(_) | RepositoryError::MetricNotFound(_))) => {
                return Err(error.into());
            }
            Err(error) => {
                log::warn!("the contract of `{id}` cannot be stored: {error}");
                return Ok(Refresh::Replaced(fallback(cached, Some(contract))));
            }
        }
        self.definitions.invalidate();
        Ok(Refresh::Replaced(self.definitions.get_in_service(id).await?))
    }
}

/// Serves the metric with this contract for [`CONTRACT_CHECK_TTL`], without comparing it with PostgreSQL's description.
fn fallback(cached: &CachedMetric, contract: Option<Contract>) -> Arc<CachedMetric> {
    let mut definition = cached.definition.clone();
    definition.contract = contract;
    let fallback = Arc::new(CachedMetric::fallback(definition));
    cached.contract_check.note(CheckOutcome::Fallback(Arc::clone(&fallback)));
    fallback
}
