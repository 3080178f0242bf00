//! A store that keeps everything in a JSON file, and passes the contract suite.
//!
//! ```sh
//! cargo run -p metricd-repository --example implement_a_store -- metrics.json
//! cargo test -p metricd-repository --example implement_a_store
//! ```
//!
//! The file is read when the store is opened, and replaced after each change: a change that was acknowledged is in the
//! file, and a change that failed is not.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion,
};
use metricd_repository::{
    DefinitionFilter, Idempotency, Ingestion, MAX_VALIDATION_ATTEMPTS, MetricChange, MetricRepository, NewMetric,
    Readiness, RepositoryError, StoreState,
};

/// A store in a JSON file. One process may open a file at a time.
#[derive(Debug)]
struct JsonFileRepository {
    path: PathBuf,
    /// What the file holds.
    state: Mutex<StoreState>,
    /// Held by the ingestion that runs.
    ingesting: Mutex<()>,
}

impl JsonFileRepository {
    /// Opens the file, or begins with nothing if there is none.
    fn open(path: &Path) -> io::Result<Self> {
        let state = match fs::read(path) {
            Ok(document) => serde_json::from_slice(&document)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => StoreState::default(),
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state), ingesting: Mutex::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        // Only a whole state is put in place, so that a panic cannot have left a broken one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change on a copy. The copy takes the place of the state when it is in the file.
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
        let failed = |error: &dyn std::fmt::Display| {
            RepositoryError::Unavailable(format!("`{}` cannot be written: {error}", self.path.display()))
        };
        let document = serde_json::to_vec(&next).map_err(|error| failed(&error))?;
        replace(&self.path, &document).map_err(|error| failed(&error))?;
        *state = next;
        Ok(())
    }
}

/// Replaces a file: a reader finds the old content or the new one, also after a crash.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// A real store of this kind would do its work with `tokio::task::spawn_blocking`, so that a slow disk does not hold
/// the thread of other requests.
#[async_trait]
impl MetricRepository for JsonFileRepository {
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
        let _one_at_a_time = self.ingesting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ingestion.idempotency();
        if let Some(key) = &key
            && let Some(report) = self.lock().remembered_report(key)?
        {
            return Ok(report);
        }
        let referenced_ids = ingestion.referenced_ids();
        for _ in 0..MAX_VALIDATION_ATTEMPTS {
            let existing = self.lock().existing(&referenced_ids);
            // The state is not locked: metrics may be changed while the ingestion validates its definitions.
            let definitions = ingestion.definitions(&existing)?;
            let mut state = self.lock();
            if state.existing(&referenced_ids) == existing {
                let (next, report) = state.ingested(definitions, ingestion.as_mut(), key)?;
                self.commit(&mut state, next)?;
                return Ok(report);
            }
        }
        Err(RepositoryError::ChangedMeanwhile)
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.lock().get_ingestion(id)
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        Ok(self.lock().check())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: implement_a_store FILE")?;
    let repository = JsonFileRepository::open(Path::new(&path))?;
    println!("{} metrics are in service", repository.check().await?.metric_count);
    for definition in repository.list_definitions(&DefinitionFilter::default(), None, 100).await? {
        println!("{}: {}", definition.metric.metric_id, definition.title());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use metricd_domain::{ChangeSource, Contract, SqlText};
    use metricd_repository::MetricContent;
    use tempfile::TempDir;

    use super::*;

    /// An empty store, and the folder that its file is in.
    fn store() -> Ready<(TempDir, Arc<dyn MetricRepository>)> {
        let folder = tempfile::tempdir().unwrap();
        let repository = JsonFileRepository::open(&folder.path().join("store.json")).unwrap();
        ready((folder, Arc::new(repository)))
    }

    metricd_repository::repository_contract!(store());

    fn metric(id: &str) -> NewMetric {
        let content = MetricContent::new(SqlText::parse("SELECT 1 AS one").unwrap(), Contract::default());
        NewMetric::new(MetricId::parse(id).unwrap(), content, Actor::by(ChangeSource::Http))
    }

    #[tokio::test]
    async fn what_is_stored_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let stored = JsonFileRepository::open(&path).unwrap().insert_metric(metric("m1"), None).await.unwrap().0;
        let opened = JsonFileRepository::open(&path).unwrap();
        assert_eq!(opened.get_definition(&stored.metric.metric_id).await.unwrap(), stored);
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_written_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let repository = JsonFileRepository::open(&folder.path().join("store.json")).unwrap();
        repository.insert_metric(metric("m1"), None).await.unwrap();
        // A folder stands in the way of the file that is written first.
        fs::create_dir(folder.path().join("store.tmp")).unwrap();
        let refused = repository.insert_metric(metric("m2"), None).await;
        assert!(matches!(refused, Err(RepositoryError::Unavailable(_))), "{refused:?}");
        assert_eq!(repository.check().await.unwrap().metric_count, 1);
    }
}
