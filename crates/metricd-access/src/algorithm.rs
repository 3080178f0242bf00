//! The algorithms by which tokens may be signed.

use std::fmt;
use std::str::FromStr;

/// An algorithm of RFC 7518 or RFC 8037. Which of them are taken is the operator's to say, never the token's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can sign.
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

/// Why a text is no algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm `{}` is not known: expected one of `HS256`, `RS256`, `PS256`, `ES256`, `EdDSA`", metricd_domain::visible(.0))]
pub struct InvalidAlgorithm(String);

impl Algorithm {
    /// Every one.
    pub const ALL: &[Self] = &[Self::Hs256, Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// Its name in a token's header.
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

    /// By its name, whose case counts.
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
