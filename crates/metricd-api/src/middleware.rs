//! The middleware around every route: request id, limits of the head, origins, problem documents, timing, compression
//! and the access log.

mod compression;
mod cors;
mod cross_site;
mod headers;
mod limits;
mod timing;

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use uuid::Uuid;

pub(crate) use self::cors::Cors;
pub use self::cors::{AllowedOrigin, InvalidOrigin};
pub(crate) use self::cross_site::CrossSiteGuard;
pub use self::cross_site::{AllowedHost, InvalidHost};
use self::timing::{Milliseconds, StageTimings};
pub(crate) use self::timing::{encoding, note_run};
use crate::auth::caller;
use crate::auth::quotas::RateLimitStatus;
use crate::connections::ResponseMemoryFull;
use crate::extract::negotiation::prefers_html;
use crate::results::snapshot_scope;
use crate::{ApiState, Problem, ProblemCode, connections, replicas};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// A longer request id of a client is replaced.
const MAX_REQUEST_ID_CHARS: usize = 128;

/// The request id, stored in the request's extensions for log entries after the response has begun.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which hosts are served, and which origins' pages may use them.
#[derive(Debug)]
pub(crate) struct CrossOriginPolicy {
    pub(crate) guard: CrossSiteGuard,
    pub(crate) cors: Cors,
}

pub(crate) async fn handle(
    policy: Rc<CrossOriginPolicy>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let in_flight = connections::track(&request);
    let request_id = request_id(&request);
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let (method, path) = (request.method().clone(), limits::shown_path(&request));

    let CrossOriginPolicy { guard, cors } = &*policy;
    let mut response = match guard.check(&request, cors).and_then(|()| limits::check(&request)) {
        Ok(()) => match cors.preflight(&request) {
            Some(answer) => request.into_response(answer),
            None => next.call(request).await?.map_into_boxed_body(),
        },
        Err(problem) => request.error_response(problem),
    };
    if let Some(problem) = problem_of(&response) {
        if let Some(cause) = problem.cause() {
            // A client's mistake is not an error of the server.
            let level = if problem.code().status().is_server_error() { log::Level::Error } else { log::Level::Info };
            log::log!(
                level, method = method.as_str(), path = path.as_str(), request_id = request_id.as_str();
                "{method} {path}: {cause} [{request_id}]"
            );
        }
        response = response.into_response(problem.respond(&path));
        headers::forbid_caching(response.headers_mut());
    }
    headers::add_security_headers(response.headers_mut());
    cors.add_headers(&mut response);
    let mut sending = None;
    if let Some(in_flight) = in_flight {
        let mut reservation = in_flight.reserve(&response, || quota_key(response.request()));
        if let Err(full) = reservation {
            let code = match full {
                ResponseMemoryFull::Server => ProblemCode::ServerBusy,
                ResponseMemoryFull::Caller => ProblemCode::AnswersUnread,
            };
            response = response.into_response(Problem::new(code).respond(&path));
            headers::forbid_caching(response.headers_mut());
            headers::add_security_headers(response.headers_mut());
            cors.add_headers(&mut response);
            reservation = in_flight.reserve(&response, || quota_key(response.request()));
        }
        sending = reservation.ok().map(|reservation| (in_flight, reservation));
    }
    response = compression::compress(response);
    if method == Method::HEAD {
        response = response.map_body(|_, body| BoxBody::new(OmittedBody(body.size())));
    }

    let stages = StageTimings::of(response.request(), began.elapsed());
    let rate_limit = response.request().extensions_mut().remove::<RateLimitStatus>();
    let of_result = replicas::headers(response.request()).chain(snapshot_scope::header(response.request()));
    let headers = response.headers_mut();
    if let Some(rate_limit) = rate_limit {
        rate_limit.write_headers(headers);
    }
    if let Some(value) = stages.header() {
        headers.insert(SERVER_TIMING, value);
    }
    for (name, value) in of_result {
        headers.insert(name, value);
    }
    if let Ok(value) = HeaderValue::try_from(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    let status = response.status().as_u16();
    let StageTimings { queue, database, encode, total } = stages;
    log::info!(
        method = method.as_str(), path = path.as_str(), status, duration_ms = total.value(),
        queue_ms = queue.map(Milliseconds::value), database_ms = database.map(Milliseconds::value),
        encode_ms = encode.map(Milliseconds::value), request_id = request_id.as_str();
        "{method} {path} {status} {total} ms [{request_id}]"
    );
    Ok(match sending {
        Some((in_flight, reservation)) => in_flight.attach(response, reservation),
        None => response,
    })
}

/// The body of a response to `HEAD`: the size of what it replaces, which is dropped. Otherwise the web server would read a
/// stream to its end and discard it, while the connection waits.
struct OmittedBody(BodySize);

impl MessageBody for OmittedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The caller's key in quotas.
fn quota_key(request: &HttpRequest) -> u64 {
    let state = request.app_data::<web::Data<ApiState>>();
    state.and_then(|state| caller::quota_key(request, state)).unwrap_or_default()
}

/// The client's request id if it is valid, otherwise a new one.
fn request_id(request: &ServiceRequest) -> String {
    let sane = |id: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=MAX_REQUEST_ID_CHARS).contains(&id.len()) && id.bytes().all(plain)
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The problem of an error response: our own, or one for an error of actix-web.
fn problem_of(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let error = response.response().error()?;
    if let Some(problem) = error.as_error::<Problem>() {
        return Some(problem.clone());
    }
    let status = response.status();
    Some(if status.is_server_error() {
        Problem::new(ProblemCode::InternalError).caused_by(error)
    } else if status == StatusCode::NOT_FOUND {
        Problem::new(ProblemCode::NotFound)
    } else {
        Problem::new(ProblemCode::BadRequest).with_detail(error.to_string())
    })
}

/// The response for an unknown path: 404, and for a browser at `/` a redirect to the documentation.
pub(crate) async fn not_found(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if request.path() == "/" && is_read && prefers_html(&request) {
        return Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, "/docs"))
            .insert_header((VARY, "accept"))
            .finish());
    }
    let problem = Problem::new(ProblemCode::NotFound);
    Err(if request.path() == "/" { problem.with_header(VARY, HeaderValue::from_static("accept")) } else { problem })
}
