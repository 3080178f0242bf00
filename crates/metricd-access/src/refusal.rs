//! Why a token is refused.

use crate::Algorithm;

/// Why a token is refused. What it says may be told to whoever has sent the token: it quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is longer than any that is looked at.
    #[error("the token has {bytes} bytes: expected at most {max_bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max_bytes: usize,
    },
    /// It is no JWT.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Its header names an algorithm that is not taken here.
    #[error("the token's algorithm is not accepted{}", expected(.0))]
    Algorithm(Vec<Algorithm>),
    /// No key is known by the id that its header names.
    #[error("the token's key is not known here: its `kid` names none of the issuer's keys")]
    UnknownKey,
    /// It was not signed by a key that is accepted, or was changed since.
    #[error("the token's signature was not made by a key that is accepted")]
    Signature,
    /// It has no time from which on it is good no longer.
    #[error("the token has no `exp`: expected the time at which it expires, in seconds since 1970")]
    NoExpiry,
    /// It is good no longer.
    #[error("the token has expired")]
    Expired,
    /// It is not good yet.
    #[error("the token is not valid yet: `nbf` or `iat` is in the future")]
    NotYetValid,
    /// It is somebody else's.
    #[error("the token's issuer, `iss`, is not one that is accepted")]
    Issuer,
    /// It is for somebody else.
    #[error("the token's audience, `aud`, does not name this service")]
    Audience,
    /// A claim is not what it has to be.
    #[error("the token's claim `{0}` is malformed")]
    Claim(&'static str),
    /// The claim that names the tenant does not name one.
    #[error("the token's claim for the tenant is neither a text of 1 to 255 characters nor a whole number")]
    Tenant,
}

fn expected(algorithms: &[Algorithm]) -> String {
    let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    if names.is_empty() { String::new() } else { format!(": expected {}", names.join(", ")) }
}
