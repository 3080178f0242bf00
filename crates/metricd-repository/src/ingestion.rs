//! Ingestions: the content that a store pulls, and the existing state against which it is validated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Breakpoint, Contract, Dashboard, DashboardId, DashboardItem, DashboardName, IngestionReport,
    InvalidDashboard, LayoutEntry, Metric, MetricId, Query, QueryId, SqlText, Table, TableName,
};
use serde::{Deserialize, Serialize};

use crate::tables::{ExistingTable, RowForm, TableChanges, TableUpdate};
use crate::{Idempotency, RepositoryError};

/// The ids that an ingestion names. The store returns the [`ExistingState`] of these ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferencedIds {
    /// Queries that the ingestion contains or refers to.
    pub query_ids: BTreeSet<QueryId>,
    /// Metrics that the ingestion contains.
    pub metric_ids: BTreeSet<MetricId>,
    /// Dashboards that the ingestion contains.
    pub dashboard_ids: BTreeSet<DashboardId>,
    /// The names of tables that the ingestion may change.
    pub table_names: BTreeSet<TableName>,
    /// The names of files: the ingestion may also change the tables that name one of them.
    pub table_files: BTreeSet<String>,
}

impl ReferencedIds {
    /// Whether the ingestion may change the table.
    #[must_use]
    pub fn contains_table(&self, table: &Table) -> bool {
        let names_file = |file: &String| self.table_files.contains(file);
        self.table_names.contains(table.name()) || table.parts().file.as_ref().is_some_and(names_file)
    }
}

/// The stored entries of the [`ReferencedIds`] of an ingestion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingState {
    /// The stored queries that are referenced, and those of `metrics` that read a referenced table.
    pub queries: BTreeMap<QueryId, ExistingQuery>,
    /// The stored metrics that are referenced, or that read a referenced query; and those in service whose contract names a
    /// referenced table.
    pub metrics: BTreeMap<MetricId, ExistingMetric>,
    /// The names of the stored dashboards.
    pub dashboards: BTreeMap<DashboardId, DashboardName>,
    /// The items of these dashboards.
    pub dashboard_items: BTreeSet<(DashboardId, MetricId)>,
    /// All tables that ingestions made.
    pub tables: BTreeMap<TableName, ExistingTable>,
    /// The names of all other relations where the tables are. No table can have such a name.
    pub other_relations: BTreeSet<String>,
}

/// A stored query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingQuery {
    /// The current SQL.
    pub sql: SqlText,
    /// The last edit, if files have not written or repeated it since.
    pub edit: Option<Edit>,
}

impl ExistingQuery {
    /// Makes a query without an edit.
    #[must_use]
    pub fn new(sql: SqlText) -> Self {
        Self { sql, edit: None }
    }
}

/// A change of what files declare, by anything but an ingestion. It ends when files write or repeat what it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Who made the change.
    pub by: Actor,
    /// When the change was made.
    pub at: DateTime<Utc>,
}

/// A stored metric.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingMetric {
    /// The metric.
    pub metric: Metric,
    /// The contract, if it is stored.
    pub contract: Option<Contract>,
    /// Whether the metric is out of service.
    pub is_deleted: bool,
    /// The last edit of the query id, of the declarations or of `editable`, if files have not written or repeated it
    /// since.
    pub edit: Option<Edit>,
}

impl ExistingMetric {
    /// Makes a metric in service without a contract and without an edit.
    #[must_use]
    pub fn new(metric: Metric) -> Self {
        Self { metric, contract: None, is_deleted: false, edit: None }
    }
}

/// Definitions to store. Each id is among the [`ReferencedIds`] and occurs once.
///
/// Storing a definition ends its edit, even if it is stored unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    /// The queries.
    pub queries: Vec<Query>,
    /// The metrics. Each reads a query that is stored or among `queries`.
    pub metrics: Vec<Metric>,
    /// The contracts of metrics that are stored or among `metrics`.
    pub contracts: BTreeMap<MetricId, Contract>,
    /// The updates of dashboards.
    pub dashboards: Vec<DashboardUpdate>,
    /// The tables to create, to change or to load, each once.
    pub tables: Vec<TableUpdate>,
}

/// An update of a dashboard, which creates the dashboard if it is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DashboardUpdate {
    /// The id of the dashboard.
    pub dashboard_id: DashboardId,
    /// The new name.
    pub name: DashboardName,
    /// Items to append. Items that the dashboard has already are ignored.
    pub items: Vec<DashboardItem>,
    /// Layout entries for items that are stored or among `items`. An entry replaces that of the same breakpoint and
    /// metric, or is appended.
    pub layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

impl DashboardUpdate {
    /// Makes an update without items and layout entries.
    #[must_use]
    pub fn new(dashboard_id: DashboardId, name: DashboardName) -> Self {
        Self { dashboard_id, name, items: Vec::new(), layouts: BTreeMap::new() }
    }

