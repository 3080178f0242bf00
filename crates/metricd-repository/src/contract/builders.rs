//! Builders of ingestions and of their content.

use std::collections::VecDeque;
use std::io;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use metricd_domain::{
    Actor, DashboardId, DashboardItem, DashboardName, Decimal, IngestionId, IngestionMode, IngestionReport, Label,
    LayoutEntry, Metric, MetricId, Query, QueryId, Record, RecordDate, SqlText,
};
use uuid::Uuid;

use crate::{
    Changes, Conclusion, DashboardUpdate, Definitions, ExistingState, Idempotency, Ingestion, ReferencedIds,
    RepositoryError,
};

/// An ingestion of content that a test provides.
#[derive(Debug)]
pub struct TestIngestion {
    /// The ids for which the store returns the existing state.
    pub referenced_ids: ReferencedIds,
    /// The definitions to store, regardless of the existing state.
    pub definitions: Definitions,
    /// The records to store. An error among them ends the input.
    pub records: VecDeque<io::Result<Record>>,
    /// Makes the conclusion of the report.
    pub conclude: fn(IngestionReport) -> Conclusion,
    /// Receives the existing state and the changes when the ingestion concludes.
    pub seen: std::sync::mpsc::Sender<(ExistingState, Changes)>,
    /// The report.
    pub report: IngestionReport,
    /// The idempotency key of the request.
    pub idempotency: Option<Idempotency>,
    existing: ExistingState,
}

impl TestIngestion {
    /// Makes an ingestion that is committed, and a channel that receives the existing state and the changes.
    #[must_use]
    pub fn committing(
        definitions: Definitions,
        records: Vec<Record>,
    ) -> (Self, std::sync::mpsc::Receiver<(ExistingState, Changes)>) {
        let (seen, observed) = std::sync::mpsc::channel();
        let referenced_ids = ReferencedIds {
            query_ids: definitions.queries.iter().map(|query| query.query_id.clone()).collect(),
            metric_ids: definitions.metrics.iter().map(|metric| metric.metric_id.clone()).collect(),
            dashboard_ids: definitions.dashboards.iter().map(|dashboard| dashboard.dashboard_id.clone()).collect(),
        };
        let ingestion = Self {
            referenced_ids,
            definitions,
            records: records.into_iter().map(Ok).collect(),
            conclude: Conclusion::Commit,
            seen,
            report: report(),
            idempotency: None,
            existing: ExistingState::default(),
        };
        (ingestion, observed)
    }
}

#[async_trait]
impl Ingestion for TestIngestion {
    fn actor(&self) -> Actor {
        Actor::ingestion(self.report.ingestion_id)
    }

    fn idempotency(&self) -> Option<Idempotency> {
        self.idempotency.clone()
    }

    fn referenced_ids(&self) -> ReferencedIds {
        self.referenced_ids.clone()
    }

    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
        self.existing = existing.clone();
        Ok(self.definitions.clone())
    }

    fn next_record(&mut self) -> Option<io::Result<Record>> {
        self.records.pop_front()
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        // A test that needs neither has dropped the receiver.
        let _ = self.seen.send((self.existing.clone(), changes.clone()));
        (self.conclude)(self.report.clone())
    }
}

/// A query.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn query(id: &str, sql: &str) -> Query {
    Query { query_id: QueryId::parse(id).unwrap(), sql: SqlText::parse(sql).unwrap() }
}

/// A metric that may be edited.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn metric(id: &str, query_id: &str) -> Metric {
    Metric::new(MetricId::parse(id).unwrap(), QueryId::parse(query_id).unwrap(), true)
}

/// An update of a dashboard with these items, named like its id and without layouts.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn dashboard(id: &str, metric_ids: &[&str]) -> DashboardUpdate {
    let item = |id: &&str| DashboardItem::new(MetricId::parse(*id).unwrap());
    let items = metric_ids.iter().map(item).collect();
    DashboardUpdate {
        items,
        ..DashboardUpdate::new(DashboardId::parse(id).unwrap(), DashboardName::parse(id).unwrap())
    }
}

/// An entry of one column and one row, `y` rows from the top.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn layout_entry(metric_id: &str, y: i32) -> LayoutEntry {
    LayoutEntry::new(MetricId::parse(metric_id).unwrap(), 0, y, 1, 1, false).unwrap()
}

/// The day of a record.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn date(year: i32, month: u32, day: u32) -> RecordDate {
    RecordDate::new(NaiveDate::from_ymd_opt(year, month, day).unwrap()).unwrap()
}

/// A record of 1 June 2025 with a value in every column.
///
/// # Panics
///
/// If an argument is invalid.
#[must_use]
pub fn record(query_id: &str) -> Record {
    Record {
        query_id: QueryId::parse(query_id).unwrap(),
        date: date(2025, 6, 1),
        obsolescence: Some(Decimal::parse("12.50").unwrap()),
        alert_type: Some(Label::parse("critical, \"quoted\"\nnew line").unwrap()),
        parts_flagged: Some(7),
        obsolescence_val: Some(Decimal::parse("-0.001").unwrap()),
        alert_category: Some(Label::parse("\\N").unwrap()),
    }
}

/// An empty report with an id of its own.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn report() -> IngestionReport {
    let instant = DateTime::<Utc>::from_timestamp(1_780_000_000, 123_456_000).unwrap();
    IngestionReport::new(IngestionId(Uuid::now_v7()), IngestionMode::Lenient, instant)
}
