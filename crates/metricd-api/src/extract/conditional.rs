//! `ETag`s and preconditions (RFC 9110, section 13).

use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, HeaderName, HeaderValue, IF_MATCH, IfMatch, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponseBuilder};
use metricd_domain::MetricDefinition;
use sha2::{Digest, Sha256};

use crate::{Problem, ProblemCode};

/// The `ETag` of a definition: its version, and a hash of what the version does not count.
pub(crate) fn definition_tag(definition: &MetricDefinition) -> EntityTag {
    let unversioned = serde_json::to_vec(&(&definition.contract, definition.created_at)).unwrap_or_default();
    EntityTag::new_strong(format!("{}-{}", definition.version, short_hash(&unversioned)))
}

/// The strong `ETag` of constant content.
pub(crate) fn content_tag(content: &[u8]) -> EntityTag {
    EntityTag::new_strong(short_hash(content))
}

/// The header `ETag`.
pub(crate) fn header(tag: &EntityTag) -> (HeaderName, String) {
    let weak = if tag.weak { "W/" } else { "" };
    (ETAG, [weak, "\"", tag.tag(), "\""].concat())
}

/// Whether `If-None-Match` has the tag, so that the response is 304.
pub(crate) fn is_unchanged(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key("if-none-match"),
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    }
}

/// Whether the request has `If-Match` with a version.
pub(crate) fn names_version(request: &HttpRequest) -> bool {
    has_precondition(request) && !matches!(IfMatch::parse(request), Ok(IfMatch::Any))
}

fn has_precondition(request: &HttpRequest) -> bool {
    request.headers().contains_key(IF_MATCH)
}

/// Checks `If-Match` against the definition's tag.
///
/// # Errors
///
/// 412 if the definition has another tag; 400 if `If-Match` is invalid.
pub(crate) fn check_if_match(request: &HttpRequest, tag: &EntityTag) -> Result<(), Problem> {
    if !has_precondition(request) {
        return Ok(());
    }
    match IfMatch::parse(request) {
        Ok(IfMatch::Any) => Ok(()),
        Ok(IfMatch::Items(seen)) if seen.iter().any(|seen| seen.strong_eq(tag)) => Ok(()),
        // For example the tag of a result. Caches that compress may also have weakened a definition's tag.
        Ok(IfMatch::Items(seen)) if !seen.is_empty() && seen.iter().all(|seen| seen.weak) => {
            let detail = "The header `If-Match` names a weak `ETag` (`W/…`), such as that of a result, which identifies no \
                          version: send the `ETag` of the metric's definition.";
            Err(Problem::new(ProblemCode::VersionMismatch).with_detail(detail))
        }
        Ok(IfMatch::Items(seen)) if !seen.is_empty() => Err(Problem::new(ProblemCode::VersionMismatch)),
        _ => {
            let detail =
                "The header `If-Match` cannot be read: expected an `ETag` of a response, including its quotes.";
            Err(Problem::new(ProblemCode::BadRequest).with_detail(detail))
        }
    }
}

/// The weak `ETag` of a result with this hash, which does not include `as_of`.
pub(crate) fn result_tag(hash: &blake3::Hasher) -> EntityTag {
    EntityTag::new_weak(hex::encode(hash.finalize().as_bytes().get(..16).unwrap_or_default()))
}

/// Adds the `ETag` of a result, and requires caches to revalidate.
pub(crate) fn with_tag(mut response: HttpResponseBuilder, tag: &EntityTag) -> HttpResponseBuilder {
    response.insert_header(header(tag));
    response.insert_header((CACHE_CONTROL, HeaderValue::from_static("private, no-cache")));
    response
}

/// 48 bits of a hash in hexadecimal.
fn short_hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hex::encode(hash.get(..6).unwrap_or_default())
}
