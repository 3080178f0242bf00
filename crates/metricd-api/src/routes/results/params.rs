//! The parameters of several results.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::HttpRequest;
use metricd_domain::RowLimit;
use metricd_execution::{InvalidArgument, MetricStatement, Numbers, RequestZone, is_period};
use utoipa::IntoParams;

use crate::extract::numbers::{NumbersParam, take_numbers};
use crate::extract::query_string::QueryString;
use crate::extract::selection::SELECTION_PARAMETERS;
use crate::extract::time_zone::take_time_zone;
use crate::replicas::AfterHeader;
use crate::results::format::Format;
use crate::{ApiState, Problem};

/// The greatest number of metrics in one call.
const MAX_METRICS_PER_CALL: usize = 50;

/// How much of a parameter's name is shown.
const MAX_SHOWN_NAME_CHARS: usize = 100;

/// The metrics of a call.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MetricIds {
    /// The metrics' ids. A file has a repeated one once.
    #[param(min_items = 1, max_items = 50, example = json!(["alerts-by-type"]))]
    pub(super) metric_id: Vec<String>,
}

impl MetricIds {
    /// Takes the ids, and records a fault if there are none or too many.
    pub(super) fn take(query: &mut QueryString<'_>) -> Self {
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
pub(in crate::routes) struct GetResultsParams {
    /// The row limit of each result: 1 to 10 000 in JSON, by default 1 000; 1 to 1 000 000 in a file, which is also the
    /// default.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    pub(super) limit: Option<RowLimit>,
    /// The format; takes precedence over `Accept`. `xlsx` is a workbook with a sheet for each metric; `csv`, `ndjson`, `parquet`
    /// and `arrow` are zip archives with a file for each.
    #[param(value_type = Option<Format>, inline)]
    pub(super) format: Format,
    /// `string`: `numeric` and `bigint` are texts with every digit, for readers that keep numbers as floats.
    #[param(value_type = Option<NumbersParam>, inline)]
    pub(super) numbers: Numbers,
    /// The values of parameters: [`ResultParameters`](crate::extract::parameters::ResultParameters). Each metric gets those
    /// that it has.
    #[param(ignore)]
    pub(super) given: BTreeMap<String, String>,
    /// The time zone of all results.
    #[param(ignore)]
    pub(super) zone: RequestZone,
    #[param(ignore)]
    pub(super) after: AfterHeader,
}

impl GetResultsParams {
    /// Takes the rest of the query string for metrics with these statements.
    ///
    /// # Errors
    ///
    /// 422 with all faults, such as a parameter that none of the metrics has; 406 if `Accept` allows no format; the problem
    /// of reading the time zones that the database knows.
    pub(super) async fn take(
        request: &HttpRequest,
        mut query: QueryString<'_>,
        state: &ApiState,
        statements: impl Iterator<Item = &MetricStatement> + Clone,
    ) -> Result<Self, Problem> {
        let named = query.take("format", Format::parse);
        let format = named.map_or_else(|| Format::negotiate_archive(request), Ok);
        let parse_limit = match format {
            Ok(Format::Json) | Err(_) => RowLimit::parse,
            Ok(_) => RowLimit::parse_stream,
        };
        let limit = query.take("limit", parse_limit);
        let numbers = take_numbers(&mut query, statements.clone());
        let zone = take_time_zone(&mut query, state).await?;
        let after = AfterHeader::take(request, state, &mut query);
        let given = query.take_rest();
        query.finish_with(unknown_parameters(&given, statements))?;
        Ok(Self { limit, format: format?, numbers, given, zone, after })
    }
}

/// The parameters that none of the metrics has; probably misspelt.
fn unknown_parameters<'a>(
    given: &BTreeMap<String, String>,
    statements: impl Iterator<Item = &'a MetricStatement>,
) -> Vec<InvalidArgument> {
    let known: BTreeSet<_> = statements.flat_map(MetricStatement::parameters).map(|(name, _, _)| name).collect();
    let is_unknown = |name: &&String| !is_period(name) && !known.contains(name.as_str());
    let message = |name: &str| {
        if SELECTION_PARAMETERS.contains(&name) {
            "results of several metrics are not sorted, filtered or paged: request the metric itself, \
             `/metrics/{metric_id}`"
        } else {
            "none of the metrics has this parameter"
        }
    };
    let unknown = given.keys().filter(is_unknown).map(|name| InvalidArgument {
        name: name.chars().take(MAX_SHOWN_NAME_CHARS).collect(),
        message: message(name).to_owned(),
    });
    unknown.collect()
}
