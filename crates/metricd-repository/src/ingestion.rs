//! The content of an ingestion, as the store pulls it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Breakpoint, Contract, Dashboard, DashboardId, DashboardItem, DashboardName, IngestionReport,
    InvalidDashboard, LayoutEntry, Metric, MetricId, Query, QueryId, Record, SqlText,
};
use serde::{Deserialize, Serialize};

use crate::{Idempotency, RepositoryError};

/// The ids that an ingestion names. The store answers with the [`ExistingState`] of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferencedIds {
    /// Queries that it contains or names.
    pub query_ids: BTreeSet<QueryId>,
    /// Metrics that it contains.
    pub metric_ids: BTreeSet<MetricId>,
    /// Dashboards that it contains.
    pub dashboard_ids: BTreeSet<DashboardId>,
}

/// What is stored under the ids that an ingestion names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingState {
    /// The named queries that are stored.
    pub queries: BTreeMap<QueryId, ExistingQuery>,
    /// The stored metrics that are named, or read a named query.
    pub metrics: BTreeMap<MetricId, ExistingMetric>,
    /// The named dashboards that are stored, with their names.
    pub dashboards: BTreeMap<DashboardId, DashboardName>,
    /// The items of these dashboards.
    pub dashboard_items: BTreeSet<(DashboardId, MetricId)>,
}

/// A query that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingQuery {
    /// Its current SQL.
    pub sql: SqlText,
    /// Its last edit, if it has one.
    pub edit: Option<Edit>,
}

impl ExistingQuery {
    /// A query that has not been edited.
    #[must_use]
    pub fn new(sql: SqlText) -> Self {
        Self { sql, edit: None }
    }
}

/// A change of what files declare that no file has made, and that no file has repeated since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Who made it.
    pub by: Actor,
    /// When.
    pub at: DateTime<Utc>,
}

/// A metric that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingMetric {
    /// The metric.
    pub metric: Metric,
    /// Its contract.
    pub contract: Option<Contract>,
    /// Whether it is out of service.
    pub is_deleted: bool,
    /// The last edit of its query id, its declarations or whether it is editable, if there is one.
    pub edit: Option<Edit>,
}

impl ExistingMetric {
    /// A metric in service that has no contract and has not been edited.
    #[must_use]
    pub fn new(metric: Metric) -> Self {
        Self { metric, contract: None, is_deleted: false, edit: None }
    }
}

/// Definitions to store. Each id is among the [`ReferencedIds`] and occurs once. Storing a definition ends its edit,
/// also if the same is stored already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Queries.
    pub queries: Vec<Query>,
    /// Metrics, each of a query that is stored or among `queries`.
    pub metrics: Vec<Metric>,
    /// The contracts of metrics that are stored or among `metrics`.
    pub contracts: BTreeMap<MetricId, Contract>,
    /// What is added to dashboards.
    pub dashboards: Vec<DashboardUpdate>,
}

/// What an ingestion adds to a dashboard, which is created if it is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DashboardUpdate {
    /// The dashboard.
    pub dashboard_id: DashboardId,
    /// Its name from now on.
    pub name: DashboardName,
    /// Items that are appended, unless the dashboard has them.
    pub items: Vec<DashboardItem>,
    /// Layout entries, each for an item that is stored or among `items`. An entry replaces the one of the same
    /// breakpoint and metric, and is appended if there is none.
    pub layouts: BTreeMap<Breakpoint, Vec<LayoutEntry>>,
}

impl DashboardUpdate {
    /// An update that adds nothing but the dashboard itself.
    #[must_use]
    pub fn new(dashboard_id: DashboardId, name: DashboardName) -> Self {
        Self { dashboard_id, name, items: Vec::new(), layouts: BTreeMap::new() }
    }

    /// The dashboard after the update, which is counted in `changes`. For stores that hold dashboards as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidDashboard`] if a layout entry is for no item.
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

/// How many entries of one kind were added, changed and left as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChangeCounts {
    /// Stored for the first time.
    pub added: u64,
    /// Stored before with another content.
    pub changed: u64,
    /// Stored before with this content.
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

/// What storing the content of an ingestion changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Queries.
    pub queries: ChangeCounts,
    /// Metrics.
    pub metrics: ChangeCounts,
    /// Dashboards: their names and items.
    pub dashboards: ChangeCounts,
    /// Layout entries of all dashboards.
    pub layout_entries: ChangeCounts,
    /// Records; none is ever `changed`.
    pub records: ChangeCounts,
    /// How many of the ingestion's records have the id of a query that is not stored, by that id. At most 1 000 ids.
    pub unread_records: BTreeMap<QueryId, u64>,
}

/// How the transaction of an ingestion ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Commit the content and the report.
    Commit(IngestionReport),
    /// Roll the content back and commit the report: the ingestion is refused.
    CommitReportOnly(IngestionReport),
    /// Roll everything back, the report included: a dry run.
    RollBack(IngestionReport),
}

impl Conclusion {
    /// The report, whatever is committed.
    #[must_use]
    pub fn into_report(self) -> IngestionReport {
        match self {
            Self::Commit(report) | Self::CommitReportOnly(report) | Self::RollBack(report) => report,
        }
    }
}

/// How often an ingestion validates its definitions while others change what they depend on, before the store gives up
/// with [`RepositoryError::ChangedMeanwhile`].
pub const MAX_VALIDATION_ATTEMPTS: usize = 10;

/// The content of an ingestion, which the store pulls. It calls the methods in this order, within one transaction. All
/// may block their thread on files; [`Self::definitions`] also waits for a database without blocking.
#[async_trait]
pub trait Ingestion: Debug + Send {
    /// Who ingests.
    fn actor(&self) -> Actor;

    /// The idempotency key of the request, if it has one. If the store remembers an ingestion with this key, it answers
    /// with the report of that one and calls no further method.
    fn idempotency(&self) -> Option<Idempotency> {
        None
    }

    /// Another ingestion runs, and the store waits until it has ended. A store that waits for long calls this once, before the
    /// methods below.
    fn waiting(&mut self) {}

    /// The ids of which the ingestion needs the existing state.
    fn referenced_ids(&self) -> ReferencedIds;

    /// The definitions to store, given what is stored. If others change that before the definitions are stored, the
    /// store calls the method again with the new state, up to [`MAX_VALIDATION_ATTEMPTS`] times in all; the last result
    /// counts.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Unavailable`] if the definitions cannot be validated now. Nothing is stored then.
    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError>;

    /// The next record to store, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// The input could not be read. Nothing is stored then.
    fn next_record(&mut self) -> Option<io::Result<Record>>;

    /// Makes the report from the changes, and decides how the transaction ends.
    fn conclude(&mut self, changes: &Changes) -> Conclusion;
}
