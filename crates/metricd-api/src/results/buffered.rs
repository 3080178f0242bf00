//! A JSON result, buffered and sent as one body.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::{EntityTag, VARY};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use chrono::{DateTime, Utc};
use metricd_domain::{Tenant, TimeZone};
use metricd_execution::{
    AppliedPeriod, BoundStatement, ChosenServer, Column, EncodeError, Fields, MetricStatement, Numbers, Permit,
    RowSink, RunLimits, RunTiming,
};

use super::format::Format;
use super::{X_TIME_ZONE, X_TRUNCATED};
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::middleware::note_run;
use crate::results::coalescing::{EncodedResult, InFlightRun, RunResult};
use crate::results::definition_cache::CachedMetric;
use crate::results::document::{ResultRows, hashable_prefix};
use crate::results::run::{RanStatement, run_problem};
use crate::results::validator_cache::{ConditionalRequest, RequestKey};
use crate::{ApiState, Problem, ProblemCode};

/// A bound request for a buffered result.
pub(crate) struct BufferedRequest {
    pub(crate) cached: Arc<CachedMetric>,
    pub(crate) statement: BoundStatement,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) limits: RunLimits,
    pub(crate) period: Option<AppliedPeriod>,
    pub(crate) time_zone: TimeZone,
    pub(crate) numbers: Numbers,
    /// The server that runs the statement.
    pub(crate) server: ChosenServer,
    /// Released when the backend is free again.
    pub(crate) permit: Permit,
}

/// Answers with the buffered result, or with 304 if the client has it already. Identical concurrent requests are
/// coalesced.
///
/// # Errors
///
/// The problem of the run; 500 if the coalesced run panicked.
pub(crate) async fn respond_buffered(
    request: &HttpRequest,
    state: &web::Data<ApiState>,
    metric: &MetricStatement,
    buffered: BufferedRequest,
) -> Result<HttpResponse, Problem> {
    let BufferedRequest { cached, statement, tenant, limits, period, numbers, .. } = &buffered;
    let (cached, time_zone) = (Arc::clone(cached), buffered.time_zone.clone());
    let mut conditional_request = ConditionalRequest::of(
        state,
        request,
        &cached,
        statement,
        tenant.as_ref(),
        (*limits, *numbers),
        period.as_ref(),
    );
    if let Some(tag) = conditional_request.revalidate().await {
        return Ok(not_modified(&tag));
    }
    let ran_statement = RanStatement::of(metric, statement, period.as_ref());
    let (request_key, limits, server) = (conditional_request.request_key(), *limits, buffered.server.number);
    let run = |in_flight| buffered.run(state.clone(), request_key, in_flight);
    let ran = state.run_coalescer.run((request_key, server), limits, run).await;
    let panicked = || Problem::new(ProblemCode::InternalError).caused_by("the coalesced run has panicked");
    let RunResult { timing, result } = ran.ok_or_else(panicked)?;
    note_run(request, timing);

    let EncodedResult { body, tag, is_truncated } =
        result.map_err(|error| run_problem(error, metric, &ran_statement, request))?;
    conditional_request.store(&tag);
    if IfNoneMatchHeader::of(request).names(&tag) {
        return Ok(not_modified(&tag));
    }
    let mut response = respond(HttpResponse::Ok(), &tag);
    response.insert_header((X_TIME_ZONE, time_zone.as_str()));
    if is_truncated {
        response.insert_header((X_TRUNCATED, "true"));
    }
    Ok(response.content_type(Format::Json.content_type()).body(body))
}

impl BufferedRequest {
    async fn run(self, state: web::Data<ApiState>, request_key: RequestKey, in_flight: InFlightRun) -> RunResult {
        let Self { cached, statement, tenant, limits, period, numbers, server, permit, .. } = self;
        let rows = ResultRows::of(cached, numbers);
        let mut sink = CoalescedSink { rows, in_flight, now: state.now, sent_at: None };
        let ran = server.runner.run(&statement, tenant.as_ref(), limits, permit, &mut sink).await;
        let CoalescedSink { rows, in_flight: _in_flight, sent_at, .. } = sink;
        let mut timing = rows.timing();
        let began = Instant::now();
        let result = ran.map(|outcome| {
            let as_of = sent_at.unwrap_or_else(state.now);
            let selection = statement.selection().and_then(|selection| selection.applied()).cloned();
            let body = rows.finish(outcome, period, selection, as_of);
            let tag = request_key.tag(hashable_prefix(&body));
            EncodedResult { body: body.into(), tag, is_truncated: outcome.truncated }
        });
        timing.encode += began.elapsed();
        RunResult { timing, result }
    }
}

/// Collects the rows of a run and closes it to other requests when its statement is sent.
struct CoalescedSink {
    rows: ResultRows,
    in_flight: InFlightRun,
    now: fn() -> DateTime<Utc>,
    /// When the statement was sent.
    sent_at: Option<DateTime<Utc>>,
}

impl RowSink for CoalescedSink {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.rows.columns(columns)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.rows.row(fields, max_bytes)
    }

    fn sent(&mut self) {
        self.in_flight.sent();
        self.sent_at = Some((self.now)());
    }

    fn timed(&mut self, timing: RunTiming) {
        self.rows.timed(timing);
    }
}

fn not_modified(tag: &EntityTag) -> HttpResponse {
    respond(HttpResponse::NotModified(), tag).finish()
}

/// The headers that 200 and 304 share.
fn respond(response: HttpResponseBuilder, tag: &EntityTag) -> HttpResponseBuilder {
    let mut response = conditional::with_tag(response, tag);
    response.insert_header((VARY, "accept"));
    response
}
