//! Guarantees about single metrics: versions, history, service state, retried requests.

use std::num::NonZeroU32;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use metricd_domain::{
    Actor, Breakpoint, ChangeAction, ChangeSource, Contract, DashboardId, DisplayText, MetricDefinition,
    MetricDescription, MetricId, MetricLimits, MetricPatterns, MetricTitle, MetricVersion, Parameters, QueryId,
    SqlText,
};

use super::builders::{TestIngestion, dashboard, layout_entry, metric, query};
use super::definitions::{one_metric, store};
use crate::{
    DefinitionFilter, Definitions, Idempotency, MetricChange, MetricContent, MetricRepository, NewMetric,
    RepositoryError, ServiceState,
};

type Repository = Arc<dyn MetricRepository>;

fn id(id: &str) -> MetricId {
    MetricId::parse(id).unwrap()
}

fn somebody(name: &str) -> Actor {
    Actor { subject: Some(name.to_owned()), request_id: Some("r-1".to_owned()), ..Actor::by(ChangeSource::Http) }
}

fn content(title: &str, sql: &str) -> MetricContent {
    let description = MetricDescription::parse("What it is for.\nAnd more.").unwrap();
    MetricContent {
        display_text: DisplayText { title: Some(MetricTitle::parse(title).unwrap()), description: Some(description) },
        sql: SqlText::parse(sql).unwrap(),
        parameters: Parameters::default(),
        time_column: None,
        period: None,
        limits: MetricLimits { rows: NonZeroU32::new(7), ..MetricLimits::default() },
        contract: Contract::default(),
    }
}

fn new(metric_id: &str, sql: &str) -> NewMetric {
    NewMetric { metric_id: id(metric_id), content: content("Title", sql), actor: somebody("ann") }
}

fn content_of(definition: &MetricDefinition) -> MetricContent {
    MetricContent::of(definition, definition.contract.clone().unwrap_or_default())
}

async fn change(
    repository: &Repository,
    metric_id: &str,
    version: u32,
    change: MetricChange,
) -> Result<MetricDefinition, RepositoryError> {
    repository.change_metric(&id(metric_id), version, change, somebody("bob")).await
}

async fn versions(repository: &Repository, metric_id: &str) -> Vec<MetricVersion> {
    repository.list_metric_versions(&id(metric_id), None, 100).await.unwrap()
}

fn metric_patterns(patterns: &[&str]) -> MetricPatterns {
    MetricPatterns::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()).unwrap()
}

async fn listed(repository: &Repository, filter: DefinitionFilter) -> Vec<String> {
    let definitions = repository.list_definitions(&filter, None, 100).await.unwrap();
    definitions.iter().map(|definition| definition.metric.metric_id.to_string()).collect()
}

/// A metric is returned as it was stored. Its query has the id of the metric, with a number appended if that id is
/// taken.
pub async fn a_new_metric_gets_its_own_query(repository: Repository) {
    store(&repository, Definitions { queries: vec![query("m2", "SELECT 2")], ..Definitions::default() }).await;
    for (metric_id, query_id) in [("m1", "m1"), ("m2", "m2-2")] {
        let (stored, is_new) = repository.insert_metric(new(metric_id, "SELECT 1"), None).await.unwrap();
        assert!(is_new);
        assert_eq!(repository.get_definition(&id(metric_id)).await.unwrap(), stored);
        assert_eq!(content_of(&stored), content("Title", "SELECT 1"));
        assert_eq!((stored.version, stored.query_version, stored.deleted_at), (1, 1, None));
        assert_eq!(stored.metric.query_id.as_str(), query_id);
        assert!(stored.metric.editable);
        let versions = versions(&repository, metric_id).await;
        assert_eq!((versions.len(), versions[0].action), (1, ChangeAction::Created));
        assert_eq!(versions[0].changed_by, somebody("ann"));
        assert_eq!(versions[0].changed_at, stored.updated_at);
    }
}

/// A metric with an existing id, in service or not, is refused, and nothing is stored.
pub async fn a_metric_id_is_unique(repository: Repository) {
    repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    let again = repository.insert_metric(new("m1", "SELECT 2"), None).await;
    assert!(matches!(again, Err(RepositoryError::MetricExists(_))), "{again:?}");
    change(&repository, "m1", 1, MetricChange::Delete).await.unwrap();
    let again = repository.insert_metric(new("m1", "SELECT 2"), None).await;
    assert!(matches!(again, Err(RepositoryError::MetricExists(_))), "{again:?}");
    assert_eq!(repository.list_queries(None, 10).await.unwrap().len(), 1);
}