    /// Applies the update to the stored dashboard, and counts it in `changes`. For stores that hold whole dashboards.
    ///
    /// # Errors
    ///
    /// [`InvalidDashboard`] if a layout entry places a metric that is not an item.
    pub fn apply_to(self, stored: Option<&Dashboard>, changes: &mut Changes) -> Result<Dashboard, InvalidDashboard> {
        let mut items = stored.map(|stored| stored.items().to_vec()).unwrap_or_default();
        let mut layouts = stored.map(|stored| stored.layouts().clone()).unwrap_or_default();
        let mut is_changed = stored.is_some_and(|stored| *stored.name() != self.name);
        for item in self.items {
            if !items.contains(&item) {
                items.push(item);
                is_changed = true;
            }
        }
        changes.dashboards.count(stored.is_none(), is_changed);
        for (breakpoint, entries) in self.layouts {
            let layout = layouts.entry(breakpoint).or_default();
            for entry in entries {
                let before = layout.iter_mut().find(|before| before.metric_id() == entry.metric_id());
                changes.layout_entries.count(before.is_none(), before.as_ref().is_some_and(|before| **before != entry));
                match before {
                    Some(before) => *before = entry,
                    None => layout.push(entry),
                }
            }
        }
        Dashboard::new(self.dashboard_id, self.name, items, layouts)
    }
}

/// The entries of one kind, counted by their change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Entries stored for the first time.
    pub added: u64,
    /// Entries that were stored with other content.
    pub changed: u64,
    /// Entries that were stored with the same content.
    pub unchanged: u64,
}

impl ChangeCounts {
    /// Counts an entry.
    pub fn count(&mut self, is_new: bool, is_changed: bool) {
        let counted = match (is_new, is_changed) {
            (true, _) => &mut self.added,
            (false, true) => &mut self.changed,
            (false, false) => &mut self.unchanged,
        };
        *counted += 1;
    }
}

/// The changes that an ingestion makes in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The queries.
    pub queries: ChangeCounts,
    /// The metrics.
    pub metrics: ChangeCounts,
    /// The dashboards, by their names and items.
    pub dashboards: ChangeCounts,
    /// The layout entries of all dashboards.
    pub layout_entries: ChangeCounts,
    /// The changes of each table among [`Definitions::tables`].
    pub tables: BTreeMap<TableName, TableChanges>,
}

/// How the transaction of an ingestion ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Commit the content and the report.
    Commit(IngestionReport),
    /// Roll the content back and commit the report: the ingestion is refused.
    CommitReportOnly(IngestionReport),
    /// Roll back everything, including the report: a dry run.
    RollBack(IngestionReport),
}

impl Conclusion {
    /// The report, regardless of what is committed.
    #[must_use]
    pub fn into_report(self) -> IngestionReport {
        match self {
            Self::Commit(report) | Self::CommitReportOnly(report) | Self::RollBack(report) => report,
        }
    }
}

/// How often a store has an ingestion validated before it gives up with [`RepositoryError::ChangedMeanwhile`]. An
/// attempt is repeated if the existing state changed during the validation.
pub const MAX_VALIDATION_ATTEMPTS: usize = 10;

/// The content of an ingestion, which a store pulls within one transaction.
///
/// The store calls the methods in the order in which the trait declares them. All of them may block their thread on
/// files. [`Self::definitions`] also waits for a database, without blocking.
#[async_trait]
pub trait Ingestion: Debug + Send {
    /// Who makes the changes.
    fn actor(&self) -> Actor;

    /// The idempotency key of the request, if it has one. If the store has the report of an ingestion with this key, it
    /// returns that report and calls no further method.
    fn idempotency(&self) -> Option<Idempotency> {
        None
    }

    /// Reports that the store waits for another ingestion to end. A store calls this at most once, if it waits for
    /// long, and before the methods below.
    fn waiting(&mut self) {}

    /// The ids for which the ingestion needs the existing state.
    fn referenced_ids(&self) -> ReferencedIds;

    /// Validates the definitions against the existing state, and returns those to store.
    ///
    /// If the existing state changes before they are stored, the store calls the method again with the new state, up to
    /// [`MAX_VALIDATION_ATTEMPTS`] times in all. Only the last result is stored.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Unavailable`] if the definitions cannot be validated now. Nothing is stored then.
    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError>;

    /// Begins to read the rows of one of the contents of a table among [`Definitions::tables`], from the first row. A
    /// store calls this for one content after another, and may read them again. An ingestion without tables needs
    /// neither this method nor the next one.
    ///
    /// # Errors
    ///
    /// Any error of reading the input. Nothing is stored then.
    fn open_rows(&mut self, _table: &TableName, _content: usize, _form: RowForm) -> io::Result<()> {
        Ok(())
    }

    /// Appends the next rows of the opened content, some 64 KiB of them, and returns their number, which is 0 after the
    /// last one. [`RowValues`](crate::RowValues) describes their form. Each value is valid for its column, and columns
    /// that require a value have one.
    ///
    /// # Errors
    ///
    /// Any error of reading the input. Nothing is stored then.
    fn next_rows(&mut self, _rows: &mut Vec<u8>) -> io::Result<u64> {
        Ok(0)
    }

    /// The number of rows of a content that was read to its end, with those that the ingestion refused. A store records how
    /// many of them it does not have.
    fn read_rows(&self, _table: &TableName, _content: usize) -> u64 {
        0
    }

    /// Makes the report of the changes, and decides how the transaction ends.
    fn conclude(&mut self, changes: &Changes) -> Conclusion;
}
