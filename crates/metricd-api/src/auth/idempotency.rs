//! Idempotency keys, which make a retried request safe.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use metricd_repository::Idempotency;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::auth::caller;
use crate::{FieldError, Problem, ProblemCode};

/// The header of the key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// `true` if this is the response to an earlier request with the same key; absent otherwise.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key.
const MAX_KEY_CHARS: usize = 255;

/// The key of the request, with a fingerprint of its content.
///
/// # Errors
///
/// 422 if the header is not a valid key.
pub(crate) fn idempotency(request: &HttpRequest, content: &impl Serialize) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = idempotency_key(request)? else { return Ok(None) };
    let content = serde_json::to_vec(content).unwrap_or_default();
    Ok(Some(Idempotency { key, fingerprint: Sha256::digest(&content).to_vec() }))
}

/// The key of the request, in the caller's scope.
///
/// # Errors
///
/// 422 if the header is not a valid key.
pub(crate) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let is_sane =
        |key: &&str| (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(is_sane).filter(|_| keys.next().is_none());
    key.map(|key| Some(scoped_key(request, key))).ok_or_else(|| {
        let message = format!("expected one key of 1 to {MAX_KEY_CHARS} visible ASCII characters, such as a UUID");
        let error = FieldError { field: "Idempotency-Key".to_owned(), message };
        Problem::new(ProblemCode::InvalidParameters).with_errors(vec![error])
    })
}

/// Hashes the key with the caller's subject, so that callers who choose the same key do not see each other's responses.
fn scoped_key(request: &HttpRequest, key: &str) -> String {
    let Some(caller) = caller::of(request) else { return key.to_owned() };
    let subject = caller.subject();
    // No subject differs from an empty one.
    let hash = Sha256::new().chain_update([u8::from(subject.is_some())]).chain_update(subject.unwrap_or_default());
    hex::encode(hash.chain_update([0]).chain_update(key).finalize())
}
