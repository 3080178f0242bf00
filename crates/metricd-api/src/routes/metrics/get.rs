//! `GET /metrics/{metric_id}`

use std::sync::Arc;

use actix_web::http::Version;
use actix_web::{HttpRequest, HttpResponse, web};
use metricd_domain::{RowLimit, Tenant};
use metricd_execution::{AppliedPeriod, BoundStatement, MetricStatement, Numbers, Permit, RequestZone, Selection};
use utoipa::IntoParams;

use super::metric_id;
use crate::auth::caller;
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::numbers::{NumbersParam, take_numbers};
use crate::extract::parameters::{MetricPath, ResultParameters};
use crate::extract::query_string::QueryString;
use crate::extract::selection::{SelectionParams, take_selection};
use crate::extract::time_zone::take_time_zone;
use crate::problem::problems;
use crate::replicas::AfterHeader;
use crate::results::buffered::{BufferedRequest, respond_buffered};
use crate::results::contracts::Staleness;
use crate::results::definition_cache::CachedMetric;
use crate::results::document::ResultSchema;
use crate::results::format::{FileSchema, Format};
use crate::results::run::{Delivery, RanStatement, run_limits, run_problem};
use crate::results::stream::{StreamedRequest, respond_streamed};
use crate::{ApiState, Problem, ProblemCode};

problems!(
    GetMetricProblems:
    TenantMissing, MetricNotFound, NotAcceptable, MetricDeleted, InvalidParameters, ResultUnrepresentable, TooManyQueries, QueryTooCostly, InternalError, QueryFailed, RowSecurityMissing,
    StatementQuarantined, ConnectionsStuck, TooManyStreams, TableLocked, PositionNotReached, DatabaseUnavailable, NoConnection, QueryTimeout, QueryNotStopped
);

/// Runs the metric's stored SQL and answers with its result.
///
/// JSON is buffered, and a truncated result is marked. The other formats are streamed: an error in the middle closes the
/// connection without the end of the body.
#[utoipa::path(
    get,
    path = "/metrics/{metric_id}",
    tag = "results",
    params(
        MetricPath,
        ResultParameters,
        GetMetricParams,
        SelectionParams,
        IfNoneMatchHeader,
        AfterHeader,
    ),
    responses(
        (
            status = OK,
            description = "The result.",
            content(
                (ResultSchema = "application/json"),
                (String = "text/csv"),
                (String = "application/x-ndjson"),
                (inline(FileSchema) = "application/vnd.apache.parquet"),
                (inline(FileSchema) = "application/vnd.apache.arrow.stream"),
                (inline(FileSchema) = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            ),
            headers(
                ("X-Truncated" = String, description = "`true` if the result is truncated."),
                ("X-Time-Zone" = String, description = "The time zone in which the SQL ran."),
                ("Content-Disposition" = String, description = "A file name, except for JSON and NDJSON."),
                ("X-Row-Limit" = u32, description = "The row limit of a stream."),
                ("ETag" = String, description = "For JSON, for `If-None-Match`: changes with the definition, the parameters and the rows."),
                ("Metricd-Lag" = String, description = "If the server reads from replicas: how many seconds ago a change was committed, at most, that the result does not show yet."),
                ("Metricd-Snapshot" = String, description = "If other servers have rows of the result. `per-server`: the rows from each server are of one snapshot of that server. `none`: the rows may be of several snapshots."),
                ("Vary" = String, description = "`accept`, since the format is negotiated, and `accept-encoding`."),
            )
        ),
        (status = NOT_MODIFIED, description = "The client's copy of the result is still valid."),
        GetMetricProblems,
    )
)]
pub(in crate::routes) async fn get_metric(
    request: HttpRequest,
    path: web::Path<MetricPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&request, &state)?;
    let metric_id = metric_id(&request, &path)?;
    let cached = state.cached_metric(&metric_id).await?;
    state.with_contract_retry(cached, async |cached| run_metric(&request, &state, tenant.as_ref(), cached).await).await
}

