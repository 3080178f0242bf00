//! Who makes a request, as history remembers it, and the mark by which it is known when it is sent again.

use actix_web::HttpRequest;
use metricd_repository::Idempotency;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::auth::caller;
use crate::extract::conditional::hex;
use crate::{FieldError, Problem, ProblemCode};

/// The header that marks a request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The greatest length of a key.
const MAX_KEY_CHARS: usize = 255;

/// The request's mark, where it has one.
///
/// # Errors
///
/// 422 where the header is none that can be remembered.
pub(crate) fn idempotency(request: &HttpRequest, content: &impl Serialize) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = idempotency_key(request)? else { return Ok(None) };
    let content = serde_json::to_vec(content).unwrap_or_default();
    Ok(Some(Idempotency { key, fingerprint: Sha256::digest(&content).to_vec() }))
}

/// The client's key, where it has sent one.
///
/// # Errors
///
/// 422 where the header is none that can be remembered.
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

/// The key as it is kept: two callers may use the same one, and neither is told what the other was answered.
fn scoped_key(request: &HttpRequest, key: &str) -> String {
    let Some(caller) = caller::of(request) else { return key.to_owned() };
    let subject = caller.subject();
    // No subject is not the one without characters.
    let hash = Sha256::new().chain_update([u8::from(subject.is_some())]).chain_update(subject.unwrap_or_default());
    hex(&hash.chain_update([0]).chain_update(key).finalize())
}
