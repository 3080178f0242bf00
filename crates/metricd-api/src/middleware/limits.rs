//! Limits the size of request heads and of bodies that no route reads.
//!
//! The parser has limits beyond which it closes the connection with an empty response: 96 headers, a target of 64 KiB,
//! a head of 128 KiB. These limits are lower, since heads stay in memory while their requests run.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use crate::extract::decoding::decode;
use crate::{Problem, ProblemCode};

/// The longest request target, in bytes.
const MAX_TARGET_BYTES: usize = 8 << 10;

/// The largest request headers, in bytes; each counts with four bytes of separators.
const MAX_HEADERS_BYTES: usize = 32 << 10;

/// The largest body that no route reads. While more of it is pending, the server does not notice that the client has
/// closed the connection, and the request's statement would continue.
const MAX_UNREAD_BODY_BYTES: u64 = 64 << 10;

/// How much of a long target is shown in the log and in problems.
const MAX_SHOWN_TARGET_BYTES: usize = 200;

/// Refuses a head that is too large or has an invalid path, and a body that is too large and that no route reads.
pub(super) fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let uri = request.uri();
    let target_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if target_bytes > MAX_TARGET_BYTES {
        return Err(Problem::new(ProblemCode::UriTooLong));
    }
    if let Err(error) = decode(uri.path()) {
        return Err(Problem::new(ProblemCode::BadRequest).with_detail(format!("The path cannot be read: {error}.")));
    }
    let sizes = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if sizes.sum::<usize>() > MAX_HEADERS_BYTES {
        return Err(Problem::new(ProblemCode::HeadersTooLarge));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE)
        && has_large_body(request)
    {
        let detail = format!(
            "This method takes no body. A body of at most {MAX_UNREAD_BODY_BYTES} bytes with a `Content-Length` is ignored."
        );
        return Err(Problem::new(ProblemCode::ContentTooLarge).with_detail(detail));
    }
    Ok(())
}

fn has_large_body(request: &ServiceRequest) -> bool {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_of_unknown_length = request.headers().contains_key(TRANSFER_ENCODING);
    is_of_unknown_length || declared.is_some_and(|size_bytes| size_bytes > MAX_UNREAD_BODY_BYTES)
}

/// The path for the log and for problems. The parser guarantees ASCII without spaces and control characters.
pub(super) fn shown_path(request: &ServiceRequest) -> String {
    let path = request.path();
    if path.len() <= MAX_TARGET_BYTES {
        return path.to_owned();
    }
    path.get(..MAX_SHOWN_TARGET_BYTES).unwrap_or_default().to_owned()
}
