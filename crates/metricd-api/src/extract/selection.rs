//! The sort, the filters and the offset of a request.

use metricd_domain::RowOffset;
use metricd_execution::{FILTER, MetricStatement, OFFSET, SORT, SelectionRequest};
use utoipa::IntoParams;

use crate::extract::query_string::QueryString;

/// The parameters of a selection, for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the document alone")]
pub(crate) struct SelectionParams {
    /// The columns to sort by, each with `-` before it to sort it in descending order: `-amount,country`. NULL is last in
    /// both orders. Put a name with a comma, a dot or a double quote in double quotes. Without this, the order is that
    /// of the SQL.
    #[param(value_type = Option<Vec<String>>, style = Form, explode = false, min_items = 1, max_items = 20)]
    sort: Option<Vec<String>>,
    /// A condition on a column, as `column.operator.value`: `country.eq.DE`. May occur up to 20 times; every row of the
    /// result meets all of them. Operators: `eq`, `neq`, `gt`, `gte`, `lt`, `lte`, `in.(a,b)`, `isdistinct`, `like` and `ilike` with
    /// `*` for any characters, `cs`, `cd` and `ov` of arrays, ranges and `jsonb`, `is.null`, `is.not_null`, `is.true`,
    /// `is.false`, `is.unknown`; `not.` before one of them negates it.
    #[param(value_type = Option<Vec<String>>, style = Form, explode, max_items = 20)]
    filter: Option<Vec<String>>,
    /// How many rows are skipped, after the filters and in the order of the sort.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 1_000_000)]
    offset: Option<RowOffset>,
}

/// The names of the parameters of a selection.
pub(crate) const SELECTION_PARAMETERS: [&str; 3] = [SORT, FILTER, OFFSET];

/// Takes the parameters of a selection, except those that the metric's SQL has itself.
pub(crate) fn take_selection(query: &mut QueryString<'_>, statement: &MetricStatement) -> SelectionRequest {
    let has_own = |name: &str| statement.parameters().any(|(own, _, _)| own == name);
    let mut request = SelectionRequest::default();
    if !has_own(SORT) {
        request.sort = query.take(SORT, |sort| Ok::<_, &str>(sort.to_owned()));
    }
    if !has_own(FILTER) {
        request.filters = query.take_all(FILTER);
    }
    if !has_own(OFFSET) {
        request.offset = query.take(OFFSET, RowOffset::parse).unwrap_or_default();
    }
    request
}
