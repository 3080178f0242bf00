//! The state of a store as one value, and the operations of the port on it.

mod metrics;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeAction, Contract, Dashboard, DashboardId, DashboardSummary, DisplayText, IngestionId, IngestionReport,
    Metric, MetricDefinition, MetricId, MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, SqlText,
    TABLE_SCHEMA, TableName,
};
use serde::{Deserialize, Serialize};

use self::metrics::StoredMetric;
use self::tables::TableState;
use crate::{
    ChangeCounts, Changes, Conclusion, DashboardUpdate, DefinitionFilter, Definitions, Edit, ExistingMetric,
    ExistingQuery, ExistingState, IDEMPOTENCY_RETENTION, Idempotency, Ingestion, NewMetric, Readiness, ReferencedIds,
    RepositoryError,
};

/// The state of a [`StateRepository`](crate::StateRepository) as one value that can be serialized.
//
// The methods have the names, results and errors of the port. A method that fails may have changed a part of the state,
// so each runs on a copy that replaces the state if it succeeds.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct StoreState {
    queries: BTreeMap<QueryId, Vec<QueryVersion>>,
    query_edits: BTreeMap<QueryId, Edit>,
    metrics: BTreeMap<MetricId, StoredMetric>,
    dashboards: BTreeMap<DashboardId, Dashboard>,
    #[serde(default)]
    tables: BTreeMap<TableName, TableState>,
    ingestions: BTreeMap<IngestionId, IngestionReport>,
    /// The answers to requests with an idempotency key, by the key.
    metric_answers: HashMap<String, Answered<MetricDefinition>>,
    report_answers: HashMap<String, Answered<IngestionId>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answered<T> {
    fingerprint: Vec<u8>,
    at: DateTime<Utc>,
    answer: T,
}

