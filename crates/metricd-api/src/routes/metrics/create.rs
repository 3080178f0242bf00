//! `POST /metrics`

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::MetricId;
use metricd_repository::{NewMetric, RepositoryError};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::content::NewMetricRequest;
use super::definition::{DefinitionResponse, respond};
use crate::auth::caller;
use crate::auth::idempotency::{IDEMPOTENT_REPLAYED, IdempotencyKeyHeader};
use crate::extract::body::Json;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{ApiState, Problem};

/// The longest part of an id that is derived from a title, which leaves room for a suffix.
const MAX_SLUG_CHARS: usize = 48;

/// How often an id is derived from a title if it is taken.
const MAX_ID_ATTEMPTS: usize = 5;

problems!(
    CreateMetricProblems:
    BadRequest, MalformedJson, TokenLimited, RequestTimeout, MetricExists, UnsupportedMediaType, InvalidBody, InvalidParameters, TooManyQueries, SqlRefused,
    IdempotencyKeyReused, DatabaseUnavailable, NoConnection
);

/// Creates a metric from its SQL.
///
/// The SQL is validated, and its contract read from PostgreSQL, before anything is stored.
#[utoipa::path(
    post,
    path = "/metrics",
    tag = "definitions",
    params(IdempotencyKeyHeader),
    request_body = NewMetricRequest,
    responses(
        (
            status = CREATED,
            description = "The metric is stored.",
            body = DefinitionResponse,
            headers(
                ("ETag" = String, description = "The definition's version, for `If-Match`."),
                ("Location" = String, description = "The path of its results."),
                ("Metricd-LSN" = String, description = "If the server reads from replicas: the position of the change, for `Metricd-After`."),
                ("Idempotent-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key, and nothing was done now."),
            )
        ),
        CreateMetricProblems,
    )
)]
pub(in crate::routes) async fn create_metric(
    request: HttpRequest,
    state: web::Data<ApiState>,
    Json(body): Json<Map<String, Value>>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;

    let idempotency = IdempotencyKeyHeader::of(&request)?.with_fingerprint(|| fingerprint(&body));
    let new = NewMetricRequest::read(body)?;
    let (id, title) = (new.id.clone(), new.title.clone());

    let mut metric_id = id.clone().unwrap_or_else(|| id_of(title.as_str(), ""));
    caller::require_visible(&request, &metric_id)?;
    let content = new.content().validated(&request, &state).await?;
    let actor = caller::actor(&request);
    let mut attempt = 1;
    let (definition, is_new) = loop {
        let metric = NewMetric::new(metric_id.clone(), content.clone(), actor.clone());
        match state.repository.insert_metric(metric, idempotency.clone()).await {
            // The client chose no id, so another one is as good.
            Err(RepositoryError::MetricExists(_)) if id.is_none() && attempt < MAX_ID_ATTEMPTS => {
                attempt += 1;
                let random = Uuid::new_v4().simple().to_string();
                metric_id = id_of(title.as_str(), random.get(..8).unwrap_or_default());
                caller::require_visible(&request, &metric_id)?;
            }
            stored => break stored?,
        }
    };
    // A token of the same subject with other limits may have created it.
    caller::require_visible(&request, &definition.metric.metric_id)?;
    state.definitions.invalidate();

    state.note_position(&request).await;
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/metrics/{}", definition.metric.metric_id)));
    if !is_new {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    Ok(respond(response, &definition))
}

/// A hash of the body, for a retry with the same idempotency key.
fn fingerprint(body: &Map<String, Value>) -> Vec<u8> {
    Sha256::digest(serde_json::to_vec(body).unwrap_or_default()).to_vec()
}

/// Derives an id from the letters and digits of a title.
fn id_of(title: &str, ending: &str) -> MetricId {
    let mut slug = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX_SLUG_CHARS);
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "metric" } else { slug };
    let id = if ending.is_empty() { slug.to_owned() } else { format!("{slug}-{ending}") };
    MetricId::parse(id).unwrap_or_else(|_| unreachable!("a slug has nothing but letters, digits and hyphens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_derived_from_the_title() {
        for (title, id) in [
            ("Daily alerts, by type!", "daily-alerts-by-type"),
            ("  -- ", "metric"),
            ("日本", "metric"),
            ("Größe 2", "gr-e-2"),
            (&"a b ".repeat(100), &"a-b-".repeat(12)[..47]),
        ] {
            assert_eq!(id_of(title, "").as_str(), id);
        }
        assert_eq!(id_of("A", "1f").as_str(), "a-1f");
    }
}
