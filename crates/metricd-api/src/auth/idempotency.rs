//! Idempotency keys, which make a retried request safe.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use metricd_repository::Idempotency;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::auth::caller;
use crate::{FieldError, Problem, ProblemCode};

/// The header of the key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// `true` if this is the response to an earlier request with the same key; absent otherwise.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key.
const MAX_KEY_CHARS: usize = 255;

/// The key of a safe retry.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKeyHeader {
    /// Makes a retry safe: a request with the same key within a day gets the first response, and is not executed again.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    idempotency_key: Option<String>,
}

impl IdempotencyKeyHeader {
    /// The key of the request, in the caller's scope.
    ///
    /// # Errors
    ///
    /// 422 if the header is not a valid key.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
        let Some(key) = keys.next() else { return Ok(Self { idempotency_key: None }) };
        let is_sane =
            |key: &&str| (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = key.to_str().ok().filter(is_sane).filter(|_| keys.next().is_none());
        key.map(|key| Self { idempotency_key: Some(scoped_key(request, key)) }).ok_or_else(|| {
            let message = format!("expected one key of 1 to {MAX_KEY_CHARS} visible ASCII characters, such as a UUID");
            let error = FieldError { field: "Idempotency-Key".to_owned(), message };
            Problem::new(ProblemCode::InvalidParameters).with_errors(vec![error])
        })
    }

    /// The key with the fingerprint of the request's content, if there is a key.
    pub(crate) fn with_fingerprint(self, fingerprint: impl FnOnce() -> Vec<u8>) -> Option<Idempotency> {
        self.idempotency_key.map(|key| Idempotency { key, fingerprint: fingerprint() })
    }
}

/// Hashes the key with the caller's subject, so that callers who choose the same key do not see each other's responses.
fn scoped_key(request: &HttpRequest, key: &str) -> String {
    let Some(caller) = caller::of(request) else { return key.to_owned() };
    let subject = caller.subject();
    // No subject differs from an empty one.
    let hash = Sha256::new().chain_update([u8::from(subject.is_some())]).chain_update(subject.unwrap_or_default());
    hex::encode(hash.chain_update([0]).chain_update(key).finalize())
}
