//! What is stored in memory, and how an ingestion changes it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeAction, Dashboard, DashboardId, DisplayText, IngestionId, IngestionReport, Metric, MetricDefinition,
    MetricId, Query, QueryId, QueryVersion, Record, SqlText,
};

use super::definitions::StoredMetric;
use crate::{
    ChangeCounts, Changes, DashboardUpdate, Definitions, Edit, ExistingMetric, ExistingQuery, ExistingState,
    IDEMPOTENCY_RETENTION, Idempotency, ReferencedIds, RepositoryError,
};

/// Everything that is stored.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    pub(super) queries: BTreeMap<QueryId, Vec<QueryVersion>>,
    pub(super) query_edits: BTreeMap<QueryId, Edit>,
    pub(super) metrics: BTreeMap<MetricId, StoredMetric>,
    pub(super) dashboards: BTreeMap<DashboardId, Dashboard>,
    /// How often each record is stored.
    pub(super) records: HashMap<Record, usize>,
    pub(super) ingestions: BTreeMap<IngestionId, IngestionReport>,
    /// What requests were answered, by their clients' keys.
    metric_answers: HashMap<String, Answered<MetricDefinition>>,
    report_answers: HashMap<String, Answered<IngestionId>>,
}

#[derive(Debug, Clone)]
struct Answered<T> {
    fingerprint: Vec<u8>,
    at: DateTime<Utc>,
    answer: T,
}

impl State {
    pub(super) fn query_versions(&self, id: &QueryId) -> Result<&Vec<QueryVersion>, RepositoryError> {
        self.queries.get(id).ok_or_else(|| RepositoryError::QueryNotFound(id.clone()))
    }

    pub(super) fn existing(&self, referenced_ids: &ReferencedIds) -> ExistingState {
        let stored = |id: &QueryId| {
            let (sql, edit) = (self.queries.get(id)?.last()?.sql.clone(), self.query_edits.get(id).cloned());
            Some((id.clone(), ExistingQuery { sql, edit }))
        };
        let is_referenced = |stored: &&StoredMetric| {
            let Metric { query_id, metric_id, .. } = &stored.metric;
            referenced_ids.query_ids.contains(query_id) || referenced_ids.metric_ids.contains(metric_id)
        };
        let existing = |stored: &StoredMetric| {
            let StoredMetric { metric, contract, deleted_at, edit, .. } = stored.clone();
            (metric.metric_id.clone(), ExistingMetric { metric, contract, is_deleted: deleted_at.is_some(), edit })
        };
        let dashboards: Vec<_> = referenced_ids.dashboard_ids.iter().filter_map(|id| self.dashboards.get(id)).collect();
        ExistingState {
            queries: referenced_ids.query_ids.iter().filter_map(stored).collect(),
            metrics: self.metrics.values().filter(is_referenced).map(existing).collect(),
            dashboards: dashboards.iter().map(|of| (of.id().clone(), of.name().clone())).collect(),
            dashboard_items: dashboards
                .into_iter()
                .flat_map(|dashboard| {
                    dashboard.items().iter().map(|item| (dashboard.id().clone(), item.metric_id.clone()))
                })
                .collect(),
        }
    }

    pub(super) fn store(&mut self, definitions: Definitions, actor: &Actor) -> Result<Changes, RepositoryError> {
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

    pub(super) fn push_query_version(&mut self, query_id: &QueryId, sql: SqlText) {
        let versions = self.queries.entry(query_id.clone()).or_default();
        let version = versions.last().map_or(1, |current| current.version + 1);
        versions.push(QueryVersion { version, sql, created_at: Utc::now() });
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
                if (&before.query_id, &before.parameters, &before.time_column, &before.period)
                    != (
                        &stored.metric.query_id,
                        &stored.metric.parameters,
                        &stored.metric.time_column,
                        &stored.metric.period,
                    )
                {
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

    pub(super) fn store_records(&mut self, brought: HashMap<Record, usize>, changes: &mut Changes) {
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

    pub(super) fn keep_report(&mut self, report: IngestionReport, idempotency: Option<Idempotency>) {
        if let Some(Idempotency { key, fingerprint }) = idempotency {
            let answered = Answered { fingerprint, at: Utc::now(), answer: report.ingestion_id };
            self.report_answers.insert(key, answered);
        }
        self.ingestions.insert(report.ingestion_id, report);
    }

    pub(super) fn remembered_report(&self, asked: &Idempotency) -> Result<Option<IngestionReport>, RepositoryError> {
        let id = remembered(&self.report_answers, asked)?;
        Ok(id.and_then(|id| self.ingestions.get(&id).cloned()))
    }

    pub(super) fn remember_metric(&mut self, asked: Idempotency, answer: MetricDefinition) {
        let answered = Answered { fingerprint: asked.fingerprint, at: Utc::now(), answer };
        self.metric_answers.insert(asked.key, answered);
    }

    pub(super) fn remembered_metric(&self, asked: &Idempotency) -> Result<Option<MetricDefinition>, RepositoryError> {
        remembered(&self.metric_answers, asked)
    }
}

fn remembered<T: Clone>(
    answers: &HashMap<String, Answered<T>>,
    asked: &Idempotency,
) -> Result<Option<T>, RepositoryError> {
    let oldest = Utc::now() - IDEMPOTENCY_RETENTION;
    match answers.get(&asked.key).filter(|answered| answered.at > oldest) {
        Some(answered) if answered.fingerprint != asked.fingerprint => Err(RepositoryError::IdempotencyKeyReused),
        answered => Ok(answered.map(|answered| answered.answer.clone())),
    }
}
