//! Guarantees about ingestions: existing state, atomicity, reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use metricd_domain::{DashboardId, Location, MetricId, Outcome, QueryId, Refusal, SqlText};

use super::builders::{TestIngestion, TestTable, dashboard, equal_rows, metric, query};
use crate::{
    Changes, Conclusion, Definitions, ExistingMetric, ExistingQuery, ExistingState, MetricRepository, ReferencedIds,
    RepositoryError,
};

type Repository = Arc<dyn MetricRepository>;

fn definitions(query_id: &str, metric_id: &str) -> Definitions {
    Definitions {
        queries: vec![query(query_id, "SELECT 1")],
        metrics: vec![metric(metric_id, query_id)],
        dashboards: vec![dashboard("d1", &[metric_id])],
        ..Definitions::default()
    }
}

/// The existing state has the stored entries of the referenced ids, and no others.
pub async fn the_existing_state_covers_the_referenced_ids(repository: Repository) {
    for (query_id, metric_id) in [("q1", "m1"), ("q2", "m2"), ("q4", "m4")] {
        let (ingestion, _observed) = TestIngestion::committing(definitions(query_id, metric_id));
        repository.ingest(Box::new(ingestion)).await.unwrap();
    }
    let queries = |ids: &[&str]| ids.iter().map(|id| QueryId::parse(*id).unwrap()).collect::<BTreeSet<_>>();
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.referenced_ids = ReferencedIds {
        query_ids: queries(&["q1", "q3"]),
        metric_ids: BTreeSet::from([MetricId::parse("m2").unwrap(), MetricId::parse("m3").unwrap()]),
        dashboard_ids: BTreeSet::from([DashboardId::parse("d1").unwrap(), DashboardId::parse("d2").unwrap()]),
        ..ReferencedIds::default()
    };
    repository.ingest(Box::new(ingestion)).await.unwrap();

    let item = |id: &str| (DashboardId::parse("d1").unwrap(), MetricId::parse(id).unwrap());
    let existing = |id: &str, query_id: &str| {
        let existing = ExistingMetric { metric: metric(id, query_id), contract: None, is_deleted: false, edit: None };
        (MetricId::parse(id).unwrap(), existing)
    };
    let seen = observed.recv().unwrap().0;
    let expected = ExistingState {
        queries: BTreeMap::from([(
            QueryId::parse("q1").unwrap(),
            ExistingQuery { sql: SqlText::parse("SELECT 1").unwrap(), edit: None },
        )]),
        metrics: BTreeMap::from([existing("m1", "q1"), existing("m2", "q2")]),
        dashboards: BTreeMap::from([(DashboardId::parse("d1").unwrap(), dashboard("d1", &[]).name)]),
        dashboard_items: BTreeSet::from([item("m1"), item("m2"), item("m4")]),
        tables: BTreeMap::new(),
        // A store may share its database with others.
        other_relations: seen.other_relations.clone(),
    };
    assert_eq!(seen, expected);
}

/// A report is returned as it was stored, in every field.
pub async fn a_report_is_returned_as_stored(repository: Repository) {
    let (mut ingestion, _observed) = TestIngestion::committing(Definitions::default());
    ingestion.report.refusal_count = 1;
    ingestion.report.refusals = vec![Refusal {
        location: Location { file: "q.csv".into(), line: Some(2), column: Some("id".into()), ..Location::default() },
        value: Some("a \"b\" \\0 \u{1f600}".into()),
        reason: "id-invalid".into(),
        message: "no".into(),
    }];
    let expected = ingestion.report.clone();
    let answered = repository.ingest(Box::new(ingestion)).await.unwrap();
    assert_eq!(answered, expected);
    assert_eq!(repository.get_ingestion(expected.ingestion_id).await.unwrap(), expected);
}

