//! Who makes a request that was let in, and what of it is there for them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest};
use metricd_access::{Caller, Scope};
use metricd_domain::{Actor, ChangeSource, MetricId, MetricPatterns, Tenant};
use uuid::Uuid;

use crate::auth::quotas::QuotaPermit;
use crate::middleware::RequestId;
use crate::{ApiState, Problem, ProblemCode};

/// Whose token the request has; nobody's where none was asked for.
pub(crate) fn of(request: &HttpRequest) -> Option<Arc<Caller>> {
    request.extensions().get::<Arc<Caller>>().cloned()
}

/// Who makes the request.
pub(crate) fn actor(request: &HttpRequest) -> Actor {
    Actor {
        subject: of(request).and_then(|caller| caller.subject().map(str::to_owned)),
        address: address(request).map(|address| address.to_string()),
        request_id: request.extensions().get::<RequestId>().map(ToString::to_string),
        ..Actor::by(ChangeSource::Http)
    }
}

/// On whose behalf SQL is run for the request, where the server serves tenants.
///
/// # Errors
///
/// 403 where the token names no tenant.
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

/// Waits for the caller's turn to run SQL, which lasts for as long as this is held.
///
/// # Errors
///
/// 429 where too much of the caller's runs, and goes on.
pub(crate) async fn acquire_query_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_query_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| denied(request, Problem::new(ProblemCode::TooManyQueries)))
}

/// Waits for the caller's turn to have a stream, as for [`turn`].
///
/// # Errors
///
/// 429 where as many streams of the caller's are under way as may be, and none of them ends.
pub(crate) async fn acquire_stream_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_stream_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| {
        let detail = "As many streams of the token's subject, or of the address without a token, are under way as may be at \
                      once, and none of them has ended within a second. Try again.";
        denied(request, Problem::new(ProblemCode::TooManyQueries).with_detail(detail))
    })
}

/// Waits for the caller's turn to have SQL judged, as for [`turn`].
///
/// # Errors
///
/// 429 where another text of the caller's is judged, and goes on.
pub(crate) async fn acquire_validation_permit(request: &HttpRequest, state: &ApiState) -> Result<QuotaPermit, Problem> {
    let permit = state.quotas.acquire_validation_permit(of(request).as_deref(), address(request)).await;
    permit.ok_or_else(|| {
        let detail = "Other SQL of the token's subject, or of the address without a token, is judged, and has been for as \
                      long as this waits for it. Try again.";
        denied(request, Problem::new(ProblemCode::TooManyQueries).with_detail(detail))
    })
}

/// By what quotas know the caller.
pub(crate) fn quota_key(request: &HttpRequest, state: &ApiState) -> Option<u64> {
    state.quotas.key_of(of(request).as_deref(), address(request))
}

fn address(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip())
}

/// Whether the request may change metrics, so that it is told what PostgreSQL says of their SQL.
pub(crate) fn is_author(request: &HttpRequest) -> bool {
    of(request).is_none_or(|caller| caller.may(Scope::Write))
}

/// Whether the request may ingest files.
pub(crate) fn may_ingest(request: &HttpRequest) -> bool {
    of(request).is_none_or(|caller| caller.may(Scope::Ingest))
}

/// What the planner may estimate that SQL costs for the request.
pub(crate) fn query_cost(request: &HttpRequest, state: &ApiState) -> u64 {
    state.quotas.query_cost(of(request).as_deref(), state.query_cost)
}

/// The metrics that the request's token is limited to; none where it is not limited to any.
pub(crate) fn visible_metrics(request: &HttpRequest) -> Option<MetricPatterns> {
    of(request)?.metrics().cloned()
}

/// Lets the request pass where its token is not limited to some metrics.
///
/// # Errors
///
/// 403 where it is.
pub(crate) fn require_unlimited(request: &HttpRequest) -> Result<(), Problem> {
    match visible_metrics(request) {
        None => Ok(()),
        Some(_) => Err(denied(request, Problem::new(ProblemCode::TokenLimited))),
    }
}

/// Lets the request pass where its token is not limited to other metrics than this.
///
/// # Errors
///
/// 403 where it is.
pub(crate) fn require_visible(request: &HttpRequest, id: &MetricId) -> Result<(), Problem> {
    match of(request) {
        Some(caller) if !caller.can_see(id) => Err(denied(request, Problem::new(ProblemCode::TokenLimited))),
        _ => Ok(()),
    }
}

/// The id to go on with: where the token is limited to other metrics, one that no metric has. So a metric that the caller may not
/// read is looked for, and not found, just as one that is not there.
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

/// The problem, of which the log is told who has it.
fn denied(request: &HttpRequest, problem: Problem) -> Problem {
    let caller = of(request);
    let subject = caller.as_ref().and_then(|caller| caller.subject()).unwrap_or_default();
    let from = peer_suffix(request.peer_addr());
    let cause = format!("`{subject}` {from}: {}", problem.shown_detail());
    problem.caused_by(cause)
}

/// Where a request came from.
pub(crate) fn peer_suffix(peer: Option<SocketAddr>) -> String {
    peer.map(|address| format!("from {}", address.ip())).unwrap_or_default()
}
