//! What an ingestion brings, as the store pulls it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io;

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Breakpoint, Contract, Dashboard, DashboardId, DashboardItem, DashboardName, IngestionReport,
    InvalidDashboard, LayoutEntry, Metric, MetricId, Query, QueryId, Record, SqlText,
};

use crate::{Idempotency, RepositoryError};

/// The ids that an ingestion mentions, about which the store is to say what it knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentioned {
    /// Queries that are brought or named.
    pub query_ids: BTreeSet<QueryId>,
    /// Metrics that are brought.
    pub metric_ids: BTreeSet<MetricId>,
    /// Dashboards that are brought.
    pub dashboard_ids: BTreeSet<DashboardId>,
}

/// What the store knows of the ids that an ingestion mentions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The mentioned queries that are stored, with their current SQL.
    pub queries: BTreeMap<QueryId, KnownQuery>,
    /// The stored metrics that are mentioned, or read a mentioned query.
    pub metrics: BTreeMap<MetricId, KnownMetric>,
    /// The mentioned dashboards that are stored, with their names.
    pub dashboards: BTreeMap<DashboardId, DashboardName>,
    /// The items of the mentioned dashboards that are stored.
    pub dashboard_items: BTreeSet<(DashboardId, MetricId)>,
}

/// A query that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownQuery {
    /// Its current SQL.
    pub sql: SqlText,
    /// Its last edit, if it has one.
    pub edit: Option<Edit>,
}

/// A change of what files declare that no file has made, and that no file has repeated since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Who made it.
    pub by: Actor,
    /// When.
    pub at: DateTime<Utc>,
}

/// A metric that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMetric {
    /// The metric.
    pub metric: Metric,
    /// Its contract.
    pub contract: Option<Contract>,
    /// Whether it is out of service.
    pub is_deleted: bool,
    /// The last edit of its query id, its declarations or whether it is editable, if there is one.
    pub edit: Option<Edit>,
}

/// Definitions to store. Each id stands once and is among those that the ingestion mentions. Storing one, also one that is
/// stored already, ends its edit.
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
pub struct DashboardUpdate {
    /// The dashboard.
    pub dashboard_id: DashboardId,
    /// Its name from now on.
    pub name: DashboardName,
    /// Items that are appended, unless the dashboard has them.
    pub items: Vec<DashboardItem>,
    /// Layout entries, each for an item that is stored or among `items`. An entry replaces the one of the same breakpoint and
    /// metric, and is appended if there is none.
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

/// How many entries of one kind storing them touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stored for the first time.
    pub added: u64,
    /// Stored before with another content.
    pub changed: u64,
    /// Stored before with this content.
    pub unchanged: u64,
}

impl Tally {
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

/// What storing an ingestion's content changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Queries.
    pub queries: Tally,
    /// Metrics.
    pub metrics: Tally,
    /// Dashboards: their names and items.
    pub dashboards: Tally,
    /// Layout entries of all dashboards.
    pub layout_entries: Tally,
    /// Records; none is ever `changed`.
    pub records: Tally,
    /// How many of the records that were brought carry the id of a query which is not stored, by that id. At most 1 000 ids.
    pub unread_records: BTreeMap<QueryId, u64>,
}

/// What is to become of an ingestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// Keep all that was brought, and the report.
    Keep(IngestionReport),
    /// Keep the report alone.
    KeepReport(IngestionReport),
    /// Keep nothing.
    Discard(IngestionReport),
}

impl Conclusion {
    /// The report, whatever is kept.
    #[must_use]
    pub fn into_report(self) -> IngestionReport {
        match self {
            Self::Keep(report) | Self::KeepReport(report) | Self::Discard(report) => report,
        }
    }
}

/// How often definitions are judged that somebody changes each time before they are stored.
pub const MAX_JUDGEMENTS: usize = 10;

/// What an ingestion brings. The store calls the methods in this order, within one transaction and on one thread, which
/// they may block.
pub trait Ingestion: Debug + Send {
    /// Who ingests.
    fn actor(&self) -> Actor;

    /// The request's mark, where it has one. An ingestion of that mark which is remembered answers in this one's place, and
    /// nothing else of this one is asked for.
    fn idempotency(&self) -> Option<Idempotency> {
        None
    }

    /// The ids about which the store is to say what it knows.
    fn mentioned(&self) -> Mentioned;

    /// The definitions to store, now that it is known what is stored already. Called again with what is known then, up to
    /// [`MAX_JUDGEMENTS`] times, where somebody has changed it before they were stored; the last answer holds.
    ///
    /// # Errors
    ///
    /// [`RepositoryError::Unavailable`] where nobody could judge them.
    fn definitions(&mut self, known: &Known) -> Result<Definitions, RepositoryError>;

    /// The next record to store, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// The input could not be read.
    fn next_record(&mut self) -> Option<io::Result<Record>>;

    /// What is to become of it all, now that it is known what storing it changes.
    fn conclude(&mut self, changes: &Changes) -> Conclusion;
}
