//! Verifies bearer tokens (RFC 6750), before anything else of a request is read.

use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, web};
use metricd_access::{Access, Caller, Scope, Verifier};

use crate::auth::caller::peer_suffix;
use crate::auth::quotas::{RateLimitStatus, RateLimited};
use crate::extract::decoding::decode_form;
use crate::{ApiState, Problem, ProblemCode};

/// The query parameter for tokens of RFC 6750, section 2.3, which is refused.
const TOKEN_PARAMETER: &str = "access_token";

/// The challenge for a request without a token.
const CHALLENGE: &str = r#"Bearer realm="metricd""#;

/// Authenticates the caller, counts the request against the caller's rate limit, and requires the scope. Stores the
/// [`Caller`] and the [`RateLimitStatus`] in the request's extensions.
///
/// # Errors
///
/// 401 without a valid token, 403 if the token lacks the scope; 429 if the caller makes too many requests, or the
/// address too many that are refused.
pub(crate) fn check(request: &ServiceRequest, scope: Scope) -> Result<(), Problem> {
    // Every route has the state.
    let Some(state) = request.app_data::<web::Data<ApiState>>() else {
        return Err(Problem::new(ProblemCode::InternalError).caused_by("the application has no state"));
    };
    let Access::Tokens(verifier) = &state.access else { return Ok(()) };
    let caller = verify_token(request, verifier).map_err(|problem| count_refusal(request, state, problem))?;
    match state.quotas.count_request(&caller) {
        Ok(rate_limit) => rate_limit.into_iter().for_each(|rate_limit| store_status(request, rate_limit)),
        Err(exceeded) => {
            let subject = caller.subject().unwrap_or_default();
            let from = peer_suffix(request.peer_addr());
            return Err(too_many(request, exceeded).caused_by(format!("`{subject}` {from} makes too many requests")));
        }
    }
    require_scope(request, &caller, scope).map_err(|problem| count_refusal(request, state, problem))?;
    request.extensions_mut().insert(caller);
    Ok(())
}

/// Verifies the token of the request.
fn verify_token(request: &ServiceRequest, verifier: &Verifier) -> Result<Arc<Caller>, Problem> {
    let token = token(request).map_err(|problem| with_logged_detail(request, problem))?;
    verifier.verify(token).map_err(|refusal| {
        let challenge = format!(r#"{CHALLENGE}, error="invalid_token", error_description="{refusal}""#);
        let problem = challenged(ProblemCode::TokenInvalid, &challenge).with_detail(sentence(&refusal.to_string()));
        with_logged_detail(request, problem)
    })
}

/// Requires the scope.
fn require_scope(request: &ServiceRequest, caller: &Caller, scope: Scope) -> Result<(), Problem> {
    if caller.may(scope) {
        return Ok(());
    }
    let challenge = format!(r#"{CHALLENGE}, error="insufficient_scope", scope="{scope}""#);
    let detail = format!("The token lacks the scope that the request needs: `{scope}`.");
    let problem = challenged(ProblemCode::ScopeMissing, &challenge).with_detail(detail);
    let subject = caller.subject().unwrap_or_default();
    let from = peer_suffix(request.peer_addr());
    Err(problem.caused_by(format!("`{subject}` {from} lacks the scope `{scope}`")))
}

/// The problem, or 429 if too many requests of the address are refused.
fn count_refusal(request: &ServiceRequest, state: &ApiState, problem: Problem) -> Problem {
    let Some(peer) = request.peer_addr() else { return problem };
    match state.quotas.count_refusal(peer.ip()) {
        Ok(()) => problem,
        Err(exceeded) => {
            let refused = problem.cause().unwrap_or_default();
            let cause = format!("{refused}; too many refused requests");
            too_many(request, exceeded).caused_by(cause)
        }
    }
}

fn too_many(request: &ServiceRequest, RateLimited(rate_limit): RateLimited) -> Problem {
    let seconds = rate_limit.reset_after();
    store_status(request, rate_limit);
    Problem::new(ProblemCode::TooManyRequests).with_header(RETRY_AFTER, seconds.into())
}

/// Keeps the status for the response's headers.
fn store_status(request: &ServiceRequest, rate_limit: RateLimitStatus) {
    request.extensions_mut().insert(rate_limit);
}

/// Whether the query string has a token.
fn has_token_parameter(query: &str) -> bool {
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.filter_map(|name| decode_form(name).ok()).any(|name| name == TOKEN_PARAMETER)
}

/// The token of the header `Authorization`.
fn token(request: &ServiceRequest) -> Result<&str, Problem> {
    if has_token_parameter(request.query_string()) {
        let detail = "A token in a URL ends up in logs and histories: remove it, replace the token by a new one, and send \
                      that as `Authorization: Bearer …`.";
        return Err(challenged(ProblemCode::TokenMissing, CHALLENGE).with_detail(detail));
    }
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let Some(header) = headers.next() else { return Err(challenged(ProblemCode::TokenMissing, CHALLENGE)) };
    if headers.next().is_some() {
        let detail = "The request has more than one header `Authorization`: expected one.";
        return Err(challenged(ProblemCode::TokenInvalid, CHALLENGE).with_detail(detail));
    }
    let credentials = header.to_str().ok().and_then(|header| header.split_once(' '));
    let token = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    token.map(str::trim).filter(|token| !token.is_empty()).ok_or_else(|| {
        let detail = "The header `Authorization` has no token: expected `Bearer`, a space, and the token.";
        challenged(ProblemCode::TokenInvalid, CHALLENGE).with_detail(detail)
    })
}

fn challenged(code: ProblemCode, challenge: &str) -> Problem {
    // Descriptions of tokens are ASCII without quotation marks.
    let value = HeaderValue::try_from(challenge).unwrap_or_else(|_| HeaderValue::from_static(CHALLENGE));
    Problem::new(code).with_header(WWW_AUTHENTICATE, value)
}

/// The problem, with its detail as the cause in the log.
fn with_logged_detail(request: &ServiceRequest, problem: Problem) -> Problem {
    let cause = format!("{} {}", problem.shown_detail(), peer_suffix(request.peer_addr()));
    problem.caused_by(cause)
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
