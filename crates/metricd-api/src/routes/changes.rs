//! Changes in the history of a metric or a table.

use actix_web::HttpRequest;
use chrono::{DateTime, Utc};
use metricd_domain::{Actor, ChangeAction};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::auth::caller;

/// A change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub(super) struct ChangeResponse {
    /// The definition's version after the change.
    version: u32,
    action: ChangeAction,
    changed_at: DateTime<Utc>,
    changed_by: Actor,
    /// The differences from the previous version.
    changes: Vec<FieldChange>,
}

/// The change of a field.
#[derive(Debug, Serialize, ToSchema)]
struct FieldChange {
    field: String,
    /// The previous value; null if there was none.
    before: Value,
    after: Value,
}

/// A version of a definition.
pub(super) struct ComparedVersion<'a> {
    pub(super) version: u32,
    pub(super) action: ChangeAction,
    pub(super) changed_at: DateTime<Utc>,
    pub(super) changed_by: &'a Actor,
    /// Its compared fields: the same for every version.
    pub(super) fields: Value,
}

impl ChangeResponse {
    /// The change from the previous version. An ingestion's id is shown to callers who may read its report.
    pub(super) fn of(
        request: &HttpRequest,
        version: ComparedVersion<'_>,
        previous: Option<ComparedVersion<'_>>,
    ) -> Self {
        let mut before = previous.map(|previous| object(previous.fields)).unwrap_or_default();
        let changes = object(version.fields).into_iter().filter_map(|(field, after)| {
            let before = before.remove(&field).unwrap_or_default();
            (before != after).then_some(FieldChange { field, before, after })
        });
        Self {
            version: version.version,
            action: version.action,
            changed_at: version.changed_at,
            changed_by: caller::shown_actor(request, version.changed_by.clone()),
            changes: changes.collect(),
        }
    }
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