/// A retried request gets the answer of the first, regardless of later changes. Another request with the same key is
/// refused. A request that failed stores no key.
pub async fn a_retried_request_gets_the_first_answer(repository: Repository) {
    let idempotency = |fingerprint: &str| {
        Some(Idempotency { key: "k \u{e4}'1".to_owned(), fingerprint: fingerprint.as_bytes().to_vec() })
    };
    repository.insert_metric(new("taken", "SELECT 1"), None).await.unwrap();
    let failed = repository.insert_metric(new("taken", "SELECT 1"), idempotency("one")).await;
    assert!(matches!(failed, Err(RepositoryError::MetricExists(_))), "{failed:?}");

    let (first, is_new) = repository.insert_metric(new("m1", "SELECT 1"), idempotency("two")).await.unwrap();
    assert!(is_new);
    change(&repository, "m1", 1, MetricChange::Content(Box::new(content("Other", "SELECT 2")))).await.unwrap();
    let again = repository.insert_metric(new("m1", "SELECT 1"), idempotency("two")).await.unwrap();
    assert_eq!(again, (first, false));
    let reused = repository.insert_metric(new("m3", "SELECT 1"), idempotency("three")).await;
    assert!(matches!(reused, Err(RepositoryError::IdempotencyKeyReused)), "{reused:?}");

    // Keys of ingestions are separate from those of metrics.
    let ingest = async |fingerprint: &str| {
        let (mut ingestion, _observed) = TestIngestion::committing(one_metric("SELECT 1"));
        ingestion.idempotency = idempotency(fingerprint);
        let id = ingestion.report.ingestion_id;
        repository.ingest(Box::new(ingestion)).await.map(|report| (report.ingestion_id, id))
    };
    let (first, requested) = ingest("two").await.unwrap();
    assert_eq!(first, requested);
    let (again, requested) = ingest("two").await.unwrap();
    assert!(again == first && again != requested);
    assert!(matches!(ingest("three").await, Err(RepositoryError::IdempotencyKeyReused)));

    let at_once = (0..8).map(|_| {
        repository.insert_metric(
            new("m4", "SELECT 4"),
            Some(Idempotency { key: "at once".to_owned(), fingerprint: vec![0, 255] }),
        )
    });
    let answers = futures_util::future::join_all(at_once).await;
    let done = answers.iter().filter(|answer| answer.as_ref().unwrap().1);
    assert_eq!(done.count(), 1);
}

/// A change makes one version, however many fields it changes. A change to the same content makes none.
pub async fn a_change_makes_one_version_with_its_author(repository: Repository) {
    let (first, _) = repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    let same = change(&repository, "m1", 1, MetricChange::Content(Box::new(content_of(&first)))).await.unwrap();
    assert_eq!(same, first);

    let mut other = content("Other", "SELECT 2");
    (other.display_text.description, other.limits) = (None, MetricLimits::default());
    let changed = change(&repository, "m1", 1, MetricChange::Content(Box::new(other.clone()))).await.unwrap();
    assert_eq!(content_of(&changed), other);
    assert_eq!((changed.version, changed.query_version), (2, 2));
    assert_eq!(changed.metric.query_id, first.metric.query_id);
    assert!(changed.updated_at > first.updated_at && changed.created_at == first.created_at);

    let versions = versions(&repository, "m1").await;
    let summaries: Vec<_> = versions.iter().map(|one| (one.version, one.action, one.sql.as_str())).collect();
    assert_eq!(summaries, [(2, ChangeAction::Changed, "SELECT 2"), (1, ChangeAction::Created, "SELECT 1")]);
    assert_eq!((&versions[0].display_text, versions[0].limits), (&other.display_text, other.limits));
    assert_eq!(versions[0].changed_by, somebody("bob"));
    let paged = repository.list_metric_versions(&id("m1"), Some(2), 1).await.unwrap();
    assert_eq!(paged, versions[1..]);
    assert!(repository.list_metric_versions(&id("m1"), Some(1), 1).await.unwrap().is_empty());
    let absent = repository.list_metric_versions(&id("m2"), None, 1).await;
    assert!(matches!(absent, Err(RepositoryError::MetricNotFound(_))), "{absent:?}");
}

