//! `GET /results`, and what it shares with a dashboard's results.

mod archive;
mod entry;
mod json;
mod output;
mod params;
mod schema;
mod summary;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use metricd_domain::{MetricId, Tenant};
use metricd_execution::{SnapshotBatchOutcome, SnapshotRun, SnapshotScope};
use metricd_repository::RepositoryError;

use self::archive::Archive;
use self::entry::{Entry, Prepared};
use self::json::Json;
pub(in crate::routes) use self::output::Export;
use self::output::{MetricRows, ResultsCall, ResultsFormat};
pub(in crate::routes) use self::params::GetResultsParams;
use self::params::MetricIds;
pub(in crate::routes) use self::schema::ResultsSchema;
pub(crate) use self::schema::{entry_schema, results_schema};
use crate::auth::caller;
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::parameters::ResultParameters;
use crate::extract::query_string::QueryString;
use crate::middleware::{encoding, note_run};
use crate::problem::problems;
use crate::replicas::AfterHeader;
use crate::results::contracts::MAX_CONTRACT_REFRESHES;
use crate::results::definition_cache::CachedMetric;
use crate::results::format::FileSchema;
use crate::results::run::Delivery;
use crate::{ApiState, Problem, ProblemCode};

/// The largest results of one call together, in bytes; each metric gets an equal share.
const MAX_RESULTS_BYTES: usize = 64 << 20;

problems!(
    GetResultsProblems:
    TenantMissing, MetricNotFound, NotAcceptable, MetricDeleted, InvalidParameters, ResultUnrepresentable, TooManyQueries, QueryTooCostly, InternalError, QueryFailed, RowSecurityMissing,
    StatementQuarantined, ConnectionsStuck, TableLocked, PositionNotReached, DatabaseUnavailable, NoConnection, QueryTimeout, QueryNotStopped
);

/// Answers with the results of several metrics on one snapshot of the data, in the requested order.
///
/// Each metric gets those of the parameters that it has. A metric that fails has a problem in its own entry. If no metric
/// has a result, no file is sent: the response is the problem of the first one.
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
            description = "An entry for each metric: its result or its problem. In a zip archive, `results.json` has the entries, and each metric with a result has a file. In a workbook, the sheet `Results` has the entries, and each metric with a result has a sheet.",
            content(
                (ResultsSchema = "application/json"),
                (inline(FileSchema) = "application/zip"),
                (inline(FileSchema) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            ),
            headers(
                ("X-Truncated" = String, description = "`true` if a result is truncated."),
                ("X-Time-Zone" = String, description = "The time zone in which the SQL ran."),
                ("Content-Disposition" = String, description = "The name of a file."),
                ("Metricd-Lag" = String, description = "If the server reads from replicas: how many seconds ago a change was committed, at most, that the results do not show yet."),
                ("Metricd-Snapshot" = String, description = "If other servers have rows of the results. `per-server`: the rows from each server are of one snapshot of that server. `none`: the rows may be of several snapshots."),
                ("ETag" = String, description = "For `If-None-Match`: changes with each entry. Absent if an entry is a server error."),
                ("Vary" = String, description = "`accept`, since the format is negotiated, and `accept-encoding`."),
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
    let export = Export { file_stem: "results", title: "Results" };
    respond_results(&request, &state, tenant.as_ref(), &ids, query, &export).await
}

/// The metrics of a call by id, or why they cannot run.
type CachedMetrics<'a> = BTreeMap<&'a str, Result<Arc<CachedMetric>, Problem>>;

/// Runs each metric once for the tenant, and answers with an entry for each. The rest of the query string holds the
/// format, and the parameters of all metrics.
///
/// # Errors
///
/// 422 for faults of the call, such as a parameter that none of the metrics has; 503 if no metric can run. A metric
/// that fails has a problem in its own entry; a file without any result is the problem of the first metric.
pub(super) async fn respond_results(
    request: &HttpRequest,
    state: &ApiState,
    tenant: Option<&Tenant>,
    ids: &[String],
    query: QueryString<'_>,
    export: &Export<'_>,
) -> Result<HttpResponse, Problem> {
    let cached = find(request, state, ids).await?;
    let statements = cached.values().flatten().filter_map(|cached| cached.statement.as_ref().ok());
    let params = &GetResultsParams::take(request, query, state, statements).await?;
    let call = ResultsCall { request, state, tenant, ids, params, export };
    match params.format.archive() {
        None => call.respond(Json { numbers: params.numbers }, cached).await,
        Some(format) => {
            let files = state.file_writers.as_ref();
            // A file has a repeated metric once.
            let mut seen = HashSet::new();
            let ids: Vec<_> = ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            let call = ResultsCall { ids: &ids, ..call };
            call.respond(Archive { files, format, numbers: params.numbers }, cached).await
        }
    }
}

/// Finds the metrics that the caller may see.
async fn find<'a>(request: &HttpRequest, state: &ApiState, ids: &'a [String]) -> Result<CachedMetrics<'a>, Problem> {
    let mut cached = CachedMetrics::new();
    for id in ids {
        if cached.contains_key(id.as_str()) {
            continue;
        }
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
    Ok(cached)
}

