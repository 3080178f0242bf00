//! One entry of several results.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use chrono::{DateTime, Utc};
use metricd_execution::{
    AppliedPeriod, BoundStatement, MetricStatement, Numbers, RunError, RunLimits, RunOutcome, is_period,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::GetResultsParams;
use crate::middleware::RequestId;
use crate::results::contracts::Staleness;
use crate::results::definition_cache::CachedMetric;
use crate::results::document::{ResultRows, hashable_prefix};
use crate::results::run::{RanStatement, run_limits, run_problem};
use crate::{ApiState, FieldError, Problem, ProblemCode};

/// The characters that are encoded in a path segment. A valid id has none of them, but a requested one may.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A requested metric.
#[derive(Debug)]
pub(super) enum Entry {
    /// It is bound, and may have run.
    Prepared(Box<Prepared>),
    /// It cannot run.
    Problem(Problem),
}

/// A metric bound to its values.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) cached: Arc<CachedMetric>,
    period: Option<AppliedPeriod>,
    pub(super) bound: BoundStatement,
    pub(super) limits: RunLimits,
    pub(super) rows: ResultRows,
    pub(super) outcome: Option<Result<RunOutcome, RunError>>,
}

/// An encoded entry.
#[derive(Debug)]
pub(super) struct EncodedEntry {
    pub(super) body: Vec<u8>,
    pub(super) is_truncated: bool,
    /// A hash without `as_of`; `None` for a server error, which must not be cached.
    pub(super) hash: Option<blake3::Hash>,
}

impl Prepared {
    /// Binds the metric to those of the values that it has parameters for.
    pub(super) fn of(
        cached: Arc<CachedMetric>,
        state: &ApiState,
        query_cost: u64,
        params: &GetResultsParams,
        max_bytes: usize,
    ) -> Result<Box<Self>, Problem> {
        let statement = cached.statement.as_ref();
        let statement = statement.map_err(|error| Problem::new(ProblemCode::QueryFailed).caused_by(error))?;
        let has = |name: &String| is_period(name) || statement.parameters().any(|(known, _, _)| known == name);
        let given: BTreeMap<_, _> = params
            .given
            .iter()
            .filter(|(name, _)| has(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let (bound, period) = statement.bind_in(&given, &params.zone).map_err(|invalid| {
            let error =
                |fault: metricd_execution::InvalidArgument| FieldError { field: fault.name, message: fault.message };
            let refused = Problem::new(ProblemCode::InvalidParameters).with_contract_staleness(Staleness::Possible);
            refused.with_errors(invalid.into_iter().map(error).collect())
        })?;
        let limits = run_limits(state, query_cost, cached.definition.metric.limits, false, params.limit);
        let limits = RunLimits { size_bytes: limits.size_bytes.min(max_bytes), ..limits };
        let rows = ResultRows::of(Arc::clone(&cached), Numbers::default());
        Ok(Box::new(Self { rows, cached, period, bound, limits, outcome: None }))
    }

    /// The metric as it was run, and whether its contract may be the cause of its error.
    pub(super) fn stale(&self) -> Option<(&Arc<CachedMetric>, Staleness)> {
        let (Some(Err(error)), Ok(statement)) = (&self.outcome, &self.cached.statement) else { return None };
        Some((&self.cached, self.ran(statement).staleness(error)))
    }

    fn ran(&self, statement: &MetricStatement) -> RanStatement {
        RanStatement::of(statement, &self.bound, self.period.as_ref())
    }
}

impl Entry {
    pub(super) fn prepared(&mut self) -> Option<&mut Prepared> {
        match self {
            Self::Prepared(prepared) => Some(prepared),
            Self::Problem(_) => None,
        }
    }

    /// Encodes the entry: the result of the metric's own path, or its problem.
    pub(super) fn encode(self, id: &str, request: &HttpRequest, as_of: DateTime<Utc>) -> EncodedEntry {
        let problem = match self {
            Self::Problem(problem) => problem,
            Self::Prepared(mut prepared) => match (prepared.outcome.take(), prepared.cached.statement.as_ref()) {
                (Some(Ok(outcome)), _) => {
                    let Prepared { period, rows, .. } = *prepared;
                    let result = rows.finish(outcome, period, None, as_of);
                    return EncodedEntry {
                        body: entry(id, 200, "result", &result),
                        is_truncated: outcome.truncated,
                        hash: Some(blake3::hash(hashable_prefix(&result))),
                    };
                }
                (Some(Err(error)), Ok(statement)) => run_problem(error, statement, &prepared.ran(statement), request),
                _ => Problem::new(ProblemCode::InternalError).caused_by("the runner has returned no outcome"),
            },
        };
        if let Some(cause) = problem.cause() {
            let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
            let level = if problem.code().status().is_server_error() { log::Level::Error } else { log::Level::Info };
            log::log!(level, "metric {}: {cause} [{request_id}]", id.escape_debug());
        }
        let status = problem.code().status().as_u16();
        let document = problem.document(&format!("/metrics/{}", utf8_percent_encode(id, PATH_SEGMENT)));
        let hash = (!problem.code().status().is_server_error()).then(|| blake3::hash(&document));
        EncodedEntry { body: entry(id, status, "problem", &document), is_truncated: false, hash }
    }
}

fn entry(id: &str, status: u16, key: &str, document: &[u8]) -> Vec<u8> {
    // Infallible: it is a string.
    let id = serde_json::to_string(id).unwrap_or_default();
    let mut body = format!(r#"{{"metric_id":{id},"status":{status},"{key}":"#).into_bytes();
    body.extend_from_slice(document);
    body.push(b'}');
    body
}
