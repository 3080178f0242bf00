//! The keys by which tokens are verified.

mod jwks;
mod pem;
mod small_order;

use std::fmt;

use jsonwebtoken::DecodingKey;

use crate::{Algorithm, Secret};

/// How many keys there are at most: each may have to be tried on a token that names none.
const MAX_KEYS: usize = 32;

/// The keys of those who may issue tokens, each with the algorithms that it is used with: a public key of RSA is no secret of
/// HMAC, whatever a token says.
#[derive(Clone, Default)]
pub struct Keys(Vec<VerificationKey>);

/// A key.
#[derive(Clone)]
pub(crate) struct VerificationKey {
    /// Its id. One that has none serves tokens that name any.
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(crate) key: DecodingKey,
}

/// Why a text has no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// It is neither.
    #[error("expected a JWKS (a JSON object with `keys`), or public keys as PEM (`-----BEGIN PUBLIC KEY-----`)")]
    Unknown,
    /// A private key has no business where tokens are only verified.
    #[error("found a private key: expected the public one alone, as `openssl pkey -in key.pem -pubout` prints it")]
    Private,
    /// A certificate is more than its key, and is not judged here.
    #[error("found a certificate: expected its public key, as `openssl x509 -in cert.pem -pubkey -noout` prints it")]
    Certificate,
    /// A key is malformed, or of a kind that is not taken.
    #[error(
        "key {number} is of no kind that is taken: expected RSA of 2048 to 8192 bits, an elliptic curve's on P-256, or Ed25519"
    )]
    Unusable {
        /// Which one, from 1.
        number: usize,
    },
    /// It has none that verifies tokens.
    #[error("found no key that verifies the signatures of tokens: expected RSA of 2048 to 8192 bits, P-256 or Ed25519")]
    None,
    /// It has more than anybody needs.
    #[error("found {count} keys: expected at most {MAX_KEYS}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl Keys {
    /// Public keys, as a JWKS (RFC 7517) or as PEM.
    ///
    /// Of a JWKS, keys that are for other uses, or of other kinds, are passed over, as its standard wants it; so are secrets,
    /// which do not belong there.
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

    /// The same, and a secret, for HS256.
    #[must_use]
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.0.push(VerificationKey { kid: None, algorithms: vec![Algorithm::Hs256], key: secret.key() });
        self
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The same, without what serves none of these algorithms.
    pub(crate) fn only(mut self, algorithms: &[Algorithm]) -> Self {
        for key in &mut self.0 {
            key.algorithms.retain(|algorithm| algorithms.contains(algorithm));
        }
        self.0.retain(|key| !key.algorithms.is_empty());
        self
    }

    /// The algorithms that the keys serve.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let is_served = |algorithm: &Algorithm| self.0.iter().any(|key| key.algorithms.contains(algorithm));
        Algorithm::ALL.iter().copied().filter(is_served).collect()
    }

    /// Those that may have signed a token with this header.
    pub(crate) fn of(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &VerificationKey> {
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
        // The key itself may be a secret.
        let Self { kid, algorithms, key: _ } = self;
        let mut shown = formatter.debug_struct("VerificationKey");
        shown.field("kid", kid).field("algorithms", algorithms).finish_non_exhaustive()
    }
}
