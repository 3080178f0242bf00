//! The algorithms that may sign tokens.

use std::fmt;
use std::str::FromStr;

/// A signature algorithm of RFC 7518 or RFC 8037. The operator decides which are accepted, never the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256. The secret that verifies a token can also sign one.
    Hs256,
    /// RSA with PKCS #1 v1.5 and SHA-256.
    Rs256,
    /// RSA with PSS and SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// The text names no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm `{}` is not known: expected one of `HS256`, `RS256`, `PS256`, `ES256`, `EdDSA`", metricd_domain::visible(.0))]
pub struct InvalidAlgorithm(String);

impl Algorithm {
    /// All algorithms.
    pub const ALL: &[Self] = &[Self::Hs256, Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The algorithm's name in a token's header (`alg`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl FromStr for Algorithm {
    type Err = InvalidAlgorithm;

    /// Parses the name of an algorithm; case matters.
    fn from_str(text: &str) -> Result<Self, InvalidAlgorithm> {
        let named = Self::ALL.iter().copied().find(|algorithm| algorithm.name() == text);
        named.ok_or_else(|| InvalidAlgorithm(text.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
