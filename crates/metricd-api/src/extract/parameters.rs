//! Describes parameters that operations share, for the OpenAPI document alone: nothing extracts these types. They are
//! here, since routes name them in their attributes and may not read `openapi`.
//! [`QueryString`](crate::extract::query_string::QueryString), [`conditional`](crate::extract::conditional) and
//! [`idempotency`](crate::auth::idempotency) read the parameters from a request.

use std::collections::BTreeMap;

use utoipa::IntoParams;

/// The metric's id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct MetricIdParameter {
    /// The metric's id.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "alerts-by-type")]
    metric_id: String,
}

/// The dashboard's id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct DashboardIdParameter {
    /// The dashboard's id.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "spare-parts")]
    dashboard_id: String,
}

/// The page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct PageParameters {
    /// The greatest number of entries on the page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// The cursor of the page: `next_cursor` of the previous one.
    cursor: Option<String>,
}

/// The period and the values of a result.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct ResultParameters {
    /// The first day of the period.
    #[param(value_type = Option<String>, format = Date)]
    start_date: Option<String>,
    /// The last day of the period, included.
    #[param(value_type = Option<String>, format = Date)]
    end_date: Option<String>,
    /// The metric's own parameters by name: `?alert_type=critical`.
    // Without an example, Swagger UI sends names that no metric has.
    #[param(style = Form, explode, example = json!({}))]
    parameters: Option<BTreeMap<String, String>>,
}

/// The version that a change expects.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IfMatchParameter {
    /// The `ETag` of the definition to change. If the definition has another one by now, the response is 412 and
    /// nothing changes.
    #[param(rename = "If-Match", nullable = false, pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#)]
    if_match: Option<String>,
}

/// The key of a safe retry.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IdempotencyKeyParameter {
    /// Makes a retry safe: a request with the same key within a day gets the first response, and is not executed again.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// The client's copy.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IfNoneMatchParameter {
    /// An `ETag` of an earlier response. If it is still valid, the response is 304.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}
