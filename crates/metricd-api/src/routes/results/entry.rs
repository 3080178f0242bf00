//! One metric of several.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use metricd_execution::{
    AppliedPeriod, BoundStatement, InvalidArgument, MetricStatement, RunError, RunLimits, RunOutcome, is_period,
};

use super::output::MetricRows;
use super::params::GetResultsParams;
use crate::middleware::RequestId;
use crate::results::contracts::Staleness;
use crate::results::definition_cache::CachedMetric;
use crate::results::run::{Delivery, RanStatement, run_limits, run_problem};
use crate::{ApiState, FieldError, Problem, ProblemCode};

/// A requested metric.
pub(super) enum Entry<R> {
    /// It is bound, and may have run.
    Prepared(Box<Prepared<R>>),
    /// It cannot run.
    Problem(Problem),
}

/// A metric bound to its values.
pub(super) struct Prepared<R> {
    pub(super) cached: Arc<CachedMetric>,
    period: Option<AppliedPeriod>,
    pub(super) bound: BoundStatement,
    pub(super) limits: RunLimits,
    pub(super) rows: R,
    pub(super) outcome: Option<Result<RunOutcome, RunError>>,
}

/// What became of a metric.
pub(super) enum Ended<R> {
    /// It has run.
    Run(Box<EndedRun<R>>),
    /// It has failed.
    Problem(Problem),
}

/// A metric that has run.
pub(super) struct EndedRun<R> {
    pub(super) cached: Arc<CachedMetric>,
    pub(super) period: Option<AppliedPeriod>,
    pub(super) rows: R,
    pub(super) outcome: RunOutcome,
}

impl<R: MetricRows> Prepared<R> {
    /// Binds the metric to those of the values that it has parameters for.
    pub(super) fn of(
        cached: Arc<CachedMetric>,
        state: &ApiState,
        query_cost: u64,
        params: &GetResultsParams,
        (delivery, rows): (Delivery, R),
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
            let error = |fault: InvalidArgument| FieldError { field: fault.name, message: fault.message };
            let refused = Problem::new(ProblemCode::InvalidParameters).with_contract_staleness(Staleness::Possible);
            refused.with_errors(invalid.into_iter().map(error).collect())
        })?;
        let limits = run_limits(state, query_cost, cached.definition.metric.limits, delivery, params.limit);
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

    /// Ends the result; a result that its format cannot hold has failed.
    fn end(mut self, request: &HttpRequest) -> Ended<R> {
        let cached = Arc::clone(&self.cached);
        let (Some(outcome), Ok(statement)) = (self.outcome.take(), &cached.statement) else {
            let problem = Problem::new(ProblemCode::InternalError);
            return Ended::Problem(problem.caused_by("the runner has returned no outcome"));
        };
        let ended = outcome.and_then(|outcome| {
            self.rows.finish()?;
            Ok(outcome)
        });
        match ended {
            Ok(outcome) => {
                let Self { period, rows, .. } = self;
                Ended::Run(Box::new(EndedRun { cached: Arc::clone(&cached), period, rows, outcome }))
            }
            Err(error) => Ended::Problem(run_problem(error, statement, &self.ran(statement), request)),
        }
    }
}

impl<R: MetricRows> Entry<R> {
    pub(super) fn prepared(&mut self) -> Option<&mut Prepared<R>> {
        match self {
            Self::Prepared(prepared) => Some(prepared),
            Self::Problem(_) => None,
        }
    }

    /// Ends the entry, and logs the cause of its problem.
    pub(super) fn end(self, id: &str, request: &HttpRequest) -> Ended<R> {
        let ended = match self {
            Self::Problem(problem) => Ended::Problem(problem),
            Self::Prepared(prepared) => prepared.end(request),
        };
        if let Ended::Problem(problem) = &ended
            && let Some(cause) = problem.cause()
        {
            let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
            let level = if problem.code().status().is_server_error() { log::Level::Error } else { log::Level::Info };
            log::log!(level, "metric {}: {cause} [{request_id}]", id.escape_debug());
        }
        ended
    }
}
