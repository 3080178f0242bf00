//! Extracts JSON bodies, and reports what is wrong and where.
//!
//! A body is refused if two parsers could read it differently (a duplicate key, bytes that are not UTF-8), or if it is
//! too large or too deep. The type of the route decides which fields exist.

mod well_formed;

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use metricd_domain::plain_json_error;
use serde::de::DeserializeOwned;

use self::well_formed::check_well_formed;
use crate::{Problem, ProblemCode};

/// The largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 256 << 10;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a type's error message is shown, since it quotes values.
const MAX_SHOWN_ERROR_CHARS: usize = 300;

/// Extracts a JSON body as a handler's argument.
///
/// Clients see the type's error messages: `#[serde(expecting = "…")]` replaces the type's name in them, and
/// `#[serde(deny_unknown_fields)]` reports unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read_json(&request, payload).await.map(Self) })
    }
}

/// Reads the request's body.
///
/// # Errors
///
/// 415 if it is not declared as JSON, 413 if it is larger than [`MAX_BODY_BYTES`], 408 if it does not arrive within 10
/// s, 400 with line and column if it is not well-formed, 422 likewise if it is not a `T`.
pub(crate) async fn read_json<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Problem> {
    check_type(request)?;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|size_bytes: u64| size_bytes > MAX_BODY_BYTES as u64) {
        return Err(too_large());
    }
    let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, read(payload)).await else {
        let detail = format!("The body did not arrive within {} s.", BODY_TIMEOUT.as_secs());
        return Err(Problem::new(ProblemCode::RequestTimeout).with_detail(detail));
    };
    parse(&body?)
}

/// Requires the type JSON in UTF-8, without a content coding.
fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let mime = request.mime_type().ok().flatten();
    let is_json = mime.as_ref().is_some_and(|mime| {
        let is_json = mime.subtype() == "json" || mime.suffix().is_some_and(|suffix| suffix == "json");
        mime.type_() == "application" && is_json
    });
    let unsupported = Problem::new(ProblemCode::UnsupportedMediaType);
    let takes_json = (ACCEPT, HeaderValue::from_static("application/json"));
    if !is_json {
        return Err(unsupported
            .with_detail("The header `Content-Type` must be `application/json`.")
            .with_header(takes_json.0, takes_json.1));
    }
    if mime.as_ref().and_then(|mime| mime.get_param("charset")).is_some_and(|charset| charset != "utf-8") {
        return Err(unsupported.with_detail("JSON must be in UTF-8.").with_header(takes_json.0, takes_json.1));
    }
    check_coding(request)
}

/// Requires a body without a content coding.
pub(crate) fn check_coding(request: &HttpRequest) -> Result<(), Problem> {
    let is_plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(CONTENT_ENCODING).all(is_plain) {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::UnsupportedMediaType)
        .with_detail("Compressed bodies are not supported.")
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

async fn read(mut payload: Payload) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Overflow => too_large(),
            _ => Problem::new(ProblemCode::BadRequest).with_detail("The body is incomplete."),
        })?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn too_large() -> Problem {
    Problem::new(ProblemCode::ContentTooLarge).with_detail(format!("The body is larger than {MAX_BODY_BYTES} bytes."))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let malformed =
        |fault: String| Problem::new(ProblemCode::MalformedJson).with_detail(format!("The body is not JSON: {fault}."));
    let text = check_well_formed(body).map_err(malformed)?;
    serde_json::from_str(text).map_err(|error| {
        let shown: String = plain_json_error(&error.to_string()).chars().take(MAX_SHOWN_ERROR_CHARS).collect();
        Problem::new(ProblemCode::InvalidBody).with_detail(format!("The body is not what this path expects: {shown}."))
    })
}

#[cfg(test)]
mod tests;
