//! Parameters that operations share.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::IntoParams;

/// The metric's id in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct MetricPath {
    /// The metric's id.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "alerts-by-type")]
    pub(crate) metric_id: String,
}

/// The dashboard's id in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DashboardPath {
    /// The dashboard's id.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$", example = "spare-parts")]
    pub(crate) dashboard_id: String,
}

/// The table's name in the path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TablePath {
    /// The name, which means the table that SQL finds by it; or the schema and the name, with a point between them.
    #[param(min_length = 1, max_length = 127, example = "sales")]
    pub(crate) table_name: String,
}

/// The period and the values of a result, for the OpenAPI document alone. A metric decides which of these names exist, so
/// its statement binds them all from one map; to fill this type would mean to take the map apart and join it again.
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
    /// The full name of a time zone: the SQL runs in it, and a period's days are its days. The server's zone by default.
    // `UTC` is known to every database.
    #[param(value_type = Option<String>, max_length = 64, example = "UTC")]
    time_zone: Option<String>,
    /// The metric's own parameters by name: `?alert_type=critical`.
    // Without an example, Swagger UI sends names that no metric has.
    #[param(style = Form, explode, example = json!({}))]
    parameters: Option<BTreeMap<String, String>>,
}
