//! Single metrics: their versions and their changes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeAction, ChangeSource, Contract, Dashboard, DisplayText, Metric, MetricDefinition, MetricId,
    MetricVersion, QueryId, SqlText,
};
use serde::{Deserialize, Serialize};

use super::StoreState;
use crate::{
    DefinitionFilter, Edit, MetricChange, MetricContent, NewMetric, RepositoryError, ServiceState, own_query_ids,
};

/// A metric, without the SQL of its query.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredMetric {
    pub(super) metric: Metric,
    pub(super) display_text: DisplayText,
    pub(super) deleted_at: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "Contract::deserialize_stored")]
    pub(super) contract: Option<Contract>,
    pub(super) edit: Option<Edit>,
    /// The versions, oldest first. There is at least one.
    pub(super) versions: Vec<MetricVersion>,
}

impl StoreState {
    pub(super) fn stored(&self, id: &MetricId) -> Result<&StoredMetric, RepositoryError> {
        self.metrics.get(id).ok_or_else(|| RepositoryError::MetricNotFound(id.clone()))
    }

    pub(crate) fn get_definition(&self, id: &MetricId) -> Result<MetricDefinition, RepositoryError> {
        let StoredMetric { metric, display_text, deleted_at, contract, versions, .. } = self.stored(id)?.clone();
        let query = self.query_versions(&metric.query_id)?.last();
        let query = query.ok_or_else(|| RepositoryError::QueryNotFound(metric.query_id.clone()))?;
        let absent = || RepositoryError::MetricNotFound(id.clone());
        let (first, last) = (versions.first().ok_or_else(absent)?, versions.last().ok_or_else(absent)?);
        let mut definition = MetricDefinition::new(metric, query.sql.clone(), contract);
        (definition.display_text, definition.deleted_at) = (display_text, deleted_at);
        (definition.query_version, definition.version) = (query.version, last.version);
        (definition.created_at, definition.updated_at) = (first.changed_at, last.changed_at);
        Ok(definition)
    }

    pub(super) fn matches(&self, filter: &DefinitionFilter, definition: &MetricDefinition) -> bool {
        let is_in_state = match filter.state {
            ServiceState::Active => definition.deleted_at.is_none(),
            ServiceState::Deleted => definition.deleted_at.is_some(),
            ServiceState::Any => true,
        };
        let is_found = filter.search.as_ref().is_none_or(|words| {
            let has = |text: &str| text.to_lowercase().contains(&words.to_lowercase());
            let description = definition.display_text.description.as_ref();
            has(definition.title()) || description.is_some_and(|description| has(description.as_str()))
        });
        let is_item = filter.dashboard_id.as_ref().is_none_or(|id| {
            let items = self.dashboards.get(id).map(Dashboard::items).unwrap_or_default();
            items.iter().any(|item| item.metric_id == definition.metric.metric_id)
        });
        let is_among = filter.among.as_ref().is_none_or(|among| among.contain(&definition.metric.metric_id));
        let is_reader = filter.reads.as_ref().is_none_or(|(schema, name)| {
            let mut tables = definition.contract.iter().flat_map(Contract::tables);
            tables.any(|table| table.schema == *schema && table.name == *name)
        });
        is_in_state && is_found && is_item && is_among && is_reader
    }

    /// Adds a version with the current state of a metric.
    pub(super) fn add_version(&mut self, id: &MetricId, action: ChangeAction, actor: &Actor) {
        let Some(stored) = self.metrics.get(id) else { return };
        let Some(query) = self.queries.get(&stored.metric.query_id).and_then(|versions| versions.last()) else {
            return;
        };
        let metric = &stored.metric;
        let number = stored.versions.last().map_or(1, |last| last.version + 1);
        let (query_id, sql) = (metric.query_id.clone(), query.sql.clone());
        let mut version = MetricVersion::new(number, action, Utc::now(), actor.clone(), query_id, sql);
        (version.display_text, version.editable) = (stored.display_text.clone(), metric.editable);
        (version.parameters, version.time_column) = (metric.parameters.clone(), metric.time_column.clone());
        (version.period, version.limits) = (metric.period.clone(), metric.limits);
        let Some(stored) = self.metrics.get_mut(id) else { return };
        match stored.versions.last_mut() {
            // All changes that one ingestion makes to a metric are one version.
            Some(last) if last.changed_by == *actor && actor.ingestion_id.is_some() => {
                (version.version, version.action) = (last.version, last.action);
                *last = version;
            }
            _ => stored.versions.push(version),
        }
    }

    pub(super) fn insert_new(&mut self, new: NewMetric) -> Result<MetricDefinition, RepositoryError> {
        let NewMetric { metric_id, content, actor } = new;
        if self.metrics.contains_key(&metric_id) {
            return Err(RepositoryError::MetricExists(metric_id));
        }
        let query_id = self.free_query_id(&metric_id);
        self.put_sql(&query_id, content.sql, None, &actor);
        let mut metric = Metric::new(metric_id.clone(), query_id, true);
        (metric.parameters, metric.time_column) = (content.parameters, content.time_column);
        (metric.period, metric.limits) = (content.period, content.limits);
        let (display_text, contract) = (content.display_text, Some(content.contract));
        let edit = edit_by(&actor);
        let stored = StoredMetric { metric, display_text, deleted_at: None, contract, versions: Vec::new(), edit };
        self.metrics.insert(metric_id.clone(), stored);
        self.add_version(&metric_id, ChangeAction::Created, &actor);
        self.get_definition(&metric_id)
    }

