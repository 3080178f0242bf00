//! Entity tags of definitions, and the preconditions that name them (RFC 9110, section 13).

use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, HeaderName, HeaderValue, IF_MATCH, IfMatch, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponseBuilder};
use metricd_domain::MetricDefinition;
use sha2::{Digest, Sha256};

use crate::{Problem, ProblemCode};

/// The tag of a definition: its version, and what its answer has beside, which the version does not count.
pub(crate) fn of_definition(definition: &MetricDefinition) -> EntityTag {
    let beside = serde_json::to_vec(&(&definition.contract, definition.created_at)).unwrap_or_default();
    EntityTag::new_strong(format!("{}-{}", definition.version, short_hash(&beside)))
}

/// The tag of something that does not change unless its bytes do.
pub(crate) fn of_content(content: &[u8]) -> EntityTag {
    EntityTag::new_strong(short_hash(content))
}

/// As a header.
pub(crate) fn header(tag: &EntityTag) -> (HeaderName, String) {
    let weak = if tag.weak { "W/" } else { "" };
    (ETAG, [weak, "\"", tag.tag(), "\""].concat())
}

/// Whether the request asks for the definition only where it has changed, and it has not.
pub(crate) fn is_unchanged(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key("if-none-match"),
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// Whether the request names a version that it is about.
pub(crate) fn names_version(request: &HttpRequest) -> bool {
    has_precondition(request) && !matches!(IfMatch::parse(request), Ok(IfMatch::Any))
}

fn has_precondition(request: &HttpRequest) -> bool {
    request.headers().contains_key(IF_MATCH)
}

/// Holds a change to the state that its author has seen, where the request says which.
///
/// # Errors
///
/// 412 where that is another one; 400 where `If-Match` cannot be read.
pub(crate) fn check(request: &HttpRequest, tag: &EntityTag) -> Result<(), Problem> {
    if !has_precondition(request) {
        return Ok(());
    }
    match IfMatch::parse(request) {
        Ok(IfMatch::Any) => Ok(()),
        Ok(IfMatch::Items(seen)) if seen.iter().any(|seen| seen.strong_eq(tag)) => Ok(()),
        // Such as that of a result. Caches that compress may also have weakened a definition's.
        Ok(IfMatch::Items(seen)) if !seen.is_empty() && seen.iter().all(|seen| seen.weak) => {
            let detail = "The header `If-Match` names a weak `ETag` (`W/…`), such as that of a result, which is of no version: send \
                          the `ETag` of the metric's definition.";
            Err(Problem::new(ProblemCode::VersionMismatch).with_detail(detail))
        }
        Ok(IfMatch::Items(seen)) if !seen.is_empty() => Err(Problem::new(ProblemCode::VersionMismatch)),
        _ => {
            let detail =
                "The header `If-Match` cannot be read: expected an `ETag` as it was answered, quotes included.";
            Err(Problem::new(ProblemCode::BadRequest).with_detail(detail))
        }
    }
}

/// The weak tag of results with this hash: the time at which they were asked for is no part of it.
pub(crate) fn of_results(hash: &blake3::Hasher) -> EntityTag {
    EntityTag::new_weak(hex(hash.finalize().as_bytes().get(..16).unwrap_or_default()))
}

/// The response with the tag of its results. Whoever keeps them asks again before using them.
pub(crate) fn tagged(mut response: HttpResponseBuilder, tag: &EntityTag) -> HttpResponseBuilder {
    response.insert_header(header(tag));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("private, no-cache")));
    response
}

/// 48 bits of a hash, in hexadecimal digits.
fn short_hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hex(hash.get(..6).unwrap_or_default())
}

/// The bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(digit(byte >> 4));
        digits.push(digit(byte & 15));
    }
    digits
}
