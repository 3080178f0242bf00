//! A complete store in memory, for tests and for trying things out.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::Utc;
use metricd_domain::{
    Contract, Dashboard, DashboardId, DashboardItem, IngestionId, IngestionReport, LayoutEntry, Metric,
    MetricDefinition, MetricId, Query, QueryId, QueryVersion, Record,
};

use crate::{
    Changes, Conclusion, Definitions, Ingestion, Known, Mentioned, MetricRepository, Readiness, RepositoryError, Tally,
};

/// A store of metrics in memory; it keeps every promise of [`MetricRepository`] but to outlive its process.
#[derive(Debug, Default)]
pub struct MemoryRepository {
    state: Mutex<State>,
}

impl MemoryRepository {
    /// Every stored record, in no particular order.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let state = self.lock();
        state.records.iter().flat_map(|(record, &count)| std::iter::repeat_n(record.clone(), count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A change is made on a copy and put in place whole, so that a panic cannot have left a broken state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetricRepository for MemoryRepository {
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        let state = self.lock();
        let metric = state.metrics.get(id).ok_or_else(|| RepositoryError::MetricNotFound(id.clone()))?;
        let versions = state.versions(&metric.query_id)?;
        let current = versions.last().ok_or_else(|| RepositoryError::QueryNotFound(metric.query_id.clone()))?;
        Ok(MetricDefinition {
            metric: metric.clone(),
            sql: current.sql.clone(),
            query_version: current.version,
            contract: state.contracts.get(id).cloned(),
        })
    }

    async fn list_metrics(&self, after: Option<&MetricId>, limit: usize) -> Result<Vec<Metric>, RepositoryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.lock().metrics.range((from, Bound::Unbounded)).take(limit).map(|(_, metric)| metric.clone()).collect())
    }

    async fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Result<Vec<Query>, RepositoryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.lock();
        let queries = state.queries.range((from, Bound::Unbounded)).filter_map(|(query_id, versions)| {
            Some(Query { query_id: query_id.clone(), sql: versions.last()?.sql.clone() })
        });
        Ok(queries.take(limit).collect())
    }

    async fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        Ok(self.lock().versions(id)?.iter().rev().cloned().collect())
    }

    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        self.lock().dashboards.get(id).cloned().ok_or_else(|| RepositoryError::DashboardNotFound(id.clone()))
    }

    async fn ingest(&self, mut ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        let mut state = self.lock();
        let mut next = state.clone();
        let known = next.known(&ingestion.mentioned());
        let mut changes = next.store(ingestion.definitions(&known).map_err(RepositoryError::Input)?)?;
        let mut brought = HashMap::new();
        while let Some(record) = ingestion.next_record() {
            *brought.entry(record.map_err(RepositoryError::Input)?).or_insert(0_usize) += 1;
        }
        next.store_records(brought, &mut changes);
        let conclusion = ingestion.conclude(&changes);
        match &conclusion {
            Conclusion::Keep(report) => {
                next.ingestions.insert(report.ingestion_id, report.clone());
                *state = next;
            }
            Conclusion::KeepReport(report) => {
                state.ingestions.insert(report.ingestion_id, report.clone());
            }
            Conclusion::Discard(_) => {}
        }
        Ok(conclusion.into_report())
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.lock().ingestions.get(&id).cloned().ok_or(RepositoryError::IngestionNotFound(id))
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        Ok(Readiness { pending_migrations: 0, metric_count: self.lock().metrics.len() as u64 })
    }
}

#[derive(Debug, Default, Clone)]
struct State {
    queries: BTreeMap<QueryId, Vec<QueryVersion>>,
    metrics: BTreeMap<MetricId, Metric>,
    contracts: BTreeMap<MetricId, Contract>,
    dashboards: BTreeMap<DashboardId, Dashboard>,
    /// How often each record is stored.
    records: HashMap<Record, usize>,
    ingestions: BTreeMap<IngestionId, IngestionReport>,
}

impl State {
    fn versions(&self, id: &QueryId) -> Result<&Vec<QueryVersion>, RepositoryError> {
        self.queries.get(id).ok_or_else(|| RepositoryError::QueryNotFound(id.clone()))
    }

    fn known(&self, mentioned: &Mentioned) -> Known {
        let stored = |id: &QueryId| Some((id.clone(), self.queries.get(id)?.last()?.sql.clone()));
        let is_mentioned = |metric: &&Metric| {
            mentioned.query_ids.contains(&metric.query_id) || mentioned.metric_ids.contains(&metric.metric_id)
        };
        let with_contract = |metric: &Metric| {
            let contract = self.contracts.get(&metric.metric_id).cloned();
            (metric.metric_id.clone(), (metric.clone(), contract))
        };
        let dashboards = mentioned.dashboard_ids.iter().filter_map(|id| self.dashboards.get(id));
        Known {
            queries: mentioned.query_ids.iter().filter_map(stored).collect(),
            metrics: self.metrics.values().filter(is_mentioned).map(with_contract).collect(),
            dashboard_items: dashboards
                .flat_map(|dashboard| {
                    dashboard.items.iter().map(|item| (dashboard.dashboard_id.clone(), item.metric_id.clone()))
                })
                .collect(),
        }
    }

