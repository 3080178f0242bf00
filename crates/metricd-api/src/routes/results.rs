//! `GET /results`, and what it shares with a dashboard's results.

mod entry;
mod schema;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use actix_web::http::header::EntityTag;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use metricd_domain::{MetricId, RowLimit, Tenant};
use metricd_execution::{
    InvalidArgument, MetricStatement, RequestZone, SnapshotBatchOutcome, SnapshotRun, SnapshotScope, is_period,
};
use metricd_repository::RepositoryError;

use utoipa::IntoParams;

use self::entry::{EncodedEntry, Entry, Prepared};
pub(in crate::routes) use self::schema::ResultsSchema;
pub(crate) use self::schema::{entry_schema, results_schema};
use crate::auth::caller;
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::extract::parameters::ResultParameters;
use crate::extract::query_string::QueryString;
use crate::extract::selection::SELECTION_PARAMETERS;
use crate::extract::time_zone::take_time_zone;
use crate::middleware::{encoding, note_run};
use crate::problem::problems;
use crate::replicas::AfterHeader;
use crate::results::contracts::MAX_CONTRACT_REFRESHES;
use crate::results::definition_cache::CachedMetric;
use crate::results::{X_TIME_ZONE, X_TRUNCATED};
use crate::{ApiState, Problem, ProblemCode};

/// The greatest number of metrics in one call.
const MAX_METRICS_PER_CALL: usize = 50;

/// The largest results of one call together, in bytes; each metric gets an equal share.
const MAX_RESULTS_BYTES: usize = 64 << 20;

/// How much of a parameter's name is shown.
const MAX_SHOWN_NAME_CHARS: usize = 100;

/// The metrics of a call.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
struct MetricIds {
    /// The metrics' ids.
    #[param(min_items = 1, max_items = 50, example = json!(["alerts-by-type"]))]
    metric_id: Vec<String>,
}

impl MetricIds {
    /// Takes the ids, and records a fault if there are none or too many.
    fn take(query: &mut QueryString<'_>) -> Self {
        let mut metric_id = query.take_all("metric_id");
        if !(1..=MAX_METRICS_PER_CALL).contains(&metric_id.len()) {
            query
                .error("metric_id", format!("expected 1 to {MAX_METRICS_PER_CALL} of them, found {}", metric_id.len()));
            metric_id.truncate(MAX_METRICS_PER_CALL);
        }
        Self { metric_id }
    }
}

/// The parameters of a call.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GetResultsParams {
    /// The row limit of each result, by default 1 000.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    limit: Option<RowLimit>,
    /// The values of parameters: [`ResultParameters`]. Each metric gets those that it has.
    #[param(ignore)]
    given: BTreeMap<String, String>,
    /// The time zone of all results.
    #[param(ignore)]
    zone: RequestZone,
    #[param(ignore)]
    after: AfterHeader,
}

impl GetResultsParams {
    /// Takes the rest of the query string, and records its faults.
    ///
    /// # Errors
    ///
    /// The problem of reading the time zones that the database knows.
    pub(super) async fn take(
        request: &HttpRequest,
        query: &mut QueryString<'_>,
        state: &ApiState,
    ) -> Result<Self, Problem> {
        let limit = query.take("limit", RowLimit::parse);
        let zone = take_time_zone(query, state).await?;
        let after = AfterHeader::take(request, state, query);
        Ok(Self { limit, given: query.take_rest(), zone, after })
    }
}

problems!(GetResultsProblems: TenantMissing, InvalidParameters, TooManyQueries, ConnectionsStuck, PositionNotReached, DatabaseUnavailable, NoConnection);

/// Answers with the results of several metrics on one snapshot of the data, in the requested order.
///
/// Each metric gets those of the parameters that it has. A metric that fails has a problem in its own entry.
#[utoipa::path(
    get,
    path = "/results",
    tag = "results",
    params(
        MetricIds,
        ResultParameters,
        GetResultsParams,
        IfNoneMatchHeader,
        AfterHeader,
    ),
    responses(
        (
            status = OK,
            description = "An entry for each metric: its result or its problem.",
            body = ResultsSchema,
            headers(
                ("X-Truncated" = String, description = "`true` if a result is truncated."),
                ("X-Time-Zone" = String, description = "The time zone in which the SQL ran."),
                ("Metricd-Lag" = String, description = "If the server reads from replicas: how many seconds ago a change was committed, at most, that the results do not show yet."),
                ("Metricd-Snapshot" = String, description = "If other servers have rows of the results. `per-server`: the rows from each server are of one snapshot of that server. `none`: the rows may be of several snapshots."),
                ("ETag" = String, description = "For `If-None-Match`: changes with each entry. Absent if an entry is a server error."),
            )
        ),
        (status = NOT_MODIFIED, description = "The client's copy of the results is still valid."),
        GetResultsProblems,
    )
)]
pub(super) async fn get_results(request: HttpRequest, state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&request, &state)?;
    let mut query = QueryString::parse(request.query_string());
    let MetricIds { metric_id: ids } = MetricIds::take(&mut query);
    respond_results(&request, &state, tenant.as_ref(), &ids, query).await
}

