//! Guarantees about edits: a store knows what changed since files last wrote it.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use metricd_domain::{
    Actor, ChangeSource, Contract, ContractColumn, ContractParts, DisplayText, MetricDefinition, MetricId, MetricTitle,
    QueryId, SqlText,
};
use tokio::runtime::Handle;

use super::builders::{TestIngestion, metric, query};
use super::definitions::{one_metric, store};
use crate::{
    Changes, Conclusion, Definitions, ExistingState, Ingestion, MAX_VALIDATION_ATTEMPTS, MetricChange, MetricContent,
    MetricRepository, NewMetric, ReferencedIds, RepositoryError,
};

type Repository = Arc<dyn MetricRepository>;

fn ann() -> Actor {
    Actor { subject: Some("ann".to_owned()), ..Actor::by(ChangeSource::Http) }
}

fn content(definition: &MetricDefinition) -> MetricContent {
    MetricContent::of(definition, Contract::default())
}

/// Changes a metric over HTTP.
async fn edit(repository: &Repository, id: &str, change: impl FnOnce(&mut MetricContent)) {
    let id = MetricId::parse(id).unwrap();
    let definition = repository.get_definition(&id).await.unwrap();
    let mut content = content(&definition);
    change(&mut content);
    let change = MetricChange::Content(Box::new(content));
    repository.change_metric(&id, definition.version, change, ann()).await.unwrap();
}

/// The authors of the edits of `q1` and `m1`, from the existing state of an empty ingestion.
async fn edits(repository: &Repository) -> (Option<Actor>, Option<Actor>) {
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.referenced_ids.query_ids.insert(QueryId::parse("q1").unwrap());
    ingestion.referenced_ids.metric_ids.insert(MetricId::parse("m1").unwrap());
    repository.ingest(Box::new(ingestion)).await.unwrap();
    let existing = observed.recv().unwrap().0;
    let query = existing.queries.values().find_map(|query| query.edit.clone());
    let metric = existing.metrics.get(&MetricId::parse("m1").unwrap()).and_then(|metric| metric.edit.clone());
    (query.map(|edit| edit.by), metric.map(|edit| edit.by))
}

fn sql(text: &str) -> SqlText {
    SqlText::parse(text).unwrap()
}

/// A change of SQL over HTTP is an edit of the query. The edit ends when files write the query or repeat the edited
/// SQL.
pub async fn an_edit_ends_when_files_write_or_repeat_it(repository: Repository) {
    store(&repository, one_metric("SELECT 1")).await;
    assert_eq!(edits(&repository).await, (None, None), "files wrote it");
    edit(&repository, "m1", |content| content.sql = sql("SELECT 2")).await;
    assert_eq!(edits(&repository).await, (Some(ann()), None));
    store(&repository, one_metric("SELECT 3")).await;
    assert_eq!(edits(&repository).await, (None, None), "files wrote it again");
    edit(&repository, "m1", |content| content.sql = sql("SELECT 4")).await;
    edit(&repository, "m1", |content| content.limits.rows = NonZeroU32::new(4)).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));
    // Other definitions do not end the edit.
    store(&repository, Definitions { queries: vec![query("q2", "SELECT 1")], ..Definitions::default() }).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));
    let mut repeated = one_metric("SELECT 4");
    repeated.metrics[0].limits.rows = NonZeroU32::new(4);
    let changes = store(&repository, repeated).await;
    assert_eq!((changes.queries.unchanged, changes.metrics.unchanged), (1, 1));
    assert_eq!(edits(&repository).await, (None, None), "files repeat it");
}

/// A change of the display text or of the service state is not an edit. A metric's own query, and a metric that no file
/// wrote, are edits.
pub async fn only_changes_of_declared_content_are_edits(repository: Repository) {
    let shared = Definitions { metrics: vec![metric("m1", "q1"), metric("m2", "q1")], ..one_metric("SELECT 1") };
    store(&repository, shared).await;
    let title = Some(MetricTitle::parse("Title").unwrap());
    edit(&repository, "m1", |content| content.display_text = DisplayText { title, ..DisplayText::default() }).await;
    for change in [MetricChange::Delete, MetricChange::Restore] {
        let id = MetricId::parse("m1").unwrap();
        let version = repository.get_definition(&id).await.unwrap().version;
        repository.change_metric(&id, version, change, ann()).await.unwrap();
    }
    assert_eq!(edits(&repository).await, (None, None));

    edit(&repository, "m1", |content| content.sql = sql("SELECT 2")).await;
    assert_eq!(edits(&repository).await, (None, Some(ann())), "the metric reads another query, and `q1` is as it was");
    // A new version of the query does not end the edit of a metric that reads it.
    edit(&repository, "m2", |content| content.sql = sql("SELECT 3")).await;
    let own = repository.get_definition(&MetricId::parse("m1").unwrap()).await.unwrap().metric.query_id;
    let changed = Definitions { queries: vec![query(own.as_str(), "SELECT 5")], ..Definitions::default() };
    store(&repository, changed).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));

    let definition = repository.get_definition(&MetricId::parse("m2").unwrap()).await.unwrap();
    let new = NewMetric { metric_id: MetricId::parse("m3").unwrap(), content: content(&definition), actor: ann() };
    repository.insert_metric(new, None).await.unwrap();
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.referenced_ids.query_ids.insert(QueryId::parse("m3").unwrap());
    repository.ingest(Box::new(ingestion)).await.unwrap();
    let existing = observed.recv().unwrap().0;
    assert!(existing.queries.values().all(|query| query.edit.is_some()), "{existing:?}");
    assert!(existing.metrics.values().all(|metric| metric.edit.is_some()), "{existing:?}");
}