    pub(crate) fn change_metric(
        &mut self,
        id: &MetricId,
        version: u32,
        change: MetricChange,
        actor: &Actor,
    ) -> Result<MetricDefinition, RepositoryError> {
        let before = self.get_definition(id)?;
        if before.version != version {
            return Err(RepositoryError::VersionMismatch { current: before.version });
        }
        if before.deleted_at.is_some() && change != MetricChange::Restore {
            return Err(RepositoryError::MetricDeleted(id.clone()));
        }
        let action = match change {
            MetricChange::Restore if before.deleted_at.is_none() => return Ok(before),
            MetricChange::Restore => {
                self.set_deleted(id, None);
                ChangeAction::Restored
            }
            MetricChange::Delete => {
                self.set_deleted(id, Some(Utc::now()));
                ChangeAction::Deleted
            }
            MetricChange::Content(content) => {
                if !self.put_content(id, &before, *content, actor) {
                    return self.get_definition(id);
                }
                ChangeAction::Changed
            }
        };
        self.add_version(id, action, actor);
        self.get_definition(id)
    }

    fn set_deleted(&mut self, id: &MetricId, deleted_at: Option<DateTime<Utc>>) {
        if let Some(stored) = self.metrics.get_mut(id) {
            stored.deleted_at = deleted_at;
        }
    }

    /// Replaces the content, and returns whether anything changed.
    fn put_content(&mut self, id: &MetricId, before: &MetricDefinition, content: MetricContent, actor: &Actor) -> bool {
        let mut query_id = before.metric.query_id.clone();
        let is_other_sql = before.sql != content.sql;
        if is_other_sql {
            let is_shared =
                self.metrics.values().any(|other| other.metric.query_id == query_id && other.metric.metric_id != *id);
            if is_shared {
                query_id = self.free_query_id(id);
            }
            self.put_sql(&query_id, content.sql, Some(id), actor);
        }
        let Some(stored) = self.metrics.get_mut(id) else { return false };
        let mut metric = stored.metric.clone();
        metric.query_id = query_id;
        (metric.parameters, metric.time_column) = (content.parameters, content.time_column);
        (metric.period, metric.limits) = (content.period, content.limits);
        let is_other = is_other_sql || metric != stored.metric || content.display_text != stored.display_text;
        if metric != stored.metric {
            stored.edit = edit_by(actor);
        }
        (stored.metric, stored.display_text, stored.contract) = (metric, content.display_text, Some(content.contract));
        is_other
    }

    /// The id for a query that only this metric reads.
    fn free_query_id(&self, id: &MetricId) -> QueryId {
        let mut free = own_query_ids(id).filter(|candidate| !self.queries.contains_key(candidate));
        free.next().unwrap_or_else(|| unreachable!("there are more candidates than queries"))
    }

    pub(crate) fn purge_metrics(&mut self, deleted_before: DateTime<Utc>) -> Vec<MetricId> {
        let is_due = |stored: &StoredMetric| stored.deleted_at.is_some_and(|at| at < deleted_before);
        let (purged, kept): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.metrics).into_iter().partition(|(_, stored)| is_due(stored));
        self.metrics = kept;
        for dashboard in self.dashboards.values_mut() {
            dashboard.retain(|metric_id| self.metrics.contains_key(metric_id));
        }
        for stored in purged.values() {
            if !self.metrics.values().any(|other| other.metric.query_id == stored.metric.query_id) {
                self.queries.remove(&stored.metric.query_id);
                self.query_edits.remove(&stored.metric.query_id);
            }
        }
        purged.into_keys().collect()
    }

    /// Stores SQL under the id, and adds a version to every metric that reads it, except `changed`.
    pub(super) fn put_sql(&mut self, query_id: &QueryId, sql: SqlText, changed: Option<&MetricId>, actor: &Actor) {
        self.push_query_version(query_id, sql);
        match edit_by(actor) {
            Some(edit) => self.query_edits.insert(query_id.clone(), edit),
            None => self.query_edits.remove(query_id),
        };
        let reading = self.metrics.values_mut().filter(|stored| stored.metric.query_id == *query_id);
        let mut readers = Vec::new();
        for stored in reading {
            stored.contract = None;
            readers.push(stored.metric.metric_id.clone());
        }
        for id in readers.iter().filter(|id| changed != Some(*id)) {
            self.add_version(id, ChangeAction::Changed, actor);
        }
    }
}

/// The edit that a change by this actor makes. Ingestions make none.
fn edit_by(actor: &Actor) -> Option<Edit> {
    (actor.source != ChangeSource::Ingestion).then(|| Edit { by: actor.clone(), at: Utc::now() })
}
