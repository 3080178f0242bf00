//! Caches definitions and their parsed statements, and invalidates them when a definition changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_web::http::header::EntityTag;
use metricd_domain::{MetricDefinition, MetricId};
use metricd_execution::{InvalidStatement, MetricStatement};
use metricd_repository::{MetricRepository, RepositoryError};
use moka::sync::Cache;

use crate::extract::conditional;
use crate::results::contracts::ContractCheck;

/// The least recently used definitions are evicted beyond this number.
const MAX_CACHED_DEFINITIONS: u64 = 10_000;

/// A definition with its parsed statement, ready to be bound.
#[derive(Debug)]
pub(crate) struct CachedMetric {
    pub(crate) definition: MetricDefinition,
    pub(crate) statement: Result<MetricStatement, InvalidStatement>,
    /// The `ETag` of the definition.
    pub(crate) tag: EntityTag,
    /// The last check of its contract.
    pub(crate) contract_check: ContractCheck,
    /// Whether it replaces a metric whose contract could not be refreshed. The runner does not compare it with
    /// PostgreSQL's description.
    pub(crate) is_fallback: bool,
}

impl CachedMetric {
    pub(crate) fn of(definition: MetricDefinition) -> Self {
        let statement = MetricStatement::of(&definition);
        let tag = conditional::definition_tag(&definition);
        Self { definition, statement, tag, contract_check: ContractCheck::default(), is_fallback: false }
    }

    /// The metric to serve if its contract could not be refreshed.
    pub(crate) fn fallback(definition: MetricDefinition) -> Self {
        let cached = Self::of(definition);
        Self { statement: cached.statement.map(MetricStatement::without_expectation), is_fallback: true, ..cached }
    }
}

/// Caches the definitions of a repository while changes are notified.
///
/// The cache is empty until [`Self::enable`] and after [`Self::disable`]; each request then reads its definition from
/// the repository.
#[derive(Debug)]
pub struct DefinitionCache {
    repository: Arc<dyn MetricRepository>,
    cached: Cache<MetricId, Arc<CachedMetric>>,
    is_enabled: AtomicBool,
    /// Counts invalidations, so that a definition read before one is not cached after it.
    generation: AtomicU64,
}

impl DefinitionCache {
    /// An empty, disabled cache of the repository.
    #[must_use]
    pub fn new(repository: Arc<dyn MetricRepository>) -> Self {
        let cached = Cache::builder().max_capacity(MAX_CACHED_DEFINITIONS).build();
        let (is_enabled, generation) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { repository, cached, is_enabled, generation }
    }

    /// Starts caching: every change is notified from now on.
    pub fn enable(&self) {
        self.invalidate();
        self.is_enabled.store(true, Ordering::SeqCst);
    }

    /// Stops caching: notifications may be missed from now on.
    pub fn disable(&self) {
        self.is_enabled.store(false, Ordering::SeqCst);
        self.invalidate();
    }

    /// Evicts everything: a definition has changed.
    pub fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.cached.invalidate_all();
    }

    /// The definition of a metric in service.
    ///
    /// # Errors
    ///
    /// As for [`Self::get`], and [`RepositoryError::MetricDeleted`].
    pub(crate) async fn get_in_service(&self, id: &MetricId) -> Result<Arc<CachedMetric>, RepositoryError> {
        let cached = self.get(id).await?;
        match cached.definition.deleted_at {
            None => Ok(cached),
            Some(_) => Err(RepositoryError::MetricDeleted(id.clone())),
        }
    }

    /// The definition of a metric, deleted or not.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] if no metric has the id; any other error of the repository.
    async fn get(&self, id: &MetricId) -> Result<Arc<CachedMetric>, RepositoryError> {
        if let Some(cached) = self.cached.get(id) {
            return Ok(cached);
        }
        let generation = self.generation.load(Ordering::SeqCst);
        let is_enabled = self.is_enabled.load(Ordering::SeqCst);
        let definition = self.repository.get_definition(id).await?;
        let cached = Arc::new(CachedMetric::of(definition));
        if is_enabled && self.generation.load(Ordering::SeqCst) == generation {
            self.cached.insert(id.clone(), Arc::clone(&cached));
            // An invalidation between the check and the insertion has not evicted this entry.
            if self.generation.load(Ordering::SeqCst) != generation {
                self.cached.invalidate(id);
            }
        }
        Ok(cached)
    }
}

#[cfg(test)]
mod tests {
    use metricd_repository::contract::{TestIngestion, metric, query};
    use metricd_repository::{Definitions, MemoryRepository};

    use super::*;

    async fn store(repository: &MemoryRepository, sql: &str) {
        let definitions = Definitions {
            queries: vec![query("q1", sql)],
            metrics: vec![metric("m1", "q1")],
            ..Definitions::default()
        };
        let (ingestion, _outcome) = TestIngestion::committing(definitions);
        repository.ingest(Box::new(ingestion)).await.unwrap();
    }

    #[actix_web::test]
    async fn a_definition_is_cached_only_while_changes_are_notified() {
        let repository = Arc::new(MemoryRepository::default());
        let cache = DefinitionCache::new(repository.clone());
        let id = MetricId::parse("m1").unwrap();
        let sql = async || cache.get(&id).await.unwrap().definition.sql.to_string();
        assert!(matches!(cache.get(&id).await, Err(RepositoryError::MetricNotFound(_))));

        store(&repository, "SELECT 1").await;
        assert_eq!(sql().await, "SELECT 1");
        store(&repository, "SELECT 2").await;
        assert_eq!(sql().await, "SELECT 2", "disabled, so nothing is cached");

        cache.enable();
        assert_eq!(sql().await, "SELECT 2");
        store(&repository, "SELECT 3").await;
        assert_eq!(sql().await, "SELECT 2", "cached until it is invalidated");
        cache.invalidate();
        assert_eq!(sql().await, "SELECT 3");

        store(&repository, "SELECT 4").await;
        cache.disable();
        assert_eq!(sql().await, "SELECT 4");
    }
}
