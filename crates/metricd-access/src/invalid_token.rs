//! Why a token is refused.

use crate::Algorithm;

/// Why a token is refused. The message quotes nothing of the token, so the client may see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// The token is longer than the maximum.
    #[error("the token has {bytes} bytes: expected at most {max_bytes}")]
    TooLong {
        /// The token's length, in bytes.
        bytes: usize,
        /// The maximum length, in bytes.
        max_bytes: usize,
    },
    /// The token is not a JWT.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// The header names an algorithm that is not accepted.
    #[error("the token's algorithm is not accepted{}", expected(.0))]
    Algorithm(Vec<Algorithm>),
    /// The header names a key id that no key has.
    #[error("the token's key is unknown: its `kid` names none of the issuer's keys")]
    UnknownKey,
    /// No accepted key signed the token, or the token was changed after it was signed.
    #[error("the token's signature does not verify with any accepted key")]
    Signature,
    /// The token has no `exp`, so it would never expire.
    #[error("the token has no `exp`: expected the time at which it expires, in seconds since 1970")]
    NoExpiry,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet: `nbf` or `iat` is in the future")]
    NotYetValid,
    /// The issuer is not accepted.
    #[error("the token's issuer, `iss`, is not one that is accepted")]
    Issuer,
    /// The token is for another audience.
    #[error("the token's audience, `aud`, does not name this service")]
    Audience,
    /// A claim has the wrong type or an invalid value.
    #[error("the token's claim `{0}` is malformed")]
    Claim(&'static str),
    /// The tenant's claim does not hold a valid tenant.
    #[error("the token's claim for the tenant is neither a string of 1 to 255 characters nor an integer")]
    Tenant,
}

fn expected(algorithms: &[Algorithm]) -> String {
    let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    if names.is_empty() { String::new() } else { format!(": expected {}", names.join(", ")) }
}