/// A refused ingestion stores its report and nothing else.
pub async fn a_refused_ingestion_stores_only_its_report(repository: Repository) {
    let (mut ingestion, _observed) = TestIngestion::committing(definitions("q1", "m1"));
    ingestion.set_tables(vec![equal_rows(1)]);
    ingestion.conclude = Conclusion::CommitReportOnly;
    ingestion.report.outcome = Outcome::Refused;
    let id = ingestion.report.ingestion_id;
    repository.ingest(Box::new(ingestion)).await.unwrap();
    assert_eq!(repository.get_ingestion(id).await.unwrap().outcome, Outcome::Refused);
    nothing_is_stored(&repository).await;
}

/// A dry run stores nothing.
pub async fn a_rolled_back_ingestion_stores_nothing(repository: Repository) {
    let (mut ingestion, _observed) = TestIngestion::committing(definitions("q1", "m1"));
    ingestion.set_tables(vec![equal_rows(1)]);
    ingestion.conclude = Conclusion::RollBack;
    let id = ingestion.report.ingestion_id;
    repository.ingest(Box::new(ingestion)).await.unwrap();
    assert!(matches!(repository.get_ingestion(id).await, Err(RepositoryError::IngestionNotFound(_))));
    nothing_is_stored(&repository).await;
}

/// If reading the input fails, nothing of the ingestion is stored.
pub async fn an_unreadable_input_stores_nothing(repository: Repository) {
    let (mut ingestion, _observed) = TestIngestion::committing(definitions("q1", "m1"));
    ingestion.set_tables(vec![TestTable { fails: true, ..equal_rows(2_000) }]);
    let id = ingestion.report.ingestion_id;
    let broken = repository.ingest(Box::new(ingestion)).await;
    let Err(RepositoryError::Input(cause)) = broken else { panic!("{broken:?}") };
    assert_eq!(cause.to_string(), "the file cannot be read");
    assert!(matches!(repository.get_ingestion(id).await, Err(RepositoryError::IngestionNotFound(_))));
    nothing_is_stored(&repository).await;
}

/// The number of rows that were added to all tables.
fn added(changes: &Changes) -> u64 {
    changes.tables.values().map(|table| table.rows.added).sum()
}

async fn nothing_is_stored(repository: &Repository) {
    assert!(repository.get_definition(&MetricId::parse("m1").unwrap()).await.is_err());
    assert!(repository.get_dashboard(&DashboardId::parse("d1").unwrap()).await.is_err());
    assert_eq!(repository.list_tables().await.unwrap(), []);
    let (mut ingestion, observed) = TestIngestion::committing(Definitions::default());
    ingestion.set_tables(vec![equal_rows(1)]);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    assert_eq!(added(&observed.recv().unwrap().1), 1, "the row must not have been stored before");
}

/// Of concurrent ingestions with the same content, one adds it and the others find it unchanged.
pub async fn concurrent_ingestions_run_one_after_another(repository: Repository) {
    let mut runs = Vec::new();
    let mut receivers = Vec::new();
    for _ in 0..4 {
        let (mut ingestion, observed) = TestIngestion::committing(definitions("q1", "m1"));
        ingestion.set_tables(vec![equal_rows(100)]);
        let repository = Arc::clone(&repository);
        runs.push(async move { repository.ingest(Box::new(ingestion)).await });
        receivers.push(observed);
    }
    for outcome in futures_util::future::join_all(runs).await {
        outcome.unwrap();
    }
    let changes: Vec<_> = receivers.into_iter().map(|observed| observed.recv().unwrap().1).collect();
    assert_eq!(changes.iter().map(added).sum::<u64>(), 100);
    assert_eq!(changes.iter().flat_map(|changes| changes.tables.values()).filter(|table| table.is_new).count(), 1);
    assert_eq!(changes.iter().map(|changes| changes.queries.added).sum::<u64>(), 1);
    assert_eq!(changes.iter().map(|changes| changes.metrics.unchanged).sum::<u64>(), 3);
}