impl ResultsCall<'_> {
    /// Runs the metrics, and responds in the format.
    async fn respond<F: ResultsFormat>(
        &self,
        format: F,
        mut cached: CachedMetrics<'_>,
    ) -> Result<HttpResponse, Problem> {
        let mut refreshes = 0;
        loop {
            let mut entries = HashMap::new();
            for (id, cached) in &cached {
                entries.insert(*id, self.prepare(&format, cached, format.delivery(self.ids.len())).await);
            }
            let as_of = self.run(&mut entries).await?;
            // All metrics run again, since their results share a snapshot.
            if refreshes < MAX_CONTRACT_REFRESHES && refresh(self.state, &entries, &mut cached).await {
                refreshes += 1;
                continue;
            }
            let mut ended = HashMap::new();
            for (id, entry) in entries {
                ended.insert(id, encoding(self.request, || entry.end(id, self.request)));
                if F::YIELDS_AFTER_END {
                    tokio::task::yield_now().await;
                }
            }
            return encoding(self.request, || format.respond(self, ended, as_of));
        }
    }

    /// Binds the metric to those of the values that it has parameters for.
    async fn prepare<F: ResultsFormat>(
        &self,
        format: &F,
        cached: &Result<Arc<CachedMetric>, Problem>,
        delivery: Delivery,
    ) -> Entry<F::Rows> {
        let query_cost = caller::query_cost(self.request, self.state);
        let prepare = async |cached: &Arc<CachedMetric>| {
            self.state.require_row_security(self.tenant, cached).await?;
            let rows = format.rows(cached);
            Prepared::of(Arc::clone(cached), self.state, query_cost, self.params, (delivery, rows))
        };
        let prepared = match cached {
            Ok(cached) => self.state.with_contract_retry(Arc::clone(cached), prepare).await,
            Err(problem) => Err(problem.clone()),
        };
        prepared.map_or_else(Entry::Problem, Entry::Prepared)
    }

    /// Runs the bound metrics, and returns the time.
    async fn run<R: MetricRows>(&self, entries: &mut HashMap<&str, Entry<R>>) -> Result<DateTime<Utc>, Problem> {
        let Self { request, state, params, .. } = self;
        let permit = caller::acquire_query_permit(request, state).await?;
        let server = state.server_for(request, &params.after, state.results_timeout).await?;
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
        let run = server.runner.run_on_one_snapshot(runs.collect(), self.tenant, state.results_timeout, permits);
        let SnapshotBatchOutcome { outcomes, timing } = run.await?;
        note_run(request, timing);
        for (prepared, outcome) in prepared.iter_mut().zip(outcomes) {
            prepared.outcome = Some(outcome);
        }
        Ok(as_of)
    }
}

/// Refreshes the contracts that may be stale; returns whether there were any.
async fn refresh<'a, R: MetricRows>(
    state: &ApiState,
    entries: &HashMap<&'a str, Entry<R>>,
    cached: &mut CachedMetrics<'a>,
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
