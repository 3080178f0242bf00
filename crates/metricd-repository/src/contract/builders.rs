//! Builders of ingestions and of their content.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ColumnName, ColumnType, DashboardId, DashboardItem, DashboardName, IngestionId, IngestionMode,
    IngestionReport, LayoutEntry, Load, Metric, MetricId, Query, QueryId, SqlText, Table, TableColumn, TableName,
    TableParts,
};
use uuid::Uuid;

use crate::{
    Changes, Conclusion, ContentDigest, DashboardUpdate, Definitions, ExistingState, Idempotency, Ingestion,
    ReferencedIds, RepositoryError, RowForm, TableUpdate,
};

/// An ingestion of content that a test provides.
#[derive(Debug)]
pub struct TestIngestion {
    /// The ids for which the store returns the existing state.
    pub referenced_ids: ReferencedIds,
    /// The definitions to store, regardless of the existing state.
    pub definitions: Definitions,
    /// Makes the conclusion of the report.
    pub conclude: fn(IngestionReport) -> Conclusion,
    /// Receives the existing state and the changes when the ingestion concludes.
    pub seen: std::sync::mpsc::Sender<(ExistingState, Changes)>,
    /// The report.
    pub report: IngestionReport,
    /// The idempotency key of the request.
    pub idempotency: Option<Idempotency>,
    existing: ExistingState,
    tables: Vec<TestTable>,
    /// The rows that are read next, and whether their end is an error.
    open_rows: (VecDeque<String>, bool),
}

/// A table of a test, with the rows of each of its contents.
#[derive(Debug, Clone)]
pub struct TestTable {
    /// The table.
    pub table: Table,
    /// The rows of each content, without their line feeds.
    pub contents: Vec<Vec<String>>,
    /// Whether reading fails after the last row.
    pub fails: bool,
}

impl TestTable {
    /// Makes a table with these contents.
    #[must_use]
    pub fn new(table: Table, contents: &[&[&str]]) -> Self {
        let rows = |rows: &&[&str]| rows.iter().map(|row| (*row).to_owned()).collect();
        Self { table, contents: contents.iter().map(rows).collect(), fails: false }
    }

    /// The digest of the content with these rows.
    #[must_use]
    pub fn digest(rows: &[&str]) -> ContentDigest {
        let mut hasher = DefaultHasher::new();
        rows.hash(&mut hasher);
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&hasher.finish().to_be_bytes());
        ContentDigest(digest)
    }

    fn update(&self) -> TableUpdate {
        let digest = |rows: &Vec<String>| Self::digest(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        TableUpdate { table: self.table.clone(), contents: self.contents.iter().map(digest).collect() }
    }
}

impl TestIngestion {
    /// Makes an ingestion that is committed, and a channel that receives the existing state and the changes.
    #[must_use]
    pub fn committing(definitions: Definitions) -> (Self, std::sync::mpsc::Receiver<(ExistingState, Changes)>) {
        let (seen, observed) = std::sync::mpsc::channel();
        let referenced_ids = ReferencedIds {
            query_ids: definitions.queries.iter().map(|query| query.query_id.clone()).collect(),
            metric_ids: definitions.metrics.iter().map(|metric| metric.metric_id.clone()).collect(),
            dashboard_ids: definitions.dashboards.iter().map(|dashboard| dashboard.dashboard_id.clone()).collect(),
            ..ReferencedIds::default()
        };
        let ingestion = Self {
            referenced_ids,
            definitions,
            conclude: Conclusion::Commit,
            seen,
            report: report(),
            idempotency: None,
            existing: ExistingState::default(),
            tables: Vec::new(),
            open_rows: (VecDeque::new(), false),
        };
        (ingestion, observed)
    }

    /// Adds tables to the definitions, and their rows to the input.
    pub fn set_tables(&mut self, tables: Vec<TestTable>) {
        self.definitions.tables = tables.iter().map(TestTable::update).collect();
        self.referenced_ids.table_names = tables.iter().map(|table| table.table.name().clone()).collect();
        self.tables = tables;
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

    fn open_rows(&mut self, table: &TableName, content: usize, form: RowForm) -> io::Result<()> {
        let found = self.tables.iter().find(|found| found.table.name() == table);
        let found = found.ok_or_else(|| io::Error::other("the store reads a table that it does not store"))?;
        let rows = found.contents.get(content).ok_or_else(|| io::Error::other("there is no such content"))?;
        let row = |(index, row): (usize, &String)| match form {
            RowForm::Values => format!("{row}\n"),
            RowForm::PositionAndValues => format!("{},{row}\n", index + 1),
        };
        self.open_rows = (rows.iter().enumerate().map(row).collect(), found.fails);
        Ok(())
    }

    fn read_rows(&self, table: &TableName, content: usize) -> u64 {
        let found = self.tables.iter().find(|found| found.table.name() == table);
        found.and_then(|found| found.contents.get(content)).map_or(0, |rows| rows.len() as u64)
    }

    fn next_rows(&mut self, rows: &mut Vec<u8>) -> io::Result<u64> {
        // One row at a time, so that a store has to ask again.
        match (self.open_rows.0.pop_front(), self.open_rows.1) {
            (Some(row), _) => {
                rows.extend_from_slice(row.as_bytes());
                Ok(1)
            }
            (None, true) => Err(io::Error::other("the file cannot be read")),
            (None, false) => Ok(0),
        }
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        // A test that needs neither has dropped the receiver.
        let _ = self.seen.send((self.existing.clone(), changes.clone()));
        (self.conclude)(self.report.clone())
    }
}

/// A table into which `count` equal rows are loaded as a multiset.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn equal_rows(count: usize) -> TestTable {
    let column = TableColumn::new(ColumnName::parse("value").unwrap(), ColumnType::Text);
    let parts =
        TableParts { load: Load::Multiset, ..TableParts::new(TableName::parse("equal_rows").unwrap(), vec![column]) };
    TestTable::new(Table::new(parts).unwrap(), &[&vec!["a"; count]])
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
