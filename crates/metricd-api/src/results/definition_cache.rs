//! The definitions that are in use, in memory: read once, taken apart once, and let go when any of them changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use actix_web::http::header::EntityTag;
use foldhash::fast::RandomState;
use metricd_domain::{MetricDefinition, MetricId};
use metricd_execution::{InvalidStatement, MetricStatement};
use metricd_repository::{MetricRepository, RepositoryError};
use moka::sync::Cache;

use crate::extract::conditional;
use crate::results::contracts::ContractCheck;
use crate::results::prefix::PrefixCache;

/// How many definitions are held at most; the ones that are used least make room.
const MAX_CACHED_DEFINITIONS: u64 = 10_000;

/// A definition with its statement, ready to be given values.
#[derive(Debug)]
pub(crate) struct CachedMetric {
    pub(crate) definition: MetricDefinition,
    pub(crate) statement: Result<MetricStatement, InvalidStatement>,
    /// The definition's tag.
    pub(crate) tag: EntityTag,
    /// How its last result began.
    pub(crate) prefix_cache: PrefixCache,
    /// When its contract was last checked.
    pub(crate) contract_check: ContractCheck,
    /// Whether it is served in the place of one whose contract could not be renewed. It is run whatever PostgreSQL says of it.
    pub(crate) is_fallback: bool,
}

impl CachedMetric {
    pub(crate) fn of(definition: MetricDefinition) -> Self {
        let statement = MetricStatement::of(&definition);
        let tag = conditional::of_definition(&definition);
        let (prefix_cache, contract_check) = (PrefixCache::default(), ContractCheck::default());
        Self { definition, statement, tag, prefix_cache, contract_check, is_fallback: false }
    }

    /// The metric in the place of one whose contract could not be renewed.
    pub(crate) fn fallback(definition: MetricDefinition) -> Self {
        let cached = Self::of(definition);
        Self { statement: cached.statement.map(MetricStatement::without_expectation), is_fallback: true, ..cached }
    }
}

/// The definitions of a store, held in memory for as long as somebody tells of every change.
///
/// Nothing is held until [`Self::enable`] says that changes are told of from now on, nor after
/// [`Self::disable`]: a definition is then read for each request.
#[derive(Debug)]
pub struct DefinitionCache {
    repository: Arc<dyn MetricRepository>,
    cached: Cache<MetricId, Arc<CachedMetric>, RandomState>,
    is_enabled: AtomicBool,
    /// Counts the changes, so that what was read before one is not held after it.
    generation: AtomicU64,
}

impl DefinitionCache {
    /// The definitions of the store.
    #[must_use]
    pub fn new(repository: Arc<dyn MetricRepository>) -> Self {
        let cached = Cache::builder().max_capacity(MAX_CACHED_DEFINITIONS).build_with_hasher(RandomState::default());
        let (is_enabled, generation) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { repository, cached, is_enabled, generation }
    }

    /// Says that every change is told of from now on.
    pub fn enable(&self) {
        self.invalidate();
        self.is_enabled.store(true, Ordering::SeqCst);
    }

    /// Says that changes may be missed from now on.
    pub fn disable(&self) {
        self.is_enabled.store(false, Ordering::SeqCst);
        self.invalidate();
    }

    /// Says that definitions have changed.
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

    /// The definition, in service or not.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::MetricNotFound`] where no metric has the id, and whatever else the store fails with.
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
            // A change between the two lines before may have let go of everything but this.
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
        let (brought, _told) = TestIngestion::committing(definitions, Vec::new());
        repository.ingest(Box::new(brought)).await.unwrap();
    }

    #[actix_web::test]
    async fn a_definition_is_held_only_while_changes_are_told_of() {
        let repository = Arc::new(MemoryRepository::default());
        let cache = DefinitionCache::new(repository.clone());
        let id = MetricId::parse("m1").unwrap();
        let sql = async || cache.get(&id).await.unwrap().definition.sql.to_string();
        assert!(matches!(cache.get(&id).await, Err(RepositoryError::MetricNotFound(_))));

        store(&repository, "SELECT 1").await;
        assert_eq!(sql().await, "SELECT 1");
        store(&repository, "SELECT 2").await;
        assert_eq!(sql().await, "SELECT 2", "nobody watches, so nothing is cached");

        cache.enable();
        assert_eq!(sql().await, "SELECT 2");
        store(&repository, "SELECT 3").await;
        assert_eq!(sql().await, "SELECT 2", "cached, since nobody has told");
        cache.invalidate();
        assert_eq!(sql().await, "SELECT 3");

        store(&repository, "SELECT 4").await;
        cache.disable();
        assert_eq!(sql().await, "SELECT 4");
    }
}