impl StoreState {
    /// A page of the metrics that match the filter, ordered by id.
    pub(crate) fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let definitions = self.metrics.range((from, Bound::Unbounded)).map(|(id, _)| self.get_definition(id));
        let is_wanted = |definition: &Result<MetricDefinition, _>| {
            definition.as_ref().map_or(true, |definition| self.matches(filter, definition))
        };
        definitions.filter(is_wanted).take(limit).collect()
    }

    /// A page of the versions of a metric, newest first.
    pub(crate) fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        let versions = self.stored(id)?.versions.iter().rev();
        let versions = versions.filter(|version| before.is_none_or(|before| version.version < before));
        Ok(versions.take(limit).cloned().collect())
    }

    /// Stores a metric with a query of its own, unless a request with the same idempotency key stored it before.
    pub(crate) fn insert_metric(
        &mut self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        if let Some(idempotency) = &idempotency
            && let Some(answer) = earlier_answer(&self.metric_answers, idempotency)?
        {
            return Ok((answer, false));
        }
        let definition = self.insert_new(metric)?;
        if let Some(Idempotency { key, fingerprint }) = idempotency {
            let answered = Answered { fingerprint, at: Utc::now(), answer: definition.clone() };
            self.metric_answers.insert(key, answered);
        }
        Ok((definition, true))
    }

    /// A page of the current versions of the queries, ordered by id.
    #[must_use]
    pub(crate) fn list_queries(&self, after: Option<&QueryId>, limit: usize) -> Vec<Query> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let queries = self.queries.range((from, Bound::Unbounded)).filter_map(|(query_id, versions)| {
            Some(Query { query_id: query_id.clone(), sql: versions.last()?.sql.clone() })
        });
        queries.take(limit).collect()
    }

    /// Every version of a query, newest first.
    pub(crate) fn list_query_versions(&self, id: &QueryId) -> Result<Vec<QueryVersion>, RepositoryError> {
        Ok(self.query_versions(id)?.iter().rev().cloned().collect())
    }

    /// A page of the dashboards, ordered by id, each with the number of its items that match the patterns.
    #[must_use]
    pub(crate) fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Vec<DashboardSummary> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_among = |id: &MetricId| among.is_none_or(|patterns| patterns.contain(id));
        let summary = |dashboard: &Dashboard| {
            let item_count = dashboard.items().iter().filter(|item| is_among(&item.metric_id)).count() as u64;
            DashboardSummary::new(dashboard.id().clone(), dashboard.name().clone(), item_count)
        };
        self.dashboards.range((from, Bound::Unbounded)).take(limit).map(|(_, one)| summary(one)).collect()
    }

    pub(crate) fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        self.dashboards.get(id).cloned().ok_or_else(|| RepositoryError::DashboardNotFound(id.clone()))
    }

    pub(crate) fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.ingestions.get(&id).cloned().ok_or(RepositoryError::IngestionNotFound(id))
    }

    #[must_use]
    pub(crate) fn check(&self) -> Readiness {
        let active = self.metrics.values().filter(|stored| stored.deleted_at.is_none());
        Readiness { pending_migrations: 0, metric_count: active.count() as u64 }
    }

    /// The report of the ingestion that had this idempotency key within [`IDEMPOTENCY_RETENTION`]. A store checks this
    /// before it calls anything else on an ingestion.
    pub(crate) fn earlier_report(&self, key: &Idempotency) -> Result<Option<IngestionReport>, RepositoryError> {
        let id = earlier_answer(&self.report_answers, key)?;
        Ok(id.and_then(|id| self.ingestions.get(&id).cloned()))
    }

    /// The state after an ingestion, and its report.
    ///
    /// `definitions` are those that the ingestion returned for the current [`Self::existing`] state, and `key` is its
    /// idempotency key.
    pub(crate) fn ingested(
        &self,
        definitions: Definitions,
        ingestion: &mut dyn Ingestion,
        key: Option<Idempotency>,
    ) -> Result<(Self, IngestionReport), RepositoryError> {
        let mut next = self.clone();
        let mut definitions = definitions;
        let tables = std::mem::take(&mut definitions.tables);
        let mut changes = next.store(definitions, &ingestion.actor())?;
        next.store_tables(tables, ingestion, &mut changes)?;
        let conclusion = ingestion.conclude(&changes);
        let (mut next, is_kept) = match &conclusion {
            Conclusion::Commit(_) => (next, true),
            Conclusion::CommitReportOnly(_) => (self.clone(), true),
            Conclusion::RollBack(_) => (self.clone(), false),
        };
        let report = conclusion.into_report();
        if is_kept {
            next.keep_report(report.clone(), key);
        }
        Ok((next, report))
    }

    /// The stored entries of these ids.
    #[must_use]
    pub(crate) fn existing(&self, referenced_ids: &ReferencedIds) -> ExistingState {
        let stored = |id: &QueryId| {
            let (sql, edit) = (self.queries.get(id)?.last()?.sql.clone(), self.query_edits.get(id).cloned());
            Some((id.clone(), ExistingQuery { sql, edit }))
        };
        let tables = self.existing_tables();
        let reads_table = |stored: &StoredMetric| {
            let mut read = stored.contract.iter().flat_map(Contract::tables);
            stored.deleted_at.is_none()
                && read.any(|read| {
                    let mut referenced = tables.values().filter(|of| referenced_ids.contains_table(&of.table));
                    read.schema == TABLE_SCHEMA && referenced.any(|of| of.table.name().as_str() == read.name)
                })
        };
        let is_referenced = |stored: &&StoredMetric| {
            let Metric { query_id, metric_id, .. } = &stored.metric;
            referenced_ids.query_ids.contains(query_id) || referenced_ids.metric_ids.contains(metric_id)
        };
        let readers = || self.metrics.values().filter(|stored| reads_table(stored));
        let query_ids = readers().map(|stored| &stored.metric.query_id).chain(&referenced_ids.query_ids);
        let existing = |stored: &StoredMetric| {
            let StoredMetric { metric, contract, deleted_at, edit, .. } = stored.clone();
            (metric.metric_id.clone(), ExistingMetric { metric, contract, is_deleted: deleted_at.is_some(), edit })
        };
        let dashboards: Vec<_> = referenced_ids.dashboard_ids.iter().filter_map(|id| self.dashboards.get(id)).collect();
        ExistingState {
            queries: query_ids.filter_map(stored).collect(),
            metrics: self.metrics.values().filter(is_referenced).chain(readers()).map(existing).collect(),
            tables: tables.clone(),
            other_relations: BTreeSet::new(),
            dashboards: dashboards.iter().map(|of| (of.id().clone(), of.name().clone())).collect(),
            dashboard_items: dashboards
                .into_iter()
                .flat_map(|dashboard| {
                    dashboard.items().iter().map(|item| (dashboard.id().clone(), item.metric_id.clone()))
                })
                .collect(),
        }
    }
}

