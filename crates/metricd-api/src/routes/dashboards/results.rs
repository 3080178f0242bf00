//! `GET /dashboards/{dashboard_id}/results`

use actix_web::{HttpRequest, HttpResponse, web};

use super::get::dashboard;
use crate::auth::caller;
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::parameters::{DashboardPath, ResultParameters};
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::replicas::AfterHeader;
use crate::results::format::FileSchema;
use crate::routes::results::{Export, GetResultsParams, ResultsSchema, respond_results};
use crate::{ApiState, Problem};

problems!(
    GetDashboardResultsProblems:
    TenantMissing, DashboardNotFound, MetricNotFound, NotAcceptable, MetricDeleted, InvalidParameters, ResultUnrepresentable, TooManyQueries, QueryTooCostly, InternalError, QueryFailed, RowSecurityMissing,
    StatementQuarantined, ConnectionsStuck, TableLocked, PositionNotReached, DatabaseUnavailable, NoConnection, QueryTimeout, QueryNotStopped
);

/// Answers with the results of the dashboard's metrics in the order of its items, as `/results` does.
#[utoipa::path(
    get,
    path = "/dashboards/{dashboard_id}/results",
    tag = "dashboards",
    params(
        DashboardPath,
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
        GetDashboardResultsProblems,
    )
)]
pub(in crate::routes) async fn get_dashboard_results(
    request: HttpRequest,
    path: web::Path<DashboardPath>,
    state: web::Data<ApiState>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&request, &state)?;
    let dashboard = dashboard(&request, &state, &path).await?;
    let ids: Vec<_> = dashboard.items().iter().map(|item| item.metric_id.to_string()).collect();
    let export = Export { file_stem: dashboard.id().as_str(), title: dashboard.name().as_str() };
    let query = QueryString::parse(request.query_string());
    respond_results(&request, &state, tenant.as_ref(), &ids, query, &export).await
}
