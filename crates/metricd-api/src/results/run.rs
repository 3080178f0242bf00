//! Limits of a run, and the problems of its errors.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use metricd_database::{Fault, fault_of};
use metricd_domain::{MetricLimits, RowLimit};
use metricd_execution::{
    AppliedPeriod, BoundStatement, InvalidArgument, MetricStatement, PeriodApplication, RunError, RunLimits, Selection,
};
use serde_json::json;

use crate::auth::caller;
use crate::results::contracts::Staleness;
use crate::{ApiState, FieldError, Problem, ProblemCode};

/// How a result reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It is sent when it is complete.
    Buffered {
        /// The row limit without one of the request.
        rows: RowLimit,
        /// The largest result, in bytes.
        size_bytes: usize,
    },
    /// It is sent while it is read.
    Streamed,
}

impl Delivery {
    /// A JSON document: 1 000 rows, and 16 MiB.
    pub(crate) const JSON: Self = Self::Buffered { rows: RowLimit::DEFAULT, size_bytes: 16 << 20 };
}

/// The limits of a run: the lowest of the server's, the metric's and the request's. The cost limit depends on the
/// caller's scopes.
pub(crate) fn run_limits(
    state: &ApiState,
    query_cost: u64,
    metric: MetricLimits,
    delivery: Delivery,
    rows: Option<RowLimit>,
) -> RunLimits {
    let lowered = |server: u64, metric: Option<NonZeroU64>| metric.map_or(server, |metric| metric.get().min(server));
    let time_ms = lowered(u64::try_from(state.query_timeout.as_millis()).unwrap_or(u64::MAX), metric.time_ms);
    let (default_rows, size_bytes) = match delivery {
        Delivery::Buffered { rows, size_bytes } => {
            let size_bytes = lowered(size_bytes as u64, metric.size_bytes);
            (rows, usize::try_from(size_bytes).unwrap_or(usize::MAX))
        }
        // A stream buffers one chunk.
        Delivery::Streamed => (RowLimit::STREAM_MAX, RunLimits::default().size_bytes),
    };
    let rows = rows.unwrap_or(default_rows);
    let is_stream = delivery == Delivery::Streamed;
    RunLimits {
        rows: metric.rows.map_or(rows, |metric| rows.at_most(metric.get())),
        size_bytes,
        time: Duration::from_millis(time_ms),
        // With a cost limit of its own, an author could probe the planner's statistics of other tenants' rows.
        cost: lowered(query_cost, metric.cost.filter(|_| state.tenants.is_none())),
        write_timeout: if is_stream { state.stream_write_timeout } else { Duration::ZERO },
        min_bytes_per_second: if is_stream { state.stream_min_bytes_per_second } else { 0 },
    }
}

/// The problem of a run's error. PostgreSQL's message is shown only to callers who may change the metric. An error of a
/// value that only PostgreSQL can parse is a problem of the request's parameters.
pub(crate) fn run_problem(
    error: RunError,
    statement: &MetricStatement,
    ran: &RanStatement,
    request: &HttpRequest,
) -> Problem {
    let staleness = ran.staleness(&error);
    let RunError::Failed { sqlstate, message } = &error else {
        return Problem::from(error).with_contract_staleness(staleness);
    };
    if let Some((detail, invalid)) = ran.refused(sqlstate, statement) {
        let named = invalid.into_iter();
        let errors = named.map(|InvalidArgument { name, message }| FieldError { field: name, message }).collect();
        let problem = Problem::new(ProblemCode::InvalidParameters).with_detail(detail).with_errors(errors);
        return problem.caused_by(error);
    }
    let database_error = caller::is_author(request).then(|| {
        let message = public_message(sqlstate, message, statement.text());
        json!({"sqlstate": sqlstate, "message": message})
    });
    let problem = Problem::from(error).with_contract_staleness(staleness);
    // An error of the database itself is not caused by the SQL.
    match database_error.filter(|_| problem.code() == ProblemCode::QueryFailed) {
        Some(database_error) => problem.with_extension("database_error", database_error),
        None => problem,
    }
}

/// The SQLSTATEs of comparisons that PostgreSQL does not have: there is no operator or no order for a type, or the collation
/// does not allow it.
const NOT_COMPARABLE: [&str; 3] = ["42883", "42P22", "0A000"];

/// The properties of an executed statement that decide what its error means.
#[derive(Debug)]
pub(crate) struct RanStatement {
    /// The statement, if it has values that only PostgreSQL can parse.
    refusable: Option<BoundStatement>,
    selection: Option<Arc<Selection>>,
    /// Whether the author's SQL was rewritten to apply a period.
    is_rewritten: bool,
}

impl RanStatement {
    pub(crate) fn of(statement: &MetricStatement, bound: &BoundStatement, period: Option<&AppliedPeriod>) -> Self {
        Self {
            refusable: statement.has_unvalidated().then(|| bound.clone()),
            selection: bound.selection().cloned(),
            is_rewritten: period.is_some_and(|period| period.applied != PeriodApplication::Bound),
        }
    }