/// Called with the number of the attempt, from 0. It may return definitions that replace those of the ingestion.
type Interruption = dyn FnMut(usize, &ExistingState) -> Option<Definitions> + Send;

/// An ingestion that calls a function during each validation.
struct Interrupted {
    ingestion: TestIngestion,
    interruption: Box<Interruption>,
    attempts: usize,
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Interrupted").field("ingestion", &self.ingestion).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ingestion for Interrupted {
    fn actor(&self) -> Actor {
        self.ingestion.actor()
    }

    fn referenced_ids(&self) -> ReferencedIds {
        self.ingestion.referenced_ids()
    }

    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
        let others = (self.interruption)(self.attempts, existing);
        self.attempts += 1;
        Ok(others.unwrap_or(self.ingestion.definitions(existing).await?))
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        self.ingestion.conclude(changes)
    }
}

/// Ingests, and calls a function during each validation.
async fn ingest_with_interruption(
    repository: &Repository,
    definitions: Definitions,
    interruption: impl FnMut(usize, &ExistingState) -> Option<Definitions> + Send + 'static,
) -> Result<Changes, RepositoryError> {
    let (ingestion, observed) = TestIngestion::committing(definitions);
    let interrupted = Interrupted { ingestion, interruption: Box::new(interruption), attempts: 0 };
    repository.ingest(Box::new(interrupted)).await?;
    Ok(observed.recv().unwrap().1)
}

/// Edits a metric during a validation, and blocks its thread until the edit is stored.
fn edit_and_wait(repository: &Repository, id: &'static str, change: impl FnOnce(&mut MetricContent) + Send + 'static) {
    let (repository, runtime) = (Arc::clone(repository), Handle::current());
    std::thread::spawn(move || runtime.block_on(edit(&repository, id, change))).join().unwrap();
}

fn contract_of(column: &str) -> Contract {
    let columns = vec![ContractColumn::new(column, "integer")];
    Contract::new(ContractParts { columns, ..ContractParts::default() }).unwrap()
}

async fn definition(repository: &Repository) -> MetricDefinition {
    repository.get_definition(&MetricId::parse("m1").unwrap()).await.unwrap()
}

/// Files that repeat what was stored at their validation do not affect an edit that was made meanwhile: they neither
/// revert it, nor end it, nor replace its contract.
pub async fn an_edit_during_a_validation_is_kept(repository: Repository) {
    let mut files = one_metric("SELECT 1 AS a");
    files.contracts = BTreeMap::from([(MetricId::parse("m1").unwrap(), contract_of("a"))]);
    store(&repository, files.clone()).await;
    let (sender, receiver) = mpsc::channel();
    let other_client = Arc::clone(&repository);
    let changes = ingest_with_interruption(&repository, files, move |attempt, existing| {
        if attempt == 0 {
            edit_and_wait(&other_client, "m1", |content| {
                (content.sql, content.contract) = (sql("SELECT 2 AS b"), contract_of("b"));
            });
        }
        sender.send(existing.clone()).unwrap();
        // The ingestion refuses definitions that conflict with an edit.
        let is_edited = existing.queries.values().any(|query| query.edit.is_some());
        is_edited.then(Definitions::default)
    });
    let changes = changes.await.unwrap();
    let queries: Vec<_> = receiver.iter().map(|existing| existing.queries.into_values().next().unwrap()).collect();
    assert_eq!(queries.iter().map(|query| query.sql.as_str()).collect::<Vec<_>>(), ["SELECT 1 AS a", "SELECT 2 AS b"]);
    assert_eq!((changes.queries, changes.metrics), (crate::ChangeCounts::default(), crate::ChangeCounts::default()));
    let after = definition(&repository).await;
    assert_eq!((after.sql.as_str(), after.contract, after.version), ("SELECT 2 AS b", Some(contract_of("b")), 2));
    assert_eq!(edits(&repository).await, (Some(ann()), None));
}

