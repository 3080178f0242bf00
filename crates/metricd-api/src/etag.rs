//! Entity tags of definitions, and the preconditions that name them (RFC 9110, section 13).

use actix_web::HttpRequest;
use actix_web::http::header::{ETAG, EntityTag, Header, HeaderName, IF_MATCH, IfMatch, IfNoneMatch};
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
    (ETAG, tag.to_string())
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
        Ok(IfMatch::Items(seen)) if !seen.is_empty() => Err(Problem::new(ProblemCode::VersionMismatch)),
        _ => {
            let detail =
                "The header `If-Match` cannot be read: expected an `ETag` as it was answered, quotes included.";
            Err(Problem::new(ProblemCode::BadRequest).with_detail(detail))
        }
    }
}

/// 48 bits of a hash, in hexadecimal digits.
fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}
