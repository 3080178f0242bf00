//! The parameters that operations have in common. These types are read by the document alone; a request is read by
//! [`QueryString`](crate::extract::query_string::QueryString), which tells all that is wrong with it at once.

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

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct PageParameters {
    /// How many entries the page has at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where the page begins: the `next_cursor` of the page before.
    cursor: Option<String>,
}

/// What a request says of results.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct ResultParameters {
    /// The first day of the period.
    #[param(value_type = Option<String>, format = Date)]
    start_date: Option<String>,
    /// The last day of the period, which is inside.
    #[param(value_type = Option<String>, format = Date)]
    end_date: Option<String>,
    /// The values of the metric's own parameters, each by its name: `?alert_type=critical`.
    // Without an example, Swagger UI sends names that no metric has.
    #[param(style = Form, explode, example = json!({}))]
    parameters: Option<BTreeMap<String, String>>,
}

/// The version that a change is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IfMatchParameter {
    /// The `ETag` of the definition that is changed: where it is another by now, the answer is 412 and nothing is changed.
    #[param(rename = "If-Match", nullable = false, pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#)]
    if_match: Option<String>,
}

/// What makes a request one that can be sent again.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IdempotencyKeyParameter {
    /// Marks the request: where it is sent again within a day, it is answered as before, and nothing is done twice.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

/// What the client has already.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct IfNoneMatchParameter {
    /// An `ETag` that was answered: where it is still the one, the answer is 304.
    #[param(rename = "If-None-Match", nullable = false)]
    if_none_match: Option<String>,
}
