//! How large the head of a request may be, and a body that nobody reads.
//!
//! The parser has bounds of its own, beyond which it ends the connection with an empty answer: 96 headers, a target of
//! 64 KiB, a head of 128 KiB. These are lower where a head that is kept while its request runs would cost too much.

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use crate::extract::decoding::decode;
use crate::{Problem, ProblemCode};

/// The length of a request's target in bytes at most.
const MAX_TARGET_BYTES: usize = 8 << 10;

/// The size of a request's headers in bytes at most, each counted with the four bytes that separate it.
const MAX_HEADERS_BYTES: usize = 32 << 10;

/// The size of a body in bytes at most, where nobody reads it. While more of it is on its way, the server does not notice that
/// its client has gone, and what runs for it would run on.
const MAX_UNREAD_BYTES: u64 = 64 << 10;

/// How much of a target is shown, in the log and in a problem, where it is too long.
const MAX_SHOWN_BYTES: usize = 200;

/// Refuses a head that is too large, whose path cannot be read, or which announces a body that nobody reads and that is.
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
        let detail = "The method takes no body: expected none, or a small one of known length that is not read.";
        return Err(Problem::new(ProblemCode::ContentTooLarge).with_detail(detail));
    }
    Ok(())
}

fn has_large_body(request: &ServiceRequest) -> bool {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let is_of_unknown_length = request.headers().contains_key(TRANSFER_ENCODING);
    is_of_unknown_length || declared.is_some_and(|size_bytes| size_bytes > MAX_UNREAD_BYTES)
}

/// The path as it is shown. It has neither spaces nor control characters, and is ASCII: the parser sees to that.
pub(super) fn shown_path(request: &ServiceRequest) -> String {
    let path = request.path();
    if path.len() <= MAX_TARGET_BYTES {
        return path.to_owned();
    }
    path.get(..MAX_SHOWN_BYTES).unwrap_or_default().to_owned()
}