/// If others add, change or delete metrics during the validation, the definitions are validated again with the new
/// state.
pub async fn changes_during_a_validation_cause_another_one(repository: Repository) {
    store(&repository, one_metric("SELECT 1")).await;
    let mut files = one_metric("SELECT 1");
    files.queries.push(query("q2", "SELECT 2"));
    files.metrics.push(metric("m2", "q2"));
    let (sender, receiver) = mpsc::channel();
    let other_client = Arc::clone(&repository);
    let changes = ingest_with_interruption(&repository, files, move |attempt, existing| {
        let (repository, runtime) = (Arc::clone(&other_client), Handle::current());
        let interruption = async move {
            let m1 = definition(&repository).await;
            match attempt {
                0 => {
                    let metric_id = MetricId::parse("m2").unwrap();
                    let new = NewMetric { metric_id, content: content(&m1), actor: ann() };
                    repository.insert_metric(new, None).await.unwrap();
                }
                1 => {
                    let change = MetricChange::Delete;
                    repository.change_metric(&m1.metric.metric_id, m1.version, change, ann()).await.unwrap();
                }
                2 => {
                    let change = MetricChange::Restore;
                    repository.change_metric(&m1.metric.metric_id, m1.version, change, ann()).await.unwrap();
                    edit(&repository, "m1", |content| content.limits.rows = NonZeroU32::new(3)).await;
                }
                _ => {}
            }
        };
        std::thread::spawn(move || runtime.block_on(interruption)).join().unwrap();
        let m1 = &existing.metrics[&MetricId::parse("m1").unwrap()];
        sender.send((existing.metrics.len(), m1.is_deleted, m1.edit.is_some())).unwrap();
        None
    });
    let changes = changes.await.unwrap();
    let expected = [(1, false, false), (2, false, false), (2, true, false), (2, false, true)];
    assert_eq!(receiver.iter().collect::<Vec<_>>(), expected);
    assert_eq!((changes.metrics.added, changes.metrics.changed, changes.queries.added), (0, 2, 1));
}

/// If the state changes during every attempt, the ingestion fails and stores nothing.
pub async fn an_ingestion_fails_after_too_many_validations(repository: Repository) {
    store(&repository, one_metric("SELECT 1")).await;
    let files =
        Definitions { queries: vec![query("q1", "SELECT 'file'"), query("q9", "SELECT 9")], ..Definitions::default() };
    let other_client = Arc::clone(&repository);
    let result = ingest_with_interruption(&repository, files, move |attempt, _| {
        edit_and_wait(&other_client, "m1", move |content| content.sql = sql(&format!("SELECT 'edit', {attempt}")));
        None
    });
    let result = result.await;
    assert!(matches!(result, Err(RepositoryError::ChangedMeanwhile)), "{result:?}");
    let after = definition(&repository).await;
    assert_eq!(after.sql.as_str(), format!("SELECT 'edit', {}", MAX_VALIDATION_ATTEMPTS - 1));
    assert_eq!(
        repository.list_query_versions(&QueryId::parse("q1").unwrap()).await.unwrap().len(),
        1 + MAX_VALIDATION_ATTEMPTS
    );
    assert!(repository.list_query_versions(&QueryId::parse("q9").unwrap()).await.is_err());
}

/// A contract of other SQL, or of other declarations, is not stored, regardless of which changes first.
pub async fn a_contract_belongs_to_the_validated_definition(repository: Repository) {
    // The files do not contain the query of the metric: the contract is that of the stored SQL.
    store(&repository, one_metric("SELECT 1 AS a")).await;
    let m1 = MetricId::parse("m1").unwrap();
    let mut files = Definitions { metrics: vec![metric("m1", "q1")], ..Definitions::default() };
    files.metrics[0].limits.rows = NonZeroU32::new(5);
    let (mut ingestion, _observed) = TestIngestion::committing(files.clone());
    ingestion.referenced_ids.query_ids.insert(QueryId::parse("q1").unwrap());
    let other_client = Arc::clone(&repository);
    let interruption = move |attempt: usize, existing: &ExistingState| {
        if attempt == 0 {
            edit_and_wait(&other_client, "m1", |content| content.sql = sql("SELECT 2 AS b"));
        }
        let read = existing.queries.values().next().unwrap();
        let name = if read.sql.as_str().ends_with('a') { "a" } else { "b" };
        Some(Definitions { contracts: BTreeMap::from([(m1.clone(), contract_of(name))]), ..files.clone() })
    };
    let interrupted = Interrupted { ingestion, interruption: Box::new(interruption), attempts: 0 };
    repository.ingest(Box::new(interrupted)).await.unwrap();
    let after = definition(&repository).await;
    assert_eq!((after.sql.as_str(), &after.contract), ("SELECT 2 AS b", &Some(contract_of("b"))));
    assert_eq!(after.metric.limits.rows, NonZeroU32::new(5));

    // A change that replaces a contract names the version that it is based on.
    let mut stale = content(&after);
    stale.contract = contract_of("c");
    let change = MetricChange::Content(Box::new(stale));
    let refused = repository.change_metric(&after.metric.metric_id, after.version - 1, change, ann()).await;
    assert!(matches!(refused, Err(RepositoryError::VersionMismatch { .. })), "{refused:?}");
    assert_eq!(definition(&repository).await.contract, Some(contract_of("b")));
}
