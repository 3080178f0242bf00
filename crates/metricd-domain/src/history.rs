//! The history of a metric: who changed it, when and how.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{DisplayText, IngestionId, MetricLimits, Parameters, PeriodDeclaration, QueryId, SqlText, TimeColumn};

/// What a change came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ChangeWay))]
#[serde(rename_all = "snake_case")]
pub enum ChangeSource {
    /// A request over HTTP.
    Http,
    /// An ingestion.
    Ingestion,
    /// A session that wrote to the database directly.
    Database,
}

/// Who made a change, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// What the change came through.
    #[serde(rename = "way")]
    pub source: ChangeSource,
    /// The subject of the token, for a request; the role, for a session of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The IP address of the peer: the client, or the proxy in front of metricd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The id of the request, as the response and the log state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The ingestion that made the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingestion_id: Option<IngestionId>,
}

impl Actor {
    /// Makes an actor whose source alone is known.
    #[must_use]
    pub fn by(source: ChangeSource) -> Self {
        Self { source, subject: None, address: None, request_id: None, ingestion_id: None }
    }

    /// Makes the actor of an ingestion.
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
    /// Stored the metric for the first time.
    Created,
    /// Changed its definition.
    Changed,
    /// Took the metric out of service.
    Deleted,
    /// Put the metric back into service.
    Restored,
}

/// The state of a metric after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricVersion {
    /// The number of the version. Versions count from 1 without gaps.
    pub version: u32,
    /// What the change did.
    pub action: ChangeAction,
    /// When the change was made.
    pub changed_at: DateTime<Utc>,
    /// Who made the change.
    pub changed_by: Actor,
    /// The title and the description. Either may be absent.
    pub display_text: DisplayText,
    /// The query that the metric read.
    pub query_id: QueryId,
    /// The SQL of that query.
    pub sql: SqlText,
    /// Whether the metric could be changed over HTTP.
    pub editable: bool,
    /// The declared parameters.
    pub parameters: Parameters,
    /// The time column.
    pub time_column: Option<TimeColumn>,
    /// What a period applied to, if the definition declared it.
    pub period: Option<PeriodDeclaration>,
    /// The limits.
    pub limits: MetricLimits,
}

impl MetricVersion {
    /// Makes a version without declarations and display text, which may not be changed over HTTP. Set the other fields
    /// as needed.
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
