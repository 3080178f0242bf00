//! Rows of the catalog, and their conversion to the domain.

use chrono::{DateTime, Utc};
use diesel::prelude::{Insertable, Queryable, Selectable};
use metricd_domain::{
    Actor, Breakpoint, Contract, DashboardId, DisplayText, LayoutEntry, Metric, MetricDefinition, MetricDescription,
    MetricId, MetricTitle, MetricVersion, Query, QueryId, QueryVersion, SqlText, TimeColumn,
};
use metricd_repository::RepositoryError;
use serde_json::Value;

use super::error::corrupt;
use crate::schema::catalog::{dashboard_items, layout_entries, metric_versions, metrics, queries};

/// A row of a query.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = queries)]
pub(super) struct QueryRow {
    pub(super) query_id: String,
    pub(super) sql: String,
}

impl From<Query> for QueryRow {
    fn from(query: Query) -> Self {
        Self { query_id: query.query_id.into(), sql: query.sql.into() }
    }
}

/// A row of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = metrics)]
pub(super) struct MetricRow {
    pub(super) metric_id: String,
    pub(super) query_id: String,
    pub(super) editable: bool,
    pub(super) parameters: Value,
    pub(super) time_column: Option<String>,
    pub(super) limits: Value,
    pub(super) period: Option<Value>,
}

impl TryFrom<Metric> for MetricRow {
    type Error = RepositoryError;

    fn try_from(metric: Metric) -> Result<Self, RepositoryError> {
        Ok(Self {
            metric_id: metric.metric_id.into(),
            query_id: metric.query_id.into(),
            editable: metric.editable,
            parameters: serde_json::to_value(metric.parameters).map_err(corrupt)?,
            time_column: metric.time_column.map(String::from),
            limits: serde_json::to_value(metric.limits).map_err(corrupt)?,
            period: metric.period.map(serde_json::to_value).transpose().map_err(corrupt)?,
        })
    }
}

impl TryFrom<MetricRow> for Metric {
    type Error = RepositoryError;

    fn try_from(row: MetricRow) -> Result<Self, RepositoryError> {
        let metric_id = MetricId::parse(row.metric_id).map_err(corrupt)?;
        let mut metric = Self::new(metric_id, QueryId::parse(row.query_id).map_err(corrupt)?, row.editable);
        metric.parameters = serde_json::from_value(row.parameters).map_err(corrupt)?;
        metric.time_column = row.time_column.map(TimeColumn::try_from).transpose().map_err(corrupt)?;
        metric.limits = serde_json::from_value(row.limits).map_err(corrupt)?;
        metric.period = row.period.map(serde_json::from_value).transpose().map_err(corrupt)?;
        Ok(metric)
    }
}

/// The state of a metric that its files do not declare, and its query.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = metrics)]
pub(super) struct StateRow {
    title: Option<String>,
    description: Option<String>,
    version: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    contract: Option<Value>,
}

/// The current version of a query, joined to a metric.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = queries)]
pub(super) struct CurrentSqlRow {
    sql: String,
    version: i32,
}

/// A metric with its query.
pub(super) fn definition(
    (metric, state, query): (MetricRow, StateRow, CurrentSqlRow),
) -> Result<MetricDefinition, RepositoryError> {
    let sql = SqlText::parse(query.sql).map_err(corrupt)?;
    let mut definition = MetricDefinition::new(metric.try_into()?, sql, contract(state.contract));
    definition.display_text = display_text(state.title, state.description)?;
    definition.query_version = u32::try_from(query.version).map_err(corrupt)?;
    definition.version = u32::try_from(state.version).map_err(corrupt)?;
    (definition.created_at, definition.updated_at) = (state.created_at, state.updated_at);
    definition.deleted_at = state.deleted_at;
    Ok(definition)
}

fn display_text(title: Option<String>, description: Option<String>) -> Result<DisplayText, RepositoryError> {
    Ok(DisplayText {
        title: title.map(MetricTitle::try_from).transpose().map_err(corrupt)?,
        description: description.map(MetricDescription::try_from).transpose().map_err(corrupt)?,
    })
}