impl StoreState {
    fn query_versions(&self, id: &QueryId) -> Result<&Vec<QueryVersion>, RepositoryError> {
        self.queries.get(id).ok_or_else(|| RepositoryError::QueryNotFound(id.clone()))
    }

    fn store(&mut self, definitions: Definitions, actor: &Actor) -> Result<Changes, RepositoryError> {
        let mut changes = Changes::default();
        for query in definitions.queries {
            self.store_query(query, actor, &mut changes.queries);
        }
        for metric in definitions.metrics {
            self.store_metric(metric, actor, &mut changes.metrics)?;
        }
        for (metric_id, contract) in definitions.contracts {
            if let Some(stored) = self.metrics.get_mut(&metric_id) {
                stored.contract = Some(contract);
            }
        }
        for dashboard in definitions.dashboards {
            self.store_dashboard(dashboard, &mut changes)?;
        }
        Ok(changes)
    }

    fn push_query_version(&mut self, query_id: &QueryId, sql: SqlText) {
        let versions = self.queries.entry(query_id.clone()).or_default();
        let version = versions.last().map_or(1, |current| current.version + 1);
        versions.push(QueryVersion::new(version, sql, Utc::now()));
    }

    fn store_query(&mut self, query: Query, actor: &Actor, counts: &mut ChangeCounts) {
        match self.queries.get(&query.query_id).and_then(|versions| versions.last()) {
            Some(current) if current.sql == query.sql => {
                counts.unchanged += 1;
                self.query_edits.remove(&query.query_id);
            }
            current => {
                let counted = if current.is_none() { &mut counts.added } else { &mut counts.changed };
                *counted += 1;
                self.put_sql(&query.query_id, query.sql, None, actor);
            }
        }
    }

    fn store_metric(
        &mut self,
        metric: Metric,
        actor: &Actor,
        counts: &mut ChangeCounts,
    ) -> Result<(), RepositoryError> {
        if !self.queries.contains_key(&metric.query_id) {
            return Err(RepositoryError::Inconsistent(format!("there is no query `{}`", metric.query_id)));
        }
        let metric_id = metric.metric_id.clone();
        let action = match self.metrics.get_mut(&metric_id) {
            None => {
                counts.added += 1;
                let (display_text, versions) = (DisplayText::default(), Vec::new());
                let stored =
                    StoredMetric { metric, display_text, deleted_at: None, contract: None, versions, edit: None };
                self.metrics.insert(metric_id.clone(), stored);
                ChangeAction::Created
            }
            Some(stored) if stored.metric == metric => {
                counts.unchanged += 1;
                stored.edit = None;
                return Ok(());
            }
            Some(stored) => {
                counts.changed += 1;
                stored.edit = None;
                let before = std::mem::replace(&mut stored.metric, metric);
                if !before.shares_contract_with(&stored.metric) {
                    stored.contract = None;
                }
                ChangeAction::Changed
            }
        };
        self.add_version(&metric_id, action, actor);
        Ok(())
    }

    fn store_dashboard(&mut self, update: DashboardUpdate, changes: &mut Changes) -> Result<(), RepositoryError> {
        if let Some(item) = update.items.iter().find(|item| !self.metrics.contains_key(&item.metric_id)) {
            return Err(RepositoryError::Inconsistent(format!("there is no metric `{}`", item.metric_id)));
        }
        let id = update.dashboard_id.clone();
        let updated = update.apply_to(self.dashboards.get(&id), changes);
        let updated = updated.map_err(|error| RepositoryError::Inconsistent(error.to_string()))?;
        self.dashboards.insert(id, updated);
        Ok(())
    }

    fn keep_report(&mut self, report: IngestionReport, idempotency: Option<Idempotency>) {
        if let Some(Idempotency { key, fingerprint }) = idempotency {
            let answered = Answered { fingerprint, at: Utc::now(), answer: report.ingestion_id };
            self.report_answers.insert(key, answered);
        }
        self.ingestions.insert(report.ingestion_id, report);
    }
}

fn earlier_answer<T: Clone>(
    answers: &HashMap<String, Answered<T>>,
    request: &Idempotency,
) -> Result<Option<T>, RepositoryError> {
    let oldest = Utc::now() - IDEMPOTENCY_RETENTION;
    match answers.get(&request.key).filter(|answered| answered.at > oldest) {
        Some(answered) if answered.fingerprint != request.fingerprint => Err(RepositoryError::IdempotencyKeyReused),
        answered => Ok(answered.map(|answered| answered.answer.clone())),
    }
}
