//! The contracts of metrics, as PostgreSQL would give them now. Tables, views and types change after a definition was stored, and
//! metricd's own rules may have changed as well.
//!
//! The runner runs nothing that PostgreSQL describes otherwise than the contract does, whatever the format of the answer. So a
//! [`Problem`] says whether the contract may be to blame for it, and the answer is tried again by the contract of now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metricd_database::{Fault, fault_of};
use metricd_domain::{Actor, ChangeSource, Contract, MetricDefinition, MetricId};
use metricd_execution::{BoundStatement, Declarations, JudgeError, RunError, Statement};
use metricd_repository::{MetricChange, MetricContent, RepositoryError};
use tokio::time::timeout;

use crate::auth::quotas::VALIDATION_ACQUIRE_TIMEOUT;
use crate::results::definition_cache::CachedMetric;
use crate::{ApiState, Problem, ProblemCode};

/// How often an answer is tried again by a newer contract.
pub(crate) const MAX_CONTRACT_REFRESHES: usize = 2;

/// How long it is relied on that a contract was found to be of now, or could not be renewed. Requests that PostgreSQL refuses time
/// and again would have it judge time and again.
const CHECK_TTL: Duration = Duration::from_secs(2);

/// Whether a contract may be to blame for a problem.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Staleness {
    /// It is not.
    #[default]
    None,
    /// The answer would be another by another contract.
    Possible,
    /// PostgreSQL contradicts the contract.
    Certain,
}

/// When a metric's contract was last checked, and what was found.
#[derive(Debug, Default)]
pub(crate) struct ContractCheck(Mutex<Option<(Instant, CheckOutcome)>>);

/// What a check has found.
#[derive(Debug, Clone)]
enum CheckOutcome {
    /// The contract is of now.
    Current,
    /// It could not be renewed: this answers instead.
    Fallback(Arc<CachedMetric>),
}

impl ContractCheck {
    /// What the last check has found, unless that is too long ago.
    fn outcome(&self) -> Option<CheckOutcome> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < CHECK_TTL).map(|(_, outcome)| outcome.clone())
    }

    fn note(&self, outcome: CheckOutcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), outcome));
    }
}

/// The contract that PostgreSQL gives now.
enum Refresh {
    /// The stored one.
    Unchanged,
    /// Another one, or none, with which the metric is served.
    Replaced(Arc<CachedMetric>),
}

impl ApiState {
    /// The metric in service, as results are answered by it.
    ///
    /// # Errors
    ///
    /// As for [`DefinitionCache::get_in_service`](crate::Definitions::get_in_service).
    pub(crate) async fn cached_metric(&self, id: &MetricId) -> Result<Arc<CachedMetric>, RepositoryError> {
        let cached = self.definitions.get_in_service(id).await?;
        match cached.contract_check.outcome() {
            Some(CheckOutcome::Fallback(fallback)) => Ok(fallback),
            Some(CheckOutcome::Current) | None => Ok(cached),
        }
    }

    /// The metric in service, with the contract that its SQL has now. SQL that is not valid any more has none. If the database
    /// cannot be asked, the stored one holds.
    ///
    /// # Errors
    ///
    /// As for [`DefinitionCache::get_in_service`](crate::Definitions::get_in_service); 503 if it is known that the contract is
    /// another by now, and not which.
    pub(crate) async fn current_metric(&self, id: &MetricId) -> Result<Arc<CachedMetric>, Problem> {
        let cached = self.definitions.get_in_service(id).await?;
        if !self.has_drifted(&cached.definition).await {
            return Ok(cached);
        }
        match self.refresh(&cached).await? {
            Refresh::Replaced(refreshed) => Ok(refreshed),
            Refresh::Unchanged => Ok(cached),
        }
    }

    /// A definition that was just stored, with the contract that its SQL has now; without one if that cannot be found out.
    pub(crate) async fn with_current_contract(&self, mut stored: MetricDefinition) -> MetricDefinition {
        match self.current_metric(&stored.metric.metric_id).await {
            Ok(cached) if cached.definition.version == stored.version => cached.definition.clone(),
            // Somebody has changed it once more, and it was judged then.
            Ok(_) => stored,
            Err(_) => {
                stored.contract = None;
                stored
            }
        }
    }

    /// Answers by the metric's contract, and again by the one of now if the contract may be to blame for a problem.
    ///
    /// # Errors
    ///
    /// The problem; 503 if the contract is another by now, and it cannot be found out which.
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

    /// The metric with the contract of now, if that is another than it is served with.
    ///
    /// # Errors
    ///
    /// 503 if it is known that the contract is another by now, and not which.
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
            // The role that runs SQL sees other tables than the owner, as on a standby that lags behind. Results say themselves
            // what they are.
            Refresh::Unchanged => fallback(cached, cached.definition.contract.clone()),
        }))
    }

    /// Whether PostgreSQL says other things of the SQL than the contract does, or it was judged by other rules.
    async fn has_drifted(&self, definition: &MetricDefinition) -> bool {
        let Some(contract) = &definition.contract else { return false };
        if !contract.is_of_these_rules() {
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

    /// Judges the SQL again and stores its contract. That is no version of the metric, since nobody has changed it.
    async fn refresh(&self, cached: &Arc<CachedMetric>) -> Result<Refresh, Problem> {
        let definition = &cached.definition;
        let id = &definition.metric.metric_id;
        let permit = timeout(VALIDATION_ACQUIRE_TIMEOUT, Arc::clone(&self.validation_permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(Problem::new(ProblemCode::NoConnection)) };
        // Somebody else may have done it while this waited.
        let stored = self.definitions.get_in_service(id).await?;
        if stored.tag != cached.tag {
            return Ok(Refresh::Replaced(stored));
        }
        let judging = {
            let (state, definition) = (self.clone(), definition.clone());
            move || {
                let _permit = permit;
                state.judge()?.judge(&definition.sql, Declarations::of(&definition.metric))
            }
        };
        let judged = actix_web::web::block(judging).await;
        let contract = match judged.map_err(|error| Problem::new(ProblemCode::InternalError).caused_by(error))? {
            Ok(contract) => contract,
            Err(JudgeError::Refused(findings)) => {
                log::warn!("the contract of `{id}` has ended: {}", JudgeError::Refused(findings));
                return Ok(Refresh::Replaced(fallback(cached, None)));
            }
            Err(JudgeError::Unavailable(outage)) => return Err(outage.into()),
        };
        if definition.contract.as_ref() == Some(&contract) {
            return Ok(Refresh::Unchanged);
        }
        log::info!(
            "the contract of `{id}` is refreshed: its tables have changed since, or the rules by which it was judged"
        );
        let content = MetricContent::of(definition, contract.clone());
        // Nothing but the contract is changed, which is nobody's change.
        let change = MetricChange::Content(Box::new(content));
        match self.repository.change_metric(id, definition.version, change, Actor::by(ChangeSource::Database)).await {
            // Somebody has changed the metric meanwhile, and with it its contract.
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

/// What answers for a while in the place of a metric whose contract could not be renewed.
fn fallback(cached: &CachedMetric, contract: Option<Contract>) -> Arc<CachedMetric> {
    let mut definition = cached.definition.clone();
    definition.contract = contract;
    let fallback = Arc::new(CachedMetric::fallback(definition));
    cached.contract_check.note(CheckOutcome::Fallback(Arc::clone(&fallback)));
    fallback
}
