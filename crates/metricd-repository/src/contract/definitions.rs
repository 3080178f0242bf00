//! Guarantees about queries, metrics and dashboards that files define.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use metricd_domain::{
    Breakpoint, Contract, ContractColumn, ContractForeignKey, ContractParts, ContractTable, DashboardId, DashboardName,
    IngestionId, MetricId, MetricLimits, ParameterDeclaration, Parameters, Period, PeriodApply, PeriodColumn,
    PeriodDeclaration, QueryId, ReferencedColumn, TimeColumn,
};
use uuid::Uuid;

use super::builders::{TestIngestion, dashboard, layout_entry, metric, query};
use crate::{ChangeCounts, Changes, DashboardUpdate, DefinitionFilter, Definitions, MetricRepository, RepositoryError};

type Repository = Arc<dyn MetricRepository>;

pub(super) async fn store(repository: &Repository, definitions: Definitions) -> Changes {
    let (ingestion, observed) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await.unwrap();
    observed.recv().unwrap().1
}

pub(super) fn one_metric(sql: &str) -> Definitions {
    Definitions { queries: vec![query("q1", sql)], metrics: vec![metric("m1", "q1")], ..Definitions::default() }
}

/// For an id that is not stored, each kind of entry has its own error.
pub async fn absent_ids_are_not_found(repository: Repository) {
    let metric = repository.get_definition(&MetricId::parse("m1").unwrap()).await;
    assert!(matches!(metric, Err(RepositoryError::MetricNotFound(_))), "{metric:?}");
    let query = repository.list_query_versions(&QueryId::parse("q1").unwrap()).await;
    assert!(matches!(query, Err(RepositoryError::QueryNotFound(_))), "{query:?}");
    let dashboard = repository.get_dashboard(&DashboardId::parse("d1").unwrap()).await;
    assert!(matches!(dashboard, Err(RepositoryError::DashboardNotFound(_))), "{dashboard:?}");
    let ingestion = repository.get_ingestion(IngestionId(Uuid::now_v7())).await;
    assert!(matches!(ingestion, Err(RepositoryError::IngestionNotFound(_))), "{ingestion:?}");
    let readiness = repository.check().await.unwrap();
    assert_eq!((readiness.pending_migrations, readiness.metric_count), (0, 0));
}

/// A metric is returned as it was stored, with exactly the same SQL.
pub async fn a_stored_metric_is_returned_with_its_query(repository: Repository) {
    let sql = "-- \u{1f4c8} Title\r\nSELECT 'it''s', \"x\" FROM metrics; ";
    let mut definitions = one_metric(sql);
    definitions.metrics[0].editable = false;
    let changes = store(&repository, definitions.clone()).await;
    assert_eq!(changes.queries, ChangeCounts { added: 1, ..ChangeCounts::default() });
    assert_eq!(changes.metrics, ChangeCounts { added: 1, ..ChangeCounts::default() });

    let definition = repository.get_definition(&MetricId::parse("m1").unwrap()).await.unwrap();
    assert_eq!(definition.metric, definitions.metrics[0]);
    assert_eq!(definition.sql.as_str(), sql);
    assert_eq!(definition.query_version, 1);
    assert_eq!(repository.check().await.unwrap().metric_count, 1);
}