/// A row of a version of a metric.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = metric_versions)]
pub(super) struct MetricVersionRow {
    version: i32,
    action: String,
    changed_at: DateTime<Utc>,
    changed_by: Value,
    pub(super) query_id: String,
    pub(super) query_version: i32,
    title: Option<String>,
    description: Option<String>,
    editable: bool,
    parameters: Value,
    time_column: Option<String>,
    limits: Value,
    period: Option<Value>,
}

impl MetricVersionRow {
    /// With the SQL of the query's version.
    pub(super) fn with_sql(self, sql: String) -> Result<MetricVersion, RepositoryError> {
        let mut version = MetricVersion::new(
            u32::try_from(self.version).map_err(corrupt)?,
            serde_json::from_value(Value::String(self.action)).map_err(corrupt)?,
            self.changed_at,
            serde_json::from_value(self.changed_by).map_err(corrupt)?,
            QueryId::parse(self.query_id).map_err(corrupt)?,
            SqlText::parse(sql).map_err(corrupt)?,
        );
        version.display_text = display_text(self.title, self.description)?;
        version.editable = self.editable;
        version.parameters = serde_json::from_value(self.parameters).map_err(corrupt)?;
        version.time_column = self.time_column.map(TimeColumn::try_from).transpose().map_err(corrupt)?;
        version.limits = serde_json::from_value(self.limits).map_err(corrupt)?;
        version.period = self.period.map(serde_json::from_value).transpose().map_err(corrupt)?;
        Ok(version)
    }
}

/// The actor for the triggers of the catalog, under the key `said`, which they remove.
pub(super) fn claimed_actor(actor: &Actor) -> Result<Value, RepositoryError> {
    let mut document = serde_json::to_value(actor).map_err(corrupt)?;
    if let Some(object) = document.as_object_mut() {
        object.insert("said".to_owned(), Value::Bool(true));
    }
    Ok(document)
}

/// The contract in a row. `None` also for one that another release has stored and this one cannot read.
pub(super) fn contract(document: Option<Value>) -> Option<Contract> {
    let read = |document| serde_json::from_value(document);
    document.map(read).transpose().unwrap_or_else(|error| {
        log::debug!("a stored contract cannot be read; its SQL is validated when it is described: {error}");
        None
    })
}

/// A row of an item of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = dashboard_items)]
pub(super) struct DashboardItemRow {
    pub(super) dashboard_id: String,
    pub(super) metric_id: String,
}

/// A row of a layout entry.
#[derive(Debug, Clone, PartialEq, Eq, Insertable, Queryable, Selectable)]
#[diesel(table_name = layout_entries)]
pub(super) struct LayoutEntryRow {
    pub(super) dashboard_id: String,
    pub(super) breakpoint: String,
    pub(super) metric_id: String,
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) is_static: bool,
}

impl LayoutEntryRow {
    pub(super) fn new(dashboard_id: &DashboardId, breakpoint: Breakpoint, entry: &LayoutEntry) -> Self {
        Self {
            dashboard_id: dashboard_id.as_str().to_owned(),
            breakpoint: breakpoint.as_str().to_owned(),
            metric_id: entry.metric_id().as_str().to_owned(),
            x: entry.x(),
            y: entry.y(),
            width: entry.width(),
            height: entry.height(),
            is_static: entry.is_static(),
        }
    }

    pub(super) fn into_entry(self) -> Result<(Breakpoint, LayoutEntry), RepositoryError> {
        let breakpoint = Breakpoint::parse(&self.breakpoint).map_err(corrupt)?;
        let metric_id = MetricId::parse(self.metric_id).map_err(corrupt)?;
        let entry = LayoutEntry::new(metric_id, self.x, self.y, self.width, self.height, self.is_static);
        Ok((breakpoint, entry.map_err(corrupt)?))
    }
}

/// A version of a query, current or replaced.
pub(super) fn query_version(
    (version, sql, created_at): (i32, String, DateTime<Utc>),
) -> Result<QueryVersion, RepositoryError> {
    let (version, sql) = (u32::try_from(version).map_err(corrupt)?, SqlText::parse(sql).map_err(corrupt)?);
    Ok(QueryVersion::new(version, sql, created_at))
}