/// Runs each metric once for the tenant, and answers with an entry for each id, also for a repeated one. The rest of
/// the query string holds the parameters of all metrics.
///
/// # Errors
///
/// 422 for faults of the call, such as a parameter that none of the metrics has; 503 if no metric can run. A metric
/// that fails has a problem in its own entry.
pub(super) async fn respond_results(
    request: &HttpRequest,
    state: &ApiState,
    tenant: Option<&Tenant>,
    ids: &[String],
    mut query: QueryString<'_>,
) -> Result<HttpResponse, Problem> {
    let params = &GetResultsParams::take(request, &mut query, state).await?;
    let mut cached = BTreeMap::new();
    for id in ids.iter().map(String::as_str).collect::<BTreeSet<_>>() {
        let found = match MetricId::parse(id) {
            Err(_) => Err(Problem::new(ProblemCode::MetricNotFound)),
            Ok(id) => match state.cached_metric(&caller::mask_if_hidden(request, id)).await {
                Err(error @ (RepositoryError::Unavailable(_) | RepositoryError::NoConnection)) => {
                    return Err(error.into());
                }
                found => found.map_err(Problem::from),
            },
        };
        cached.insert(id, found);
    }
    let statements = cached.values().flatten().filter_map(|cached| cached.statement.as_ref().ok());
    let parameters = statements.flat_map(MetricStatement::parameters).map(|(name, _, _)| name.to_owned());
    query.finish_with(unknown_parameters(&parameters.collect(), params))?;

    // A repeated id gets repeated entries.
    let max_bytes = MAX_RESULTS_BYTES / ids.len().max(1);
    let mut refreshes = 0;
    loop {
        let mut entries = HashMap::new();
        for (id, cached) in &cached {
            entries.insert(*id, prepare(request, state, tenant, cached, params, max_bytes).await);
        }
        let as_of = run(request, state, tenant, &params.after, &mut entries).await?;
        // All metrics run again, since their results share a snapshot.
        if refreshes < MAX_CONTRACT_REFRESHES && refresh(state, &entries, &mut cached).await {
            refreshes += 1;
        } else {
            return Ok(encoding(request, || encode_results(request, (tenant, &params.zone), ids, entries, as_of)));
        }
    }
}

/// Binds the metric to those of the values that it has parameters for.
async fn prepare(
    request: &HttpRequest,
    state: &ApiState,
    tenant: Option<&Tenant>,
    cached: &Result<Arc<CachedMetric>, Problem>,
    params: &GetResultsParams,
    max_bytes: usize,
) -> Entry {
    let query_cost = caller::query_cost(request, state);
    let prepare = async |cached: &Arc<CachedMetric>| {
        state.require_row_security(tenant, cached).await?;
        Prepared::of(Arc::clone(cached), state, query_cost, params, max_bytes)
    };
    let prepared = match cached {
        Ok(cached) => state.with_contract_retry(Arc::clone(cached), prepare).await,
        Err(problem) => Err(problem.clone()),
    };
    prepared.map_or_else(Entry::Problem, Entry::Prepared)
}

/// Runs the bound metrics, and returns the time.
async fn run(
    request: &HttpRequest,
    state: &ApiState,
    tenant: Option<&Tenant>,
    after: &AfterHeader,
    entries: &mut HashMap<&str, Entry>,
) -> Result<DateTime<Utc>, Problem> {
    let permit = caller::acquire_query_permit(request, state).await?;
    let server = state.server_for(request, after, state.results_timeout).await?;
    let as_of = (state.now)();
    let mut prepared: Vec<_> = entries.values_mut().filter_map(Entry::prepared).collect();
    let contracts = prepared.iter().map(|prepared| prepared.cached.definition.contract.as_ref());
    // Each connection needs a permit of the caller, and reads other servers on snapshots of its own.
    let permits = match state.snapshot_scope(request, &server, contracts).await? {
        SnapshotScope::PerServer => permit.into_permits(1),
        SnapshotScope::Database | SnapshotScope::None => permit.into_permits(prepared.len()),
    };
    let runs = prepared.iter_mut().map(|prepared| SnapshotRun {
        statement: &prepared.bound,
        limits: prepared.limits,
        sink: &mut prepared.rows,
    });
    let run = server.runner.run_on_one_snapshot(runs.collect(), tenant, state.results_timeout, permits);
    let SnapshotBatchOutcome { outcomes, timing } = run.await?;
    note_run(request, timing);
    for (prepared, outcome) in prepared.iter_mut().zip(outcomes) {
        prepared.outcome = Some(outcome);
    }
    Ok(as_of)
}

