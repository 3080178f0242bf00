//! `ETag`s and preconditions (RFC 9110, section 13).

use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, IfMatch, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use metricd_domain::MetricDefinition;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

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

/// The client's copy.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IfNoneMatchHeader {
    /// An `ETag` of an earlier response. If it is still valid, the response is 304.
    #[param(rename = "If-None-Match", value_type = Option<String>, nullable = false)]
    if_none_match: Option<IfNoneMatch>,
}

impl IfNoneMatchHeader {
    /// The header of the request. One that cannot be read names no tag.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let has_header = request.headers().contains_key(IF_NONE_MATCH);
        let read = || IfNoneMatch::parse(request).unwrap_or(IfNoneMatch::Items(Vec::new()));
        Self { if_none_match: has_header.then(read) }
    }

    /// Whether it names the tag, so that the response is 304.
    pub(crate) fn names(&self, tag: &EntityTag) -> bool {
        match &self.if_none_match {
            None => false,
            Some(IfNoneMatch::Any) => true,
            Some(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(tag)),
        }
    }
}

/// The version that a change expects.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IfMatchHeader {
    /// The `ETag` of the definition to change. If the definition has another one by now, the response is 412 and
    /// nothing changes.
    #[param(
        rename = "If-Match",
        value_type = Option<String>,
        nullable = false,
        pattern = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#
    )]
    if_match: Option<IfMatch>,
}

impl IfMatchHeader {
    /// The header of the request. One that cannot be read has no tags.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let has_header = request.headers().contains_key(IF_MATCH);
        Self { if_match: has_header.then(|| IfMatch::parse(request).unwrap_or(IfMatch::Items(Vec::new()))) }
    }

    /// Whether it names a version.
    pub(crate) fn names_version(&self) -> bool {
        matches!(self.if_match, Some(IfMatch::Items(_)))
    }

    /// Checks it against the definition's tag.
    ///
    /// # Errors
    ///
    /// 412 if the definition has another tag; 400 if the header is invalid.
    pub(crate) fn check(&self, tag: &EntityTag) -> Result<(), Problem> {
        match &self.if_match {
            None | Some(IfMatch::Any) => Ok(()),
            Some(IfMatch::Items(seen)) if seen.iter().any(|seen| seen.strong_eq(tag)) => Ok(()),
            Some(IfMatch::Items(seen)) if seen.is_empty() => {
                let detail =
                    "The header `If-Match` cannot be read: expected an `ETag` of a response, including its quotes.";
                Err(Problem::new(ProblemCode::BadRequest).with_detail(detail))
            }
            // For example the tag of a result. Caches that compress may also have weakened a definition's tag.
            Some(IfMatch::Items(seen)) if seen.iter().all(|seen| seen.weak) => {
                let detail = "The header `If-Match` names a weak `ETag` (`W/…`), such as that of a result, which identifies no \
                              version: send the `ETag` of the metric's definition.";
                Err(Problem::new(ProblemCode::VersionMismatch).with_detail(detail))
            }
            Some(IfMatch::Items(_)) => Err(Problem::new(ProblemCode::VersionMismatch)),
        }
    }
}

/// Answers with the tag: 304 if the client's copy is still valid, otherwise what `respond` makes of a response with 200.
/// Requires caches to revalidate.
pub(crate) fn respond_with_tag(
    request: &HttpRequest,
    tag: &EntityTag,
    respond: impl FnOnce(HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    respond_conditionally(request, tag, "no-cache", respond)
}

/// The same for a response that depends on the caller.
pub(crate) fn respond_privately_with_tag(
    request: &HttpRequest,
    tag: &EntityTag,
    respond: impl FnOnce(HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    respond_conditionally(request, tag, "private, no-cache", respond)
}

fn respond_conditionally(
    request: &HttpRequest,
    tag: &EntityTag,
    cache_control: &'static str,
    respond: impl FnOnce(HttpResponseBuilder) -> HttpResponse,
) -> HttpResponse {
    let is_unchanged = IfNoneMatchHeader::of(request).names(tag);
    let mut response = if is_unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(header(tag)).insert_header((CACHE_CONTROL, HeaderValue::from_static(cache_control)));
    if is_unchanged { response.finish() } else { respond(response) }
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