/// A change that names another version than the current one changes nothing.
pub async fn a_change_of_an_outdated_version_is_refused(repository: Repository) {
    let absent = change(&repository, "m1", 1, MetricChange::Delete).await;
    assert!(matches!(absent, Err(RepositoryError::MetricNotFound(_))), "{absent:?}");
    let (first, _) = repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    for attempt in
        [MetricChange::Content(Box::new(content("Other", "SELECT 2"))), MetricChange::Delete, MetricChange::Restore]
    {
        let refused = change(&repository, "m1", 2, attempt).await;
        assert!(matches!(refused, Err(RepositoryError::VersionMismatch { current: 1 })), "{refused:?}");
    }
    assert_eq!(repository.get_definition(&id("m1")).await.unwrap(), first);
}

/// Of concurrent changes of one version, one is made and the others fail.
pub async fn one_of_several_concurrent_changes_succeeds(repository: Repository) {
    repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    let changes = (0..6).map(|number| {
        let other = content("Other", &format!("SELECT {number} + 2"));
        change(&repository, "m1", 1, MetricChange::Content(Box::new(other)))
    });
    let answers = futures_util::future::join_all(changes).await;
    let made: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(
        refused.clone().all(|error| matches!(error, RepositoryError::VersionMismatch { current: 2 })),
        "{answers:?}"
    );
    assert_eq!(repository.get_definition(&id("m1")).await.unwrap(), *made[0]);
}