/// A page begins after the last id of the previous page. Ids are ordered by Unicode code points.
pub async fn metrics_are_listed_by_id(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    definitions.metrics = ["b", "a", "B", "a-1", "_", "10", "9"].map(|id| metric(id, "q1")).to_vec();
    store(&repository, definitions).await;
    let mut listed = Vec::new();
    loop {
        let page = repository.list_definitions(&DefinitionFilter::default(), listed.last(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page.into_iter().map(|definition| definition.metric.metric_id));
    }
    let ids: Vec<_> = listed.iter().map(MetricId::as_str).collect();
    assert_eq!(ids, ["10", "9", "B", "_", "a", "a-1", "b"]);
}

/// Queries are listed in pages, in the order of their ids.
pub async fn queries_are_listed_by_id(repository: Repository) {
    let ids = ["b", "A", "a-1", "Z", "_"];
    let queries: Vec<_> = ids.iter().map(|id| query(id, &format!("SELECT '{id}'"))).collect();
    store(&repository, Definitions { queries, ..Definitions::default() }).await;
    store(&repository, Definitions { queries: vec![query("b", "SELECT 2")], ..Definitions::default() }).await;
    let listed = async |after: Option<&str>, limit| {
        let after = after.map(|id| QueryId::parse(id).unwrap());
        let page = repository.list_queries(after.as_ref(), limit).await.unwrap();
        page.into_iter().map(|query| format!("{} {}", query.query_id, query.sql)).collect::<Vec<_>>()
    };
    let all = ["A SELECT 'A'", "Z SELECT 'Z'", "_ SELECT '_'", "a-1 SELECT 'a-1'", "b SELECT 2"];
    assert_eq!(listed(None, 10).await, all);
    assert_eq!(listed(None, 2).await, all[..2]);
    assert_eq!(listed(Some("Z"), 2).await, all[2..4]);
    assert!(listed(Some("b"), 2).await.is_empty());
}

/// Other SQL is the next version of a query. Earlier versions are kept, also if their SQL is stored again.
pub async fn a_changed_query_gets_a_new_version_and_keeps_the_old_one(repository: Repository) {
    for sql in ["SELECT 1", "SELECT 2", "SELECT 1"] {
        store(&repository, one_metric(sql)).await;
    }
    let versions = repository.list_query_versions(&QueryId::parse("q1").unwrap()).await.unwrap();
    let texts: Vec<_> = versions.iter().map(|version| (version.version, version.sql.as_str())).collect();
    assert_eq!(texts, [(3, "SELECT 1"), (2, "SELECT 2"), (1, "SELECT 1")]);
    let definition = repository.get_definition(&MetricId::parse("m1").unwrap()).await.unwrap();
    assert_eq!((definition.query_version, definition.sql.as_str()), (3, "SELECT 1"));
}

/// Storing the same definition again is counted as unchanged and makes no version.
pub async fn an_unchanged_definition_changes_nothing(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    let mut board = dashboard("d1", &["m1"]);
    board.layouts = BTreeMap::from([(Breakpoint::Lg, vec![layout_entry("m1", 0)])]);
    definitions.dashboards = vec![board];
    store(&repository, definitions.clone()).await;
    let changes = store(&repository, definitions).await;
    let unchanged = ChangeCounts { unchanged: 1, ..ChangeCounts::default() };
    assert_eq!((changes.queries, changes.metrics, changes.layout_entries), (unchanged, unchanged, unchanged));
    assert_eq!(changes.dashboards, unchanged);
    assert_eq!(repository.list_query_versions(&QueryId::parse("q1").unwrap()).await.unwrap().len(), 1);
}

/// A second ingestion adds to the first and deletes nothing.
pub async fn an_ingestion_deletes_nothing(repository: Repository) {
    store(&repository, one_metric("SELECT 1")).await;
    let other = Definitions {
        queries: vec![query("q2", "SELECT 2")],
        // The metrics read a query that this ingestion does not contain.
        metrics: vec![metric("m2", "q1"), metric("m3", "q2")],
        ..Definitions::default()
    };
    store(&repository, other).await;
    for (id, sql) in [("m1", "SELECT 1"), ("m2", "SELECT 1"), ("m3", "SELECT 2")] {
        let definition = repository.get_definition(&MetricId::parse(id).unwrap()).await.unwrap();
        assert_eq!(definition.sql.as_str(), sql, "{id}");
    }
    let mut moved = one_metric("SELECT 1");
    moved.metrics = vec![metric("m1", "q2")];
    assert_eq!(store(&repository, moved).await.metrics, ChangeCounts { changed: 1, ..ChangeCounts::default() });
}

/// A metric whose query does not exist fails the ingestion, which then stores nothing.
pub async fn a_metric_without_its_query_fails_the_ingestion(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    definitions.metrics.push(metric("m2", "q2"));
    let (ingestion, _observed) = TestIngestion::committing(definitions);
    let refused = repository.ingest(Box::new(ingestion)).await;
    assert!(matches!(refused, Err(RepositoryError::Inconsistent(_))), "{refused:?}");
    assert!(repository.get_definition(&MetricId::parse("m1").unwrap()).await.is_err());
}

/// Items keep their first order. A later layout entry replaces the earlier one of the same metric.
pub async fn a_dashboard_accumulates_items_and_layouts(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    definitions.metrics = vec![metric("m2", "q1"), metric("m1", "q1"), metric("m0", "q1")];
    let mut first = dashboard("d1", &["m2", "m1"]);
    first.layouts = BTreeMap::from([
        (Breakpoint::Lg, vec![layout_entry("m1", 5), layout_entry("m2", 9_999_999)]),
        (Breakpoint::Md, vec![layout_entry("m1", 1)]),
    ]);
    definitions.dashboards = vec![first];
    let changes = store(&repository, definitions).await;
    assert_eq!(changes.layout_entries, ChangeCounts { added: 3, ..ChangeCounts::default() });
    assert_eq!(changes.dashboards, ChangeCounts { added: 1, ..ChangeCounts::default() });

    let mut second = dashboard("d1", &["m0", "m1"]);
    second.layouts = BTreeMap::from([(Breakpoint::Lg, vec![layout_entry("m1", 6), layout_entry("m0", 0)])]);
    let definitions = Definitions { dashboards: vec![second], ..Definitions::default() };
    let changes = store(&repository, definitions).await;
    assert_eq!(changes.layout_entries, ChangeCounts { added: 1, changed: 1, unchanged: 0 });
    assert_eq!(changes.dashboards, ChangeCounts { changed: 1, ..ChangeCounts::default() }, "it has another item");

    let stored = repository.get_dashboard(&DashboardId::parse("d1").unwrap()).await.unwrap();
    let mut expected = dashboard("d1", &["m2", "m1", "m0"]);
    expected.layouts = BTreeMap::from([
        (Breakpoint::Lg, vec![layout_entry("m1", 6), layout_entry("m2", 9_999_999), layout_entry("m0", 0)]),
        (Breakpoint::Md, vec![layout_entry("m1", 1)]),
    ]);
    assert_eq!(stored, expected.apply_to(None, &mut Changes::default()).unwrap());

    let renamed = DashboardUpdate { name: DashboardName::parse("Two").unwrap(), ..dashboard("d1", &["m1"]) };
    let definitions = Definitions { dashboards: vec![renamed], ..Definitions::default() };
    let changes = store(&repository, definitions).await;
    assert_eq!(changes.dashboards, ChangeCounts { changed: 1, ..ChangeCounts::default() }, "it has another name");
}

/// A layout entry for a metric that is not an item fails the ingestion, which then stores nothing.
pub async fn a_layout_entry_without_its_item_fails_the_ingestion(repository: Repository) {
    let mut definitions = one_metric("SELECT 1");
    let mut board = dashboard("d1", &[]);
    board.layouts = BTreeMap::from([(Breakpoint::Lg, vec![layout_entry("m1", 0)])]);
    definitions.dashboards = vec![board];
    let (ingestion, _observed) = TestIngestion::committing(definitions);
    let refused = repository.ingest(Box::new(ingestion)).await;
    assert!(matches!(refused, Err(RepositoryError::Inconsistent(_))), "{refused:?}");
    assert!(repository.get_definition(&MetricId::parse("m1").unwrap()).await.is_err());
}

/// One ingestion stores thousands of definitions, regardless of the number of statements.
pub async fn many_definitions_are_stored_in_one_ingestion(repository: Repository) {
    let count = 2_345;
    let ids: Vec<_> = (0..count).map(|number| format!("id-{number}")).collect();
    let mut board = dashboard("d1", &ids.iter().map(String::as_str).collect::<Vec<_>>());
    board.layouts.insert(Breakpoint::Lg, ids.iter().map(|id| layout_entry(id, 0)).collect());
    let definitions = Definitions {
        queries: ids.iter().map(|id| query(id, &format!("SELECT '{id}'"))).collect(),
        metrics: ids.iter().map(|id| metric(id, id)).collect(),
        dashboards: vec![board],
        ..Definitions::default()
    };
    let added = ChangeCounts { added: count, ..ChangeCounts::default() };
    let changes = store(&repository, definitions.clone()).await;
    assert_eq!((changes.queries, changes.metrics, changes.layout_entries), (added, added, added));
    let unchanged = ChangeCounts { unchanged: count, ..ChangeCounts::default() };
    let changes = store(&repository, definitions).await;
    assert_eq!((changes.queries, changes.metrics, changes.layout_entries), (unchanged, unchanged, unchanged));
    let last = repository.get_definition(&MetricId::parse("id-2344").unwrap()).await.unwrap();
    assert_eq!(last.sql.as_str(), "SELECT 'id-2344'");
}

fn contract(column: &str) -> Contract {
    let customers = ReferencedColumn::new("sales", "customers", "id");
    let mut orders = ContractTable::new("sales", "orders");
    orders.columns = vec!["customer_id".to_owned()];
    orders.time_columns = vec![ContractColumn::new("day", "date")];
    orders.foreign_keys = vec![ContractForeignKey::new("customer_id", customers.clone())];
    let mut customer = ContractColumn::new("customer", "integer");
    customer.description = Some("Who ordered.".to_owned());
    customer.references = vec![customers];
    let columns = vec![ContractColumn::new(column, "date"), customer];
    let period = Period::Result(PeriodColumn { column: column.to_owned(), type_name: "date".to_owned() });
    Contract::new(ContractParts { columns, tables: vec![orders], period, ..ContractParts::default() }).unwrap()
}

/// The declarations and the contract of a metric are returned as they were stored.
pub async fn declarations_and_contracts_are_returned_as_stored(repository: Repository) {
    let mut declaring = metric("m1", "q1");
    let day = ParameterDeclaration {
        default: Some("2025-06-01".into()),
        required: Some(false),
        min: Some("2020-01-01".into()),
        ..ParameterDeclaration::new("day", "date")
    };
    declaring.parameters = Parameters::new([day.try_into().unwrap()]).unwrap();
    declaring.time_column = Some(TimeColumn::parse("metrics.date").unwrap());
    declaring.period = PeriodDeclaration::new(Some(PeriodApply::Result), Some("day".into())).ok();
    declaring.limits =
        MetricLimits { rows: NonZeroU32::new(10), time_ms: NonZeroU64::new(500), ..MetricLimits::default() };
    let definitions = Definitions {
        metrics: vec![declaring.clone()],
        contracts: BTreeMap::from([(declaring.metric_id.clone(), contract("a"))]),
        ..one_metric("SELECT :day")
    };
    store(&repository, definitions.clone()).await;
    let stored = repository.get_definition(&declaring.metric_id).await.unwrap();
    assert_eq!((stored.metric, stored.contract), (declaring, Some(contract("a"))));
    let changes = store(&repository, definitions).await;
    assert_eq!(changes.metrics, ChangeCounts { unchanged: 1, ..ChangeCounts::default() });
}

/// A contract belongs to one SQL and one set of declarations. If either changes, the contract is removed, unless the
/// same ingestion stores a new one.
pub async fn a_change_of_sql_or_declarations_removes_the_contract(repository: Repository) {
    let id = MetricId::parse("m1").unwrap();
    let with = |sql: &str, column: &str| Definitions {
        contracts: BTreeMap::from([(MetricId::parse("m1").unwrap(), contract(column))]),
        ..one_metric(sql)
    };
    let current = async || repository.get_definition(&id).await.unwrap().contract;
    store(&repository, with("SELECT 1", "a")).await;
    store(&repository, one_metric("SELECT 1")).await;
    assert_eq!(current().await, Some(contract("a")), "nothing has changed");
    store(&repository, one_metric("SELECT 2")).await;
    assert_eq!(current().await, None, "the SQL has changed");
    store(&repository, with("SELECT 3", "b")).await;
    assert_eq!(current().await, Some(contract("b")));

    let mut other = one_metric("SELECT 3");
    other.metrics[0].editable = false;
    store(&repository, other.clone()).await;
    assert_eq!(current().await, Some(contract("b")), "nothing that it is about has changed");
    other.metrics[0].time_column = Some(TimeColumn::parse("date").unwrap());
    store(&repository, other.clone()).await;
    assert_eq!(current().await, None, "a declaration has changed");
    other.contracts = [(id.clone(), contract("c"))].into();
    store(&repository, other.clone()).await;
    assert_eq!(current().await, Some(contract("c")));
    other.contracts.clear();
    other.metrics[0].period = PeriodDeclaration::new(Some(PeriodApply::None), None).ok();
    store(&repository, other).await;
    assert_eq!(current().await, None, "what a period is applied to has changed");
}
