//! The authenticated caller of a request, and what the caller may do and see.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use metricd_access::{Caller, Scope};
use metricd_domain::{Actor, ChangeSource, MetricId, MetricPatterns, Tenant};
use uuid::Uuid;

use crate::auth::quotas::QuotaPermit;
use crate::middleware::RequestId;
use crate::{ApiState, Problem, ProblemCode};

/// The caller; `None` if the server requires no tokens.
pub(crate) fn of(request: &HttpRequest) -> Option<Arc<Caller>> {
    request.extensions().get::<Arc<Caller>>().cloned()
}

/// The actor that history records for a change by this request.
pub(crate) fn actor(request: &HttpRequest) -> Actor {
    Actor {
        subject: of(request).and_then(|caller| caller.subject().map(str::to_owned)),
        address: address(request).map(|address| address.to_string()),
        request_id: request.extensions().get::<RequestId>().map(ToString::to_string),
        ..Actor::by(ChangeSource::Http)
    }
}

/// The tenant that SQL runs for; `None` if the server has no tenants.
///
/// # Errors
///
/// 403 if the token names no tenant.
pub(crate) fn tenant(request: &HttpRequest, state: &ApiState) -> Result<Option<Tenant>, Problem> {
    if state.tenants.is_none() {
        return Ok(None);
    }
    let caller = of(request);
    match caller.as_ref().and_then(|caller| caller.tenant()) {
        Some(tenant) => Ok(Some(tenant.clone())),
        None => Err(denied(request, Problem::new(ProblemCode::TenantMissing))),
    }
}

/// Waits for a permit to run SQL.
///
/// # Errors
///
/// 429 if the caller's queries hold all permits until the timeout.
pub(crate) async fn acquire_query_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_query_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| denied(request, Problem::new(ProblemCode::TooManyQueries)))
}

/// Waits for a permit to send a stream.
///
/// # Errors
///
/// 429 if the caller's streams hold all permits until the timeout.
pub(crate) async fn acquire_stream_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_stream_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| {
        let detail = "The caller (the token's subject, or the address without a token) has reached its limit of concurrent \
                      streams, and none has ended within a second. Try again.";
        denied(request, Problem::new(ProblemCode::TooManyQueries).with_detail(detail))
    })
}

/// Waits for a permit to validate SQL.
///
/// # Errors
///
/// 429 if other SQL of the caller is still being validated after the timeout.
pub(crate) async fn acquire_validation_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_validation_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| {
        let detail = "Other SQL of the caller (the token's subject, or the address without a token) is still being \
                      validated. Try again.";
        denied(request, Problem::new(ProblemCode::TooManyQueries).with_detail(detail))
    })
}

/// The caller's key in quotas.
pub(crate) fn quota_key(request: &HttpRequest, state: &ApiState) -> Option<u64> {
    state.quotas.key_of(of(request).as_deref(), address(request))
}

fn address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}

/// Whether the caller may change metrics, and so may see PostgreSQL's messages about their SQL.
pub(crate) fn is_author(request: &HttpRequest) -> bool {
    of(request).is_none_or(|caller| caller.may(Scope::Write))
}

/// Whether the caller may ingest files.
pub(crate) fn may_ingest(request: &HttpRequest) -> bool {
    of(request).is_none_or(|caller| caller.may(Scope::Ingest))
}

/// The author of a change as the caller may see it: an ingestion's id only if the caller may read its report.
pub(crate) fn shown_actor(request: &HttpRequest, actor: Actor) -> Actor {
    Actor { ingestion_id: actor.ingestion_id.filter(|_| may_ingest(request)), ..actor }
}

/// The highest planner cost of the caller's SQL.
pub(crate) fn query_cost(request: &HttpRequest, state: &ApiState) -> u64 {
    state.quotas.query_cost(of(request).as_deref(), state.query_cost)
}

/// The metrics that the token is limited to; `None` if it is not limited.
pub(crate) fn visible_metrics(request: &HttpRequest) -> Option<MetricPatterns> {
    of(request)?.metrics().cloned()
}

/// Requires a token that is not limited to some metrics.
///
/// # Errors
///
/// 403 if it is limited.
pub(crate) fn require_unlimited(request: &HttpRequest) -> Result<(), Problem> {
    match visible_metrics(request) {
        None => Ok(()),
        Some(_) => Err(denied(request, Problem::new(ProblemCode::TokenLimited))),
    }
}

/// Requires a token that may see the metric.
///
/// # Errors
///
/// 403 if it is limited to other metrics.
pub(crate) fn require_visible(request: &HttpRequest, id: &MetricId) -> Result<(), Problem> {
    match of(request) {
        Some(caller) if !caller.can_see(id) => Err(denied(request, Problem::new(ProblemCode::TokenLimited))),
        _ => Ok(()),
    }
}

/// The id to look up: of the metric, or an id that no metric has if the token is limited to other metrics. A hidden
/// metric is so looked up, and not found, like one that does not exist.
pub(crate) fn mask_if_hidden(request: &HttpRequest, id: MetricId) -> MetricId {
    match of(request) {
        Some(caller) if !caller.can_see(&id) => {
            let subject = caller.subject().unwrap_or_default();
            let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
            log::info!("`{subject}` {} may not read the metric {id} [{request_id}]", peer_suffix(request.peer_addr()));
            let random = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            MetricId::parse(random).unwrap_or_else(|_| unreachable!("64 hexadecimal digits are an id"))
        }
        _ => id,
    }
}

/// The problem, with the caller in the log.
fn denied(request: &HttpRequest, problem: Problem) -> Problem {
    let caller = of(request);
    let subject = caller.as_ref().and_then(|caller| caller.subject()).unwrap_or_default();
    let from = peer_suffix(request.peer_addr());
    let cause = format!("`{subject}` {from}: {}", problem.shown_detail());
    problem.caused_by(cause)
}

/// The address of the peer, for the log: `from …`.
pub(crate) fn peer_suffix(peer: Option<SocketAddr>) -> String {
    peer.map(|address| format!("from {}", address.ip())).unwrap_or_default()
}
