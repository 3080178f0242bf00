//! What a store promises of edits: it knows what was changed since files last wrote it.

use std::sync::Arc;

use metricd_domain::{Actor, Caption, ChangeWay, Contract, MetricDefinition, MetricId, MetricTitle, QueryId, SqlText};

use super::builders::{Brought, metric, query};
use super::definitions::{one_metric, store};
use crate::{Definitions, MetricChange, MetricContent, MetricRepository, NewMetric};

type Repository = Arc<dyn MetricRepository>;

fn ann() -> Actor {
    Actor { subject: Some("ann".to_owned()), ..Actor::by(ChangeWay::Http) }
}

fn content(definition: &MetricDefinition) -> MetricContent {
    MetricContent {
        caption: definition.caption.clone(),
        sql: definition.sql.clone(),
        parameters: definition.metric.parameters.clone(),
        time_column: definition.metric.time_column.clone(),
        period: definition.metric.period.clone(),
        limits: definition.metric.limits,
        contract: Contract::default(),
    }
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

/// The authors of the edits of `q1` and `m1`, as an ingestion that brings nothing learns them.
async fn edits(repository: &Repository) -> (Option<Actor>, Option<Actor>) {
    let (mut brought, told) = Brought::keeping(Definitions::default(), Vec::new());
    brought.mentioned.query_ids.insert(QueryId::parse("q1").unwrap());
    brought.mentioned.metric_ids.insert(MetricId::parse("m1").unwrap());
    repository.ingest(Box::new(brought)).await.unwrap();
    let known = told.recv().unwrap().0;
    let query = known.queries.values().find_map(|query| query.edit.clone());
    let metric = known.metrics.get(&MetricId::parse("m1").unwrap()).and_then(|metric| metric.edit.clone());
    (query.map(|edit| edit.by), metric.map(|edit| edit.by))
}

fn sql(text: &str) -> SqlText {
    SqlText::parse(text).unwrap()
}

/// SQL that is changed over HTTP is an edit of its query, until files write it or repeat what it says.
pub async fn an_edit_is_known_until_files_write_or_repeat_it(repository: Repository) {
    store(&repository, one_metric("SELECT 1")).await;
    assert_eq!(edits(&repository).await, (None, None), "files wrote it");
    edit(&repository, "m1", |content| content.sql = sql("SELECT 2")).await;
    assert_eq!(edits(&repository).await, (Some(ann()), None));
    store(&repository, one_metric("SELECT 3")).await;
    assert_eq!(edits(&repository).await, (None, None), "files wrote it again");
    edit(&repository, "m1", |content| content.sql = sql("SELECT 4")).await;
    edit(&repository, "m1", |content| content.limits.rows = Some(4)).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));
    // What others bring ends no edit.
    store(&repository, Definitions { queries: vec![query("q2", "SELECT 1")], ..Definitions::default() }).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));
    let mut repeated = one_metric("SELECT 4");
    repeated.metrics[0].limits.rows = Some(4);
    let changes = store(&repository, repeated).await;
    assert_eq!((changes.queries.unchanged, changes.metrics.unchanged), (1, 1));
    assert_eq!(edits(&repository).await, (None, None), "files repeat it");
}

/// Words and service are no business of files; a query of a metric's own, and a metric that no file wrote, are edits.
pub async fn only_what_files_declare_is_edited(repository: Repository) {
    let shared = Definitions { metrics: vec![metric("m1", "q1"), metric("m2", "q1")], ..one_metric("SELECT 1") };
    store(&repository, shared).await;
    let title = Some(MetricTitle::parse("Title").unwrap());
    edit(&repository, "m1", |content| content.caption = Caption { title, ..Caption::default() }).await;
    for change in [MetricChange::Delete, MetricChange::Restore] {
        let id = MetricId::parse("m1").unwrap();
        let version = repository.get_definition(&id).await.unwrap().version;
        repository.change_metric(&id, version, change, ann()).await.unwrap();
    }
    assert_eq!(edits(&repository).await, (None, None));

    edit(&repository, "m1", |content| content.sql = sql("SELECT 2")).await;
    assert_eq!(edits(&repository).await, (None, Some(ann())), "the metric reads another query, and `q1` is as it was");
    // A query that changes under an edited metric does not end the metric's edit.
    edit(&repository, "m2", |content| content.sql = sql("SELECT 3")).await;
    let own = repository.get_definition(&MetricId::parse("m1").unwrap()).await.unwrap().metric.query_id;
    let changed = Definitions { queries: vec![query(own.as_str(), "SELECT 5")], ..Definitions::default() };
    store(&repository, changed).await;
    assert_eq!(edits(&repository).await, (Some(ann()), Some(ann())));

    let definition = repository.get_definition(&MetricId::parse("m2").unwrap()).await.unwrap();
    let new = NewMetric { metric_id: MetricId::parse("m3").unwrap(), content: content(&definition), actor: ann() };
    repository.insert_metric(new, None).await.unwrap();
    let (mut brought, told) = Brought::keeping(Definitions::default(), Vec::new());
    brought.mentioned.query_ids.insert(QueryId::parse("m3").unwrap());
    repository.ingest(Box::new(brought)).await.unwrap();
    let known = told.recv().unwrap().0;
    assert!(known.queries.values().all(|query| query.edit.is_some()), "{known:?}");
    assert!(known.metrics.values().all(|metric| metric.edit.is_some()), "{known:?}");
}
