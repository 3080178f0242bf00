//! How large the head of a request may be.
//!
//! The parser has bounds of its own, beyond which it ends the connection with an empty answer: 96 headers, a target of
//! 64 KiB, a head of 128 KiB. These are lower where a head that is kept while its request runs would cost too much.

use actix_web::dev::ServiceRequest;

use crate::{Problem, ProblemCode};

/// The length of a request's target in bytes at most.
const MAX_TARGET_BYTES: usize = 8 << 10;

/// The size of a request's headers in bytes at most, each counted with the four bytes that separate it.
const MAX_HEADERS_BYTES: usize = 32 << 10;

/// How much of a target is shown, in the log and in a problem, where it is too long.
const MAX_SHOWN_BYTES: usize = 200;

/// Refuses a head that is too large.
pub(super) fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let uri = request.uri();
    let target_bytes = uri.path().len() + uri.query().map_or(0, |query| query.len() + 1);
    if target_bytes > MAX_TARGET_BYTES {
        return Err(Problem::new(ProblemCode::UriTooLong));
    }
    let sizes = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if sizes.sum::<usize>() > MAX_HEADERS_BYTES {
        return Err(Problem::new(ProblemCode::HeadersTooLarge));
    }
    Ok(())
}

/// The path as it is shown. It has neither spaces nor control characters, and is ASCII: the parser sees to that.
pub(super) fn shown_path(request: &ServiceRequest) -> String {
    let path = request.path();
    if path.len() <= MAX_TARGET_BYTES {
        return path.to_owned();
    }
    path.get(..MAX_SHOWN_BYTES).unwrap_or_default().to_owned()
}