/// Concurrent changes and ingestions are all made, without a deadlock.
pub async fn concurrent_changes_and_ingestions_do_not_deadlock(repository: Repository) {
    let ids = ["a", "b", "c", "d"];
    let all = |round: usize| Definitions {
        // Each round in another order.
        queries: (0..4).map(|at| query(ids[(at + round) % 4], &format!("SELECT {at}, {round}"))).collect(),
        metrics: (0..4).map(|at| metric(ids[(at + 2 * round) % 4], ids[(at + 2 * round) % 4])).collect(),
        ..Definitions::default()
    };
    store(&repository, all(0)).await;
    for round in 1..15 {
        let ingesting = store(&repository, all(round));
        let changing = ids.iter().rev().map(async |metric_id| {
            let before = repository.get_definition(&id(metric_id)).await.unwrap();
            let other = content("Other", &format!("SELECT 'changed', {round}"));
            let other = MetricChange::Content(Box::new(other));
            match change(&repository, metric_id, before.version, other).await {
                // The ingestion was faster.
                Ok(_) | Err(RepositoryError::VersionMismatch { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        futures_util::future::join(ingesting, futures_util::future::join_all(changing)).await;
    }
    assert_eq!(repository.purge_metrics(Utc::now()).await.unwrap(), []);
}

/// A change of one metric's SQL does not change other metrics that read its query. An ingestion of the query changes
/// all of them.
pub async fn a_changed_metric_stops_sharing_its_query(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    definitions.metrics.push(metric("m2", "q1"));
    store(&repository, definitions.clone()).await;
    let before = repository.get_definition(&id("m1")).await.unwrap();
    let other = MetricContent { sql: SqlText::parse("SELECT 2").unwrap(), ..content_of(&before) };
    let changed = change(&repository, "m1", 1, MetricChange::Content(Box::new(other))).await.unwrap();
    assert_eq!((changed.metric.query_id.as_str(), changed.query_version, changed.version), ("m1", 1, 2));
    let untouched = repository.get_definition(&id("m2")).await.unwrap();
    assert_eq!((untouched.sql.as_str(), untouched.version), ("SELECT 1", 1));
    assert_eq!(versions(&repository, "m1").await[1].query_id, QueryId::parse("q1").unwrap());

    definitions.queries = vec![query("q1", "SELECT 3")];
    definitions.metrics.remove(0);
    definitions.metrics[0].editable = false;
    store(&repository, definitions).await;
    let ingested = repository.get_definition(&id("m2")).await.unwrap();
    assert_eq!((ingested.sql.as_str(), ingested.version, ingested.query_version), ("SELECT 3", 2, 2));
    let versions = versions(&repository, "m2").await;
    assert_eq!(versions[0].changed_by.source, ChangeSource::Ingestion);
    assert!(!versions[0].editable && versions[1].editable);
    assert_ne!(versions[0].changed_by, versions[1].changed_by);
}

/// A metric out of service is kept unchanged, and accepts no change but its restoration.
pub async fn a_deleted_metric_is_kept_and_can_be_restored(repository: Repository) {
    let (first, _) = repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    let same = change(&repository, "m1", 1, MetricChange::Restore).await.unwrap();
    assert_eq!(same, first);
    let deleted = change(&repository, "m1", 1, MetricChange::Delete).await.unwrap();
    assert_eq!((deleted.version, deleted.deleted_at.is_some()), (2, true));
    assert_eq!(content_of(&deleted), content_of(&first));
    assert_eq!(repository.get_definition(&id("m1")).await.unwrap(), deleted);
    assert_eq!(repository.check().await.unwrap().metric_count, 0);
    for attempt in [MetricChange::Content(Box::new(content_of(&first))), MetricChange::Delete] {
        let refused = change(&repository, "m1", 2, attempt).await;
        assert!(matches!(refused, Err(RepositoryError::MetricDeleted(_))), "{refused:?}");
    }
    assert!(listed(&repository, DefinitionFilter::default()).await.is_empty());
    for state in [ServiceState::Deleted, ServiceState::Any] {
        assert_eq!(listed(&repository, DefinitionFilter { state, ..DefinitionFilter::default() }).await, ["m1"]);
    }

    let restored = change(&repository, "m1", 2, MetricChange::Restore).await.unwrap();
    assert_eq!((restored.version, restored.deleted_at), (3, None));
    assert_eq!(restored.contract, first.contract);
    let actions: Vec<_> = versions(&repository, "m1").await.iter().map(|version| version.action).collect();
    assert_eq!(actions, [ChangeAction::Restored, ChangeAction::Deleted, ChangeAction::Created]);
}

/// An ingestion changes neither the display text of a metric nor its service state.
pub async fn an_ingestion_keeps_display_text_and_service_state(repository: Repository) {
    let (first, _) = repository.insert_metric(new("m1", "SELECT 1"), None).await.unwrap();
    change(&repository, "m1", 1, MetricChange::Delete).await.unwrap();
    let mut definitions = one_metric("SELECT 5");
    definitions.metrics[0].editable = false;
    let (ingestion, observed) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    assert!(observed.recv().unwrap().0.metrics[&id("m1")].is_deleted);
    let now = repository.get_definition(&id("m1")).await.unwrap();
    assert_eq!((&now.display_text, now.deleted_at.is_some()), (&first.display_text, true));
    assert_eq!((now.sql.as_str(), now.version, now.contract), ("SELECT 5", 3, None));
    assert_eq!(versions(&repository, "m1").await[0].action, ChangeAction::Changed);
}

/// Removes the metrics that were taken out of service before the instant, and no others. Their ids are free again.
pub async fn a_purge_removes_what_was_deleted_before_an_instant(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    definitions.metrics.extend([metric("m2", "q1"), metric("m3", "q1")]);
    let mut board = dashboard("d1", &["m1", "m2"]);
    board.layouts = [(Breakpoint::Lg, vec![layout_entry("m1", 0), layout_entry("m2", 1)])].into();
    definitions.dashboards = vec![board];
    store(&repository, definitions).await;
    repository.insert_metric(new("own", "SELECT 1"), None).await.unwrap();
    for metric_id in ["m1", "own"] {
        change(&repository, metric_id, 1, MetricChange::Delete).await.unwrap();
    }
    let (past, future) = (Utc::now() - TimeDelta::hours(1), Utc::now() + TimeDelta::hours(1));
    assert!(repository.purge_metrics(past).await.unwrap().is_empty());
    assert_eq!(repository.purge_metrics(future).await.unwrap(), [id("m1"), id("own")]);
    assert!(repository.purge_metrics(future).await.unwrap().is_empty());

    let any = DefinitionFilter { state: ServiceState::Any, ..DefinitionFilter::default() };
    assert_eq!(listed(&repository, any).await, ["m2", "m3"]);
    let board = repository.get_dashboard(&DashboardId::parse("d1").unwrap()).await.unwrap();
    assert_eq!((board.items().len(), board.layouts()[&Breakpoint::Lg].len()), (1, 1));
    let queries = repository.list_queries(None, 10).await.unwrap();
    assert_eq!(queries.iter().map(|query| query.query_id.as_str()).collect::<Vec<_>>(), ["q1"]);
    let (reinserted, _) = repository.insert_metric(new("own", "SELECT 9"), None).await.unwrap();
    assert_eq!((reinserted.version, reinserted.metric.query_id.as_str()), (1, "own"));
}

/// A search matches the text literally in title and description. All conditions of a filter apply together.
pub async fn definitions_are_searched_and_filtered(repository: Repository) {
    let sql = "\n  ---- Weekly Alerts_50% \r\nSELECT 1";
    let queries = vec![query("q1", sql), query("q2", "SELECT 2")];
    let metrics = vec![metric("commented", "q1"), metric("unnamed", "q2")];
    let dashboards = vec![dashboard("d1", &["commented"]), dashboard("d2", &[])];
    store(&repository, Definitions { queries, metrics, dashboards, ..Definitions::default() }).await;
    repository.insert_metric(new("titled", sql), None).await.unwrap();
    let search = async |words: &str| {
        listed(&repository, DefinitionFilter { search: Some(words.to_owned()), ..DefinitionFilter::default() }).await
    };
    assert_eq!(search("weekly ALERTS").await, ["commented"]);
    assert_eq!(search("alerts_50%").await, ["commented"]);
    assert!(search("alerts%50").await.is_empty());
    assert_eq!(search("title").await, ["titled"]);
    assert_eq!(search("for.\nand").await, ["titled"]);
    assert_eq!(search("named").await, ["unnamed"]);
    assert!(search("'; --").await.is_empty());
    let on = async |dashboard: &str, words: Option<&str>| {
        let dashboard_id = Some(DashboardId::parse(dashboard).unwrap());
        let search = words.map(str::to_owned);
        listed(&repository, DefinitionFilter { search, dashboard_id, ..DefinitionFilter::default() }).await
    };
    assert_eq!(on("d1", None).await, ["commented"]);
    assert_eq!(on("d1", Some("weekly")).await, ["commented"]);
    assert!(on("d1", Some("unnamed")).await.is_empty());
    assert!(on("d2", None).await.is_empty());
    assert!(on("none", None).await.is_empty());
    let among = async |patterns: &[&str]| {
        listed(&repository, DefinitionFilter { among: Some(metric_patterns(patterns)), ..DefinitionFilter::default() })
            .await
    };
    assert_eq!(among(&["*"]).await, ["commented", "titled", "unnamed"]);
    assert_eq!(among(&["titled", "none"]).await, ["titled"]);
    assert_eq!(among(&["*m*n*d", "t*"]).await, ["commented", "titled"]);
    assert_eq!(among(&["un*"]).await, ["unnamed"]);
    for nothing in [&[][..], &["TITLED"], &["title_"], &["t_tled"], &["t"], &["*-*"]] {
        assert!(among(nothing).await.is_empty(), "{nothing:?}");
    }
}

/// Dashboards are listed in pages, in the order of their ids.
pub async fn dashboards_are_listed_with_their_sizes(repository: Repository) {
    let dashboards = vec![dashboard("b", &["m1"]), dashboard("A", &[]), dashboard("a-1", &[]), dashboard("_", &[])];
    store(&repository, Definitions { dashboards, ..one_metric("SELECT 1") }).await;
    let first = repository.list_dashboards(None, None, 3).await.unwrap();
    let rest = repository.list_dashboards(None, Some(&first[2].dashboard_id), 3).await.unwrap();
    let counts: Vec<_> = first.iter().chain(&rest).map(|one| (one.dashboard_id.as_str(), one.item_count)).collect();
    assert_eq!(counts, [("A", 0), ("_", 0), ("a-1", 0), ("b", 1)]);
    assert_eq!(rest[0].name.as_str(), "b");
    for (patterns, count) in [(&["m*"][..], 1), (&["m_"], 0), (&["m2", "*1"], 1), (&[], 0)] {
        let listed = repository.list_dashboards(Some(&metric_patterns(patterns)), None, 9).await.unwrap();
        let counts: Vec<_> = listed.iter().map(|one| one.item_count).collect();
        assert_eq!(counts, [0, 0, 0, count], "{patterns:?}");
    }
}
