//! The keys that verify tokens.

mod jwks;
mod pem;
mod small_order;

use std::fmt;

use jsonwebtoken::DecodingKey;

use crate::{Algorithm, Secret};

/// The maximum number of keys. A token that names no key may have to be tried with each.
const MAX_KEYS: usize = 32;

/// The keys of the accepted issuers, each with the algorithms that it may be used with. An RSA public key is never used
/// as an HMAC secret, whatever algorithm the token names.
#[derive(Clone, Default)]
pub struct Keys(Vec<VerificationKey>);

/// One key.
#[derive(Clone)]
pub(crate) struct VerificationKey {
    /// The key's id. A key without an id may verify a token that names any id.
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(crate) key: DecodingKey,
}

/// Why a text was refused as keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// The text is neither a JWKS nor PEM.
    #[error("expected a JWKS (a JSON object with `keys`), or public keys as PEM (`-----BEGIN PUBLIC KEY-----`)")]
    Unknown,
    /// The text contains a private key, which a verifier must not have.
    #[error("found a private key: expected the public one alone, as `openssl pkey -in key.pem -pubout` prints it")]
    Private,
    /// The text contains a certificate. Certificates are not validated here, so they are refused.
    #[error("found a certificate: expected its public key, as `openssl x509 -in cert.pem -pubkey -noout` prints it")]
    Certificate,
    /// A key is malformed or of an unsupported kind.
    #[error(
        "key {number} is malformed or not supported: expected RSA of 2048 to 8192 bits, an elliptic curve key on P-256, or Ed25519"
    )]
    Unusable {
        /// The position of the key in the text, from 1.
        number: usize,
    },
    /// The text contains no key that can verify tokens.
    #[error("found no key that verifies the signatures of tokens: expected RSA of 2048 to 8192 bits, P-256 or Ed25519")]
    None,
    /// The text contains more keys than are accepted.
    #[error("found {count} keys: expected at most {MAX_KEYS}")]
    TooMany {
        /// The number of keys found.
        count: usize,
    },
}

impl Keys {
    /// Parses public keys, as a JWKS (RFC 7517) or as PEM.
    ///
    /// Keys of a JWKS with another use or of an unsupported kind are skipped, as RFC 7517 requires. Secrets are skipped
    /// too: they do not belong in a JWKS.
    ///
    /// # Errors
    ///
    /// [`InvalidKeys`].
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let keys = if text.trim_start().starts_with('{') { jwks::parse(text)? } else { pem::parse(text)? };
        match keys.len() {
            0 => Err(InvalidKeys::None),
            count if count > MAX_KEYS => Err(InvalidKeys::TooMany { count }),
            _ => Ok(Self(keys)),
        }
    }

    /// Adds a secret, for HS256.
    #[must_use]
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.0.push(VerificationKey { kid: None, algorithms: vec![Algorithm::Hs256], key: secret.key() });
        self
    }

    /// Adds the other keys.
    #[must_use]
    pub fn merged_with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Keeps only the keys that serve one of these algorithms.
    pub(crate) fn restricted_to(mut self, algorithms: &[Algorithm]) -> Self {
        for key in &mut self.0 {
            key.algorithms.retain(|algorithm| algorithms.contains(algorithm));
        }
        self.0.retain(|key| !key.algorithms.is_empty());
        self
    }

    /// The algorithms that the keys serve, without duplicates.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let is_served = |algorithm: &Algorithm| self.0.iter().any(|key| key.algorithms.contains(algorithm));
        Algorithm::ALL.iter().copied().filter(is_served).collect()
    }

    /// The keys that may have signed a token with this algorithm and key id.
    pub(crate) fn matching(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &VerificationKey> {
        self.0.iter().filter(move |key| {
            let is_named = kid.is_none_or(|kid| key.kid.as_deref().is_none_or(|own| own == kid));
            is_named && key.algorithms.contains(&algorithm)
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key itself may be a secret, so it is not shown.
        let Self { kid, algorithms, key: _ } = self;
        let mut shown = formatter.debug_struct("VerificationKey");
        shown.field("kid", kid).field("algorithms", algorithms).finish_non_exhaustive()
    }
}