    /// The detail and the errors of the request, if PostgreSQL refused one of its values or comparisons.
    fn refused(&self, sqlstate: &str, statement: &MetricStatement) -> Option<(&'static str, Vec<InvalidArgument>)> {
        if fault_of(sqlstate) == Fault::Value {
            let values = self.refusable.as_ref().map(|bound| statement.refused(bound)).unwrap_or_default();
            let filters = self.selection.as_ref().map(|selection| selection.refused_values()).unwrap_or_default();
            let is_possible = statement.has_unvalidated() || !filters.is_empty();
            let detail = "PostgreSQL refused the value of a parameter, or a value derived from it.";
            return is_possible.then(|| (detail, values.into_iter().chain(filters).collect()));
        }
        let selection = self.selection.as_ref().filter(|selection| selection.compares())?;
        let detail = "PostgreSQL cannot sort or filter the result like this.";
        NOT_COMPARABLE.contains(&sqlstate).then(|| (detail, selection.refused_comparisons()))
    }

    /// Whether a stale contract may be the cause of the error.
    pub(crate) fn staleness(&self, error: &RunError) -> Staleness {
        match error {
            RunError::Drifted => Staleness::Certain,
            // The rewritten SQL names the time column, which the author's SQL need not name, and which may have been
            // dropped.
            RunError::Failed { sqlstate, .. } if self.is_rewritten && fault_of(sqlstate) == Fault::Statement => {
                Staleness::Possible
            }
            _ => Staleness::None,
        }
    }
}

/// PostgreSQL's message without values of the data.
///
/// Errors about the SQL itself (classes 0A, 42 and 54) mostly quote its names, which are shown if the SQL has them;
/// some functions raise such errors about a value. Other classes quote data, also after a colon. A message of user code
/// may hold anything.
fn public_message(sqlstate: &str, message: &str, sql: &str) -> Option<String> {
    match sqlstate.get(..2)? {
        "0A" | "42" | "54" => {
            let sql = sql.to_ascii_lowercase();
            Some(without_quoted(message, |quoted| sql.contains(&quoted.to_ascii_lowercase())))
        }
        "P0" | "XX" => None,
        _ => {
            let (before, after) = message.split_once(':').map_or((message, ""), |(before, _)| (before, ": …"));
            Some(without_quoted(before, |_| false) + after)
        }
    }
}

/// Replaces quoted text by an ellipsis, in the quotation marks of any language, unless it may be shown.
fn without_quoted(text: &str, may_be_shown: impl Fn(&str) -> bool) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((before, opening, after)) = split_at_quote(rest) {
        shown.push_str(before);
        shown.push(opening);
        let closing = closing_quote(opening).unwrap_or(opening);
        let (quoted, closed) = after.split_once(closing).map_or((after, None), |(quoted, after)| (quoted, Some(after)));
        shown.push_str(if closed.is_some() && may_be_shown(quoted) { quoted } else { "…" });
        let Some(after) = closed else { return shown };
        shown.push(closing);
        rest = after;
    }
    shown + rest
}

/// Splits the text at its first opening quotation mark.
fn split_at_quote(text: &str) -> Option<(&str, char, &str)> {
    let (at, quote) = text.char_indices().find(|(_, character)| closing_quote(*character).is_some())?;
    Some((&text[..at], quote, &text[at + quote.len_utf8()..]))
}

fn closing_quote(opening: char) -> Option<char> {
    Some(match opening {
        '"' | '\'' => opening,
        '«' => '»',
        '»' => '«',
        '„' => '“',
        '“' => '”',
        '「' => '」',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_data_are_left_out() {
        for (sqlstate, message, shown) in [
            ("22012", "division by zero", Some("division by zero")),
            ("42P01", "relation \"stock\" does not exist", Some("relation \"stock\" does not exist")),
            (
                "22P02",
                "invalid input syntax for type integer: \"s3cret\"",
                Some("invalid input syntax for type integer: …"),
            ),
            ("22003", "value \"s3cret\" is out of range", Some("value \"…\" is out of range")),
            ("22003", "Wert »s3cret« ist außerhalb", Some("Wert »…« ist außerhalb")),
            ("22007", "it's s3cret", Some("it'…")),
            ("21000", "more than one row returned by a subquery", Some("more than one row returned by a subquery")),
            ("42601", "no operand in tsquery: \"s3cret &\"", Some("no operand in tsquery: \"…\"")),
            ("42883", "operator does not exist: text = integer", Some("operator does not exist: text = integer")),
            (
                "42P01",
                "missing FROM-clause entry for table \"Stock\"",
                Some("missing FROM-clause entry for table \"Stock\""),
            ),
            ("42601", "syntax error at »s3cret", Some("syntax error at »…")),
            ("P0001", "s3cret", None),
            ("XX000", "cache lookup failed for s3cret", None),
        ] {
            let sql = "SELECT Stock.n FROM stock";
            assert_eq!(public_message(sqlstate, message, sql).as_deref(), shown, "{sqlstate} {message}");
        }
    }
}