/// Refreshes the contracts that may be stale; returns whether there were any.
async fn refresh<'a>(
    state: &ApiState,
    entries: &HashMap<&'a str, Entry>,
    cached: &mut BTreeMap<&'a str, Result<Arc<CachedMetric>, Problem>>,
) -> bool {
    let mut are_refreshed = false;
    for (id, entry) in entries {
        let Entry::Prepared(prepared) = entry else { continue };
        let Some((of, staleness)) = prepared.stale() else { continue };
        if let Some(refreshed) = state.refreshed(of, staleness).await.transpose() {
            cached.insert(id, refreshed);
            are_refreshed = true;
        }
    }
    are_refreshed
}

/// Writes the response: an entry for each id, in order.
fn encode_results(
    request: &HttpRequest,
    (tenant, zone): (Option<&Tenant>, &RequestZone),
    ids: &[String],
    entries: HashMap<&str, Entry>,
    as_of: DateTime<Utc>,
) -> HttpResponse {
    let encoded: HashMap<_, _> =
        entries.into_iter().map(|(id, entry)| (id, entry.encode(id, request, as_of))).collect();

    let tag = tag(tenant, zone, ids, &encoded);
    let mut response = HttpResponse::Ok();
    if let Some(tag) = &tag {
        if IfNoneMatchHeader::of(request).names(tag) {
            return conditional::with_tag(HttpResponse::NotModified(), tag).finish();
        }
        response = conditional::with_tag(response, tag);
    }
    response.insert_header((X_TIME_ZONE, zone.zone().as_str()));
    let mut body = br#"{"results":["#.to_vec();
    body.reserve(ids.iter().filter_map(|id| encoded.get(id.as_str())).map(|entry| entry.body.len() + 1).sum());
    for (index, entry) in ids.iter().filter_map(|id| encoded.get(id.as_str())).enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&entry.body);
    }
    let as_of = as_of.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    body.extend_from_slice(format!(r#"],"as_of":"{as_of}"}}"#).as_bytes());
    if encoded.values().any(|entry| entry.is_truncated) {
        response.insert_header((X_TRUNCATED, "true"));
    }
    response.content_type("application/json").body(body)
}

/// The weak `ETag` of the entries in this order for this tenant in this time zone; `None` if an entry is a server error.
fn tag(
    tenant: Option<&Tenant>,
    zone: &RequestZone,
    ids: &[String],
    encoded: &HashMap<&str, EncodedEntry>,
) -> Option<EntityTag> {
    let entries = ids.iter().filter_map(|id| Some((id, encoded.get(id.as_str())?)));
    let mut hash = blake3::Hasher::new();
    hash.update(tenant.map_or("", Tenant::as_str).as_bytes()).update(&[0]);
    hash.update(zone.zone().as_str().as_bytes()).update(&[0]);
    for (id, entry) in entries {
        hash.update(id.as_bytes()).update(&[0]).update(entry.hash?.as_bytes());
    }
    Some(conditional::result_tag(&hash))
}

/// The parameters that none of the metrics has; probably misspelt.
fn unknown_parameters(known: &BTreeSet<String>, params: &GetResultsParams) -> Vec<InvalidArgument> {
    let is_unknown = |name: &&String| !is_period(name) && !known.contains(*name);
    let message = |name: &str| match name {
        _ if SELECTION_PARAMETERS.contains(&name) => {
            "results of several metrics are not sorted, filtered or paged: request the metric itself, \
             `/metrics/{metric_id}`"
        }
        _ => "none of the metrics has this parameter",
    };
    let unknown = params.given.keys().filter(is_unknown).map(|name| InvalidArgument {
        name: name.chars().take(MAX_SHOWN_NAME_CHARS).collect(),
        message: message(name).to_owned(),
    });
    unknown.collect()
}