    fn store(&mut self, definitions: Definitions) -> Result<Changes, RepositoryError> {
        let mut changes = Changes::default();
        for query in definitions.queries {
            self.store_query(query, &mut changes.queries);
        }
        for metric in definitions.metrics {
            self.store_metric(&metric, &mut changes.metrics)?;
        }
        for (metric_id, contract) in definitions.contracts {
            if self.metrics.contains_key(&metric_id) {
                self.contracts.insert(metric_id, contract);
            }
        }
        for dashboard in definitions.dashboards {
            self.store_dashboard(dashboard, &mut changes.layout_entries)?;
        }
        Ok(changes)
    }

    fn store_query(&mut self, query: Query, tally: &mut Tally) {
        let query_id = query.query_id.clone();
        let versions = self.queries.entry(query.query_id).or_default();
        match versions.last() {
            Some(current) if current.sql == query.sql => tally.unchanged += 1,
            current => {
                let version = current.map_or(1, |current| current.version + 1);
                if version == 1 {
                    tally.added += 1;
                } else {
                    tally.changed += 1;
                }
                versions.push(QueryVersion { version, sql: query.sql, created_at: Utc::now() });
                let metrics = &self.metrics;
                self.contracts
                    .retain(|metric_id, _| metrics.get(metric_id).is_none_or(|metric| metric.query_id != query_id));
            }
        }
    }

    fn store_metric(&mut self, metric: &Metric, tally: &mut Tally) -> Result<(), RepositoryError> {
        if !self.queries.contains_key(&metric.query_id) {
            return Err(broken("metrics_query_id_fkey", format!("there is no query `{}`", metric.query_id)));
        }
        match self.metrics.insert(metric.metric_id.clone(), metric.clone()) {
            None => tally.added += 1,
            Some(before) if before == *metric => tally.unchanged += 1,
            Some(before) => {
                tally.changed += 1;
                if (&before.query_id, &before.parameters, &before.time_column)
                    != (&metric.query_id, &metric.parameters, &metric.time_column)
                {
                    self.contracts.remove(&metric.metric_id);
                }
            }
        }
        Ok(())
    }

    fn store_dashboard(&mut self, brought: Dashboard, tally: &mut Tally) -> Result<(), RepositoryError> {
        if let Some(item) = brought.items.iter().find(|item| !self.metrics.contains_key(&item.metric_id)) {
            return Err(broken("dashboard_items_metric_id_fkey", format!("there is no metric `{}`", item.metric_id)));
        }
        let empty =
            Dashboard { items: Vec::new(), layouts: BTreeMap::new(), name: brought.name.clone(), ..brought.clone() };
        let stored = self.dashboards.entry(brought.dashboard_id).or_insert(empty);
        stored.name = brought.name;
        for item in brought.items {
            if !stored.items.contains(&item) {
                stored.items.push(item);
            }
        }
        for (breakpoint, entries) in brought.layouts {
            for entry in entries {
                if !stored.items.contains(&DashboardItem { metric_id: entry.metric_id.clone() }) {
                    let message = format!("the dashboard has no item `{}`", entry.metric_id);
                    return Err(broken("layout_entries_dashboard_item_fkey", message));
                }
                store_layout_entry(stored.layouts.entry(breakpoint).or_default(), entry, tally);
            }
        }
        Ok(())
    }

    fn store_records(&mut self, brought: HashMap<Record, usize>, changes: &mut Changes) {
        for (record, count) in brought {
            if !self.queries.contains_key(&record.query_id) {
                *changes.unread_records.entry(record.query_id.clone()).or_default() += count as u64;
            }
            let stored = self.records.entry(record).or_default();
            let missing = count.saturating_sub(*stored);
            changes.records.added += missing as u64;
            changes.records.unchanged += (count - missing) as u64;
            *stored += missing;
        }
    }
}

fn store_layout_entry(stored: &mut Vec<LayoutEntry>, entry: LayoutEntry, tally: &mut Tally) {
    match stored.iter_mut().find(|before| before.metric_id == entry.metric_id) {
        None => {
            stored.push(entry);
            tally.added += 1;
        }
        Some(before) if *before == entry => tally.unchanged += 1,
        Some(before) => {
            *before = entry;
            tally.changed += 1;
        }
    }
}

fn broken(constraint: &str, message: String) -> RepositoryError {
    RepositoryError::Constraint { constraint: constraint.to_owned(), message }
}