/// Runs the metric by the contract of `cached`, and returns its result.
async fn run_metric(
    request: &HttpRequest,
    state: &web::Data<ApiState>,
    tenant: Option<&Tenant>,
    cached: &Arc<CachedMetric>,
) -> Result<HttpResponse, Problem> {
    state.require_row_security(tenant, cached).await?;
    let definition = &cached.definition;
    let statement = cached.statement.as_ref();
    let statement = statement.map_err(|error| Problem::new(ProblemCode::QueryFailed).caused_by(error))?;
    let GetMetricParams { limit, format, numbers, zone, bound, period, selection, after } =
        GetMetricParams::parse(request, state, cached, statement).await?;

    let query_cost = caller::query_cost(request, state);
    let delivery = if format == Format::Json { Delivery::JSON } else { Delivery::Streamed };
    let limits = run_limits(state, query_cost, definition.metric.limits, delivery, limit);
    let bound = bound.selecting(&selection, limits.rows);
    let (tenant, time_zone) = (tenant.cloned(), zone.zone().clone());
    let Some(writer) = format.writer(state.file_writers.as_ref(), cached) else {
        let permit = caller::acquire_query_permit(request, state).await?.into_permit();
        let server = state.server_for(request, &after, limits.time).await?;
        state.snapshot_scope(request, &server, [definition.contract.as_ref()]).await?;
        let cached = Arc::clone(cached);
        let buffered =
            BufferedRequest { cached, statement: bound, tenant, limits, period, time_zone, numbers, server, permit };
        return respond_buffered(request, state, statement, buffered).await;
    };
    let stream = caller::acquire_stream_permit(request, state).await?;
    let permit = Permit::new((stream, caller::acquire_query_permit(request, state).await?));
    let server = state.server_for(request, &after, limits.time).await?;
    state.snapshot_scope(request, &server, [definition.contract.as_ref()]).await?;
    let is_chunked = request.version() >= Version::HTTP_11;
    let ran = RanStatement::of(statement, &bound, period.as_ref());
    let streamed = StreamedRequest {
        format,
        writer,
        numbers,
        statement: bound,
        time_zone,
        tenant,
        limits,
        limit,
        is_chunked,
        server,
        permit,
    };
    let streamed = respond_streamed(request, &definition.metric.metric_id, streamed).await;
    streamed.map_err(|error| run_problem(error, statement, &ran, request))
}

/// The parameters of a request.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct GetMetricParams {
    /// The row limit: 1 to 10 000 in JSON, by default 1 000; 1 to 1 000 000 in a stream.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    limit: Option<RowLimit>,
    /// The format; takes precedence over `Accept`.
    #[param(value_type = Option<Format>, inline)]
    format: Format,
    /// `string`: `numeric` and `bigint` are texts with every digit, for readers that keep numbers as floats.
    #[param(value_type = Option<NumbersParam>, inline)]
    numbers: Numbers,
    /// The metric's own parameters: [`ResultParameters`].
    #[param(ignore)]
    zone: RequestZone,
    #[param(ignore)]
    bound: BoundStatement,
    #[param(ignore)]
    period: Option<AppliedPeriod>,
    /// The sort, the filters and the offset: [`SelectionParams`].
    #[param(ignore)]
    selection: Arc<Selection>,
    #[param(ignore)]
    after: AfterHeader,
}

impl GetMetricParams {
    /// Parses the parameters: the format, in which the query string takes precedence over `Accept`, the limit, the
    /// selection, and the metric's own parameters.
    async fn parse(
        request: &HttpRequest,
        state: &ApiState,
        cached: &CachedMetric,
        statement: &MetricStatement,
    ) -> Result<Self, Problem> {
        let mut query = QueryString::parse(request.query_string());
        let named = query.take("format", Format::parse);
        let negotiated = named.map_or_else(|| Format::negotiate(request), Ok);
        let parse_limit = match negotiated {
            Ok(Format::Json) | Err(_) => RowLimit::parse,
            Ok(_) => RowLimit::parse_stream,
        };
        let limit = query.take("limit", parse_limit);
        let numbers = take_numbers(&mut query, [statement].into_iter());
        let zone = take_time_zone(&mut query, state).await?;
        let after = AfterHeader::take(request, state, &mut query);
        let selection = take_selection(&mut query, statement);
        let selection = Selection::parse(&selection, cached.definition.contract.as_ref(), &zone);
        let ((bound, period), selection) = match (statement.bind_in(&query.take_rest(), &zone), selection) {
            (Ok(bound), Ok(selection)) => {
                query.finish_with(Vec::new())?;
                (bound, Arc::new(selection))
            }
            (bound, selection) => {
                let invalid = bound.err().into_iter().chain(selection.err()).flatten();
                let refused = query.finish_with(invalid.collect()).err();
                let refused = refused.unwrap_or_else(|| Problem::new(ProblemCode::InvalidParameters));
                return Err(refused.with_contract_staleness(Staleness::Possible));
            }
        };
        Ok(Self { limit, format: negotiated?, numbers, zone, bound, period, selection, after })
    }
}
