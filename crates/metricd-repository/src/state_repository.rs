//! A complete store that holds its state in memory, and saves it for the next process if required.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, TableName,
};

use crate::{
    DefinitionFilter, Idempotency, Ingestion, MAX_VALIDATION_ATTEMPTS, MetricChange, MetricRepository, NewMetric,
    ReadTable, Readiness, RepositoryError, StoreState, StoredTable, TableVersion,
};

/// Saves the state of a store, for example in a file.
pub trait SaveState: Debug + Send + Sync {
    /// Saves the state atomically. The change that led to it takes effect after this returns.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Unavailable`] if the state cannot be saved. The change is not made then.
    fn save(&self, state: &StoreState) -> Result<(), RepositoryError>;
}

/// Saves nothing: the state is lost when the process ends.
impl SaveState for () {
    fn save(&self, _: &StoreState) -> Result<(), RepositoryError> {
        Ok(())
    }
}

/// A store that holds its state in memory, and saves it after each change. Saving blocks the calling thread.
#[derive(Debug, Default)]
pub struct StateRepository<S> {
    state: Mutex<StoreState>,
    storage: S,
}

/// A store in memory. It fulfils every guarantee of [`MetricRepository`], but loses its state when the process ends.
pub type MemoryRepository = StateRepository<()>;

impl<S: SaveState> StateRepository<S> {
    /// Makes a store of a state that was saved before, or of [`StoreState::default`].
    #[must_use]
    pub fn new(state: StoreState, storage: S) -> Self {
        Self { state: Mutex::new(state), storage }
    }

    /// The values of every row of a table, in no particular order. Empty if there is no such table.
    #[must_use]
    pub fn rows(&self, name: &TableName) -> Vec<Vec<Option<String>>> {
        self.lock().rows(name)
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        // A change is made on a copy that then replaces the state, so a panic cannot have left a broken state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change to a copy, and replaces the state if it succeeds and is saved.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut StoreState) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        let mut state = self.lock();
        let mut next = state.clone();
        let result = change(&mut next)?;
        self.commit(&mut state, next)?;
        Ok(result)
    }

    fn commit(&self, state: &mut StoreState, next: StoreState) -> Result<(), RepositoryError> {
        self.storage.save(&next)?;
        *state = next;
        Ok(())
    }
}

#[async_trait]
impl<S: SaveState> MetricRepository for StateRepository<S> {
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        self.lock().get_definition(id)
    }

    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        self.lock().list_definitions(filter, after, limit)
    }

    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        self.lock().list_metric_versions(id, before, limit)
    }

    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        self.change(|state| state.insert_metric(metric, idempotency))
    }

    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        self.change(|state| state.change_metric(id, version, change, &actor))
    }

    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError> {
        self.change(|state| Ok(state.purge_metrics(deleted_before)))
    }

    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError> {
        Ok(self.lock().list_queries(after, limit))
    }

    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        self.lock().list_query_versions(id)
    }

    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError> {
        Ok(self.lock().list_dashboards(among, after, limit))
    }

    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        self.lock().get_dashboard(id)
    }

    async fn ingest(&self, mut ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        let key = ingestion.idempotency();
        let earlier_report = |state: &StoreState| key.as_ref().map(|key| state.earlier_report(key)).transpose();
        if let Some(report) = earlier_report(&self.lock())?.flatten() {
            return Ok(report);
        }
        let referenced_ids = ingestion.referenced_ids();
        for _ in 0..MAX_VALIDATION_ATTEMPTS {
            let existing = self.lock().existing(&referenced_ids);
            // The state is not locked here, so others can change metrics or ingest during the validation.
            let definitions = ingestion.definitions(&existing).await?;
            let mut state = self.lock();
            if let Some(report) = earlier_report(&state)?.flatten() {
                return Ok(report);
            }
            if state.existing(&referenced_ids) == existing {
                let (next, report) = state.ingested(definitions, ingestion.as_mut(), key.clone())?;
                self.commit(&mut state, next)?;
                return Ok(report);
            }
        }
        Err(RepositoryError::ChangedMeanwhile)
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.lock().get_ingestion(id)
    }

    async fn list_read_tables(&self, among: Option<&MetricPatterns>) -> Result<Vec<ReadTable>, RepositoryError> {
        Ok(self.lock().list_read_tables(among))
    }

    async fn list_tables(&self) -> Result<Vec<StoredTable>, RepositoryError> {
        Ok(self.lock().list_tables())
    }

    async fn get_table(&self, name: &TableName) -> Result<StoredTable, RepositoryError> {
        self.lock().get_table(name)
    }

    async fn list_table_versions(&self, name: &TableName) -> Result<Vec<TableVersion>, RepositoryError> {
        self.lock().list_table_versions(name)
    }

    async fn delete_table(&self, name: &TableName, actor: Actor) -> Result<(), RepositoryError> {
        self.change(|state| state.delete_table(name, actor))
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        Ok(self.lock().check())
    }
}
