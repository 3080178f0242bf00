//! A complete store in memory, for tests and for trying things out.

mod definitions;
mod state;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, Dashboard, DashboardId, DashboardSummary, IngestionId, IngestionReport, MetricDefinition, MetricId,
    MetricPatterns, MetricVersion, Query, QueryId, QueryVersion, Record,
};

use self::state::State;
use crate::{
    Conclusion, DefinitionFilter, Definitions, Idempotency, Ingestion, MAX_VALIDATION_ATTEMPTS, MetricChange,
    MetricRepository, NewMetric, Readiness, RepositoryError,
};

/// A store of metrics in memory; it keeps every promise of [`MetricRepository`] but to outlive its process.
#[derive(Debug, Default)]
pub struct MemoryRepository {
    state: Mutex<State>,
    /// Held by the ingestion that runs.
    ingesting: Mutex<()>,
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

    /// The ingestion's definitions, and the state by which they are validated.
    fn validated(
        &self,
        ingestion: &mut dyn Ingestion,
    ) -> Result<(MutexGuard<'_, State>, Definitions), RepositoryError> {
        let referenced_ids = ingestion.referenced_ids();
        for _ in 0..MAX_VALIDATION_ATTEMPTS {
            let existing = self.lock().existing(&referenced_ids);
            // Metrics may be changed meanwhile.
            let definitions = ingestion.definitions(&existing)?;
            let state = self.lock();
            if state.existing(&referenced_ids) == existing {
                return Ok((state, definitions));
            }
        }
        Err(RepositoryError::ChangedMeanwhile)
    }

    /// Makes a change, whole or not at all.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, RepositoryError>) -> Result<T, RepositoryError> {
        let mut state = self.lock();
        let mut next = state.clone();
        let answer = change(&mut next)?;
        *state = next;
        Ok(answer)
    }
}

#[async_trait]
impl MetricRepository for MemoryRepository {
    async fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        self.lock().definition(id)
    }

    async fn list_definitions(
        &self,
        filter: &DefinitionFilter,
        after: Option<&MetricId>,
        limit: usize,
    ) -> Result<Vec<MetricDefinition>, RepositoryError> {
        let state = self.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let definitions = state.metrics.range((from, Bound::Unbounded)).map(|(id, _)| state.definition(id));
        let is_wanted = |definition: &Result<MetricDefinition, _>| {
            definition.as_ref().map_or(true, |definition| state.lets_through(filter, definition))
        };
        definitions.filter(is_wanted).take(limit).collect()
    }

    async fn list_metric_versions(
        &self,
        id: &MetricId,
        before: Option<u32>,
        limit: usize,
    ) -> Result<Vec<MetricVersion>, RepositoryError> {
        let state = self.lock();
        let versions = state.stored(id)?.versions.iter().rev();
        Ok(versions
            .filter(|version| before.is_none_or(|before| version.version < before))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn insert_metric(
        &self,
        metric: NewMetric,
        idempotency: Option<Idempotency>,
    ) -> Result<(MetricDefinition, bool), RepositoryError> {
        self.change(|state| {
            if let Some(idempotency) = &idempotency
                && let Some(answer) = state.remembered_metric(idempotency)?
            {
                return Ok((answer, false));
            }
            let definition = state.insert_metric(metric)?;
            if let Some(idempotency) = idempotency {
                state.remember_metric(idempotency, definition.clone());
            }
            Ok((definition, true))
        })
    }

    async fn change_metric(
        &self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        self.change(|state| state.change_metric(id, version, change, &actor))
    }

    async fn purge_metrics(&self, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>, RepositoryError> {
        self.change(|state| Ok(state.purge(deleted_before)))
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
        Ok(self.lock().query_versions(id)?.iter().rev().cloned().collect())
    }

    async fn list_dashboards(
        &self,
        among: Option<&MetricPatterns>,
        after: Option<&DashboardId>,
        limit: usize,
    ) -> Result<Vec<DashboardSummary>, RepositoryError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.lock();
        let is_among = |id: &MetricId| among.is_none_or(|patterns| patterns.contain(id));
        let summary = |dashboard: &Dashboard| DashboardSummary {
            dashboard_id: dashboard.id().clone(),
            name: dashboard.name().clone(),
            item_count: dashboard.items().iter().filter(|item| is_among(&item.metric_id)).count() as u64,
        };
        Ok(state.dashboards.range((from, Bound::Unbounded)).take(limit).map(|(_, one)| summary(one)).collect())
    }

    async fn get_dashboard(&self, id: &DashboardId) -> Result<Dashboard, RepositoryError> {
        self.lock().dashboards.get(id).cloned().ok_or_else(|| RepositoryError::DashboardNotFound(id.clone()))
    }

    async fn ingest(&self, mut ingestion: Box<dyn Ingestion>) -> Result<IngestionReport, RepositoryError> {
        let _turn = self.ingesting.lock().unwrap_or_else(PoisonError::into_inner);
        let idempotency = ingestion.idempotency();
        if let Some(idempotency) = &idempotency
            && let Some(report) = self.lock().remembered_report(idempotency)?
        {
            return Ok(report);
        }
        let (mut state, definitions) = self.validated(ingestion.as_mut())?;
        let mut next = state.clone();
        let mut changes = next.store(definitions, &ingestion.actor())?;
        let mut brought = HashMap::new();
        while let Some(record) = ingestion.next_record() {
            *brought.entry(record.map_err(RepositoryError::Input)?).or_insert(0_usize) += 1;
        }
        next.store_records(brought, &mut changes);
        let conclusion = ingestion.conclude(&changes);
        match &conclusion {
            Conclusion::Commit(report) => {
                next.keep_report(report.clone(), idempotency);
                *state = next;
            }
            Conclusion::CommitReportOnly(report) => state.keep_report(report.clone(), idempotency),
            Conclusion::RollBack(_) => {}
        }
        Ok(conclusion.into_report())
    }

    async fn get_ingestion(&self, id: IngestionId) -> Result<IngestionReport, RepositoryError> {
        self.lock().ingestions.get(&id).cloned().ok_or(RepositoryError::IngestionNotFound(id))
    }

    async fn check(&self) -> Result<Readiness, RepositoryError> {
        let state = self.lock();
        let active = state.metrics.values().filter(|stored| stored.deleted_at.is_none());
        Ok(Readiness { pending_migrations: 0, metric_count: active.count() as u64 })
    }
}
