//! The versions of a metric: who changed it, when, and to what.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{DisplayText, IngestionId, MetricLimits, Parameters, PeriodDeclaration, QueryId, SqlText, TimeColumn};

/// By what way a change came into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ChangeWay))]
#[serde(rename_all = "snake_case")]
pub enum ChangeSource {
    /// A request over HTTP.
    Http,
    /// An ingestion of files.
    Ingestion,
    /// Somebody who wrote into the database past metricd.
    Database,
}

/// Who changed something, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// By what way.
    #[serde(rename = "way")]
    pub source: ChangeSource,
    /// Who: of a request the subject of its token, past metricd the database's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id, as its answer and the log have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The ingestion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion_id: Option<IngestionId>,
}

impl Actor {
    /// An actor of whom only the source is known.
    #[must_use]
    pub fn by(source: ChangeSource) -> Self {
        Self { source, subject: None, address: None, request_id: None, ingestion_id: None }
    }

    /// An ingestion.
    #[must_use]
    pub fn ingestion(ingestion_id: IngestionId) -> Self {
        Self { ingestion_id: Some(ingestion_id), ..Self::by(ChangeSource::Ingestion) }
    }
}

/// What a change did to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ChangeAction {
    /// Stored it for the first time.
    Created,
    /// Changed its definition.
    Changed,
    /// Took it out of service.
    Deleted,
    /// Brought it back.
    Restored,
}

/// What a metric was after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricVersion {
    /// Counts the changes from 1 without gaps.
    pub version: u32,
    /// What the change did.
    pub action: ChangeAction,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// Who.
    pub changed_by: Actor,
    /// Its title and description, as far as it had them.
    pub display_text: DisplayText,
    /// The query that it read.
    pub query_id: QueryId,
    /// The SQL of that query.
    pub sql: SqlText,
    /// Whether it could be changed over HTTP.
    pub editable: bool,
    /// The declared parameters.
    pub parameters: Parameters,
    /// The time column.
    pub time_column: Option<TimeColumn>,
    /// To what a period was applied, where the definition chose.
    pub period: Option<PeriodDeclaration>,
    /// The limits.
    pub limits: MetricLimits,
}

impl MetricVersion {
    /// A version of a metric that declares nothing, has no display text and may not be changed over HTTP. The other fields are
    /// there to be set.
    #[must_use]
    pub fn new(
        version: u32,
        action: ChangeAction,
        changed_at: DateTime<Utc>,
        changed_by: Actor,
        query_id: QueryId,
        sql: SqlText,
    ) -> Self {
        Self {
            version,
            action,
            changed_at,
            changed_by,
            display_text: DisplayText::default(),
            query_id,
            sql,
            editable: false,
            parameters: Parameters::default(),
            time_column: None,
            period: None,
            limits: MetricLimits::default(),
        }
    }
}
