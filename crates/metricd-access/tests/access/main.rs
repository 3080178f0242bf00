//! Tests of the verifier with valid and invalid tokens.

mod attacks;
mod keys;
mod tokens;

use std::time::{SystemTime, UNIX_EPOCH};

use metricd_access::{Keys, Rules, Secret, Verifier};
use serde_json::{Value, json};

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub(crate) const SECRET: &str = "correct horse battery staple, and then some";

/// The current time in seconds since 1970, plus `later`.
pub(crate) fn seconds(later: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|now| now.as_secs()).unwrap_or_default();
    i64::try_from(now).unwrap_or_default() + later
}

/// The claims of a token that is valid for a minute.
pub(crate) fn claims() -> Value {
    json!({"sub": "ann", "scope": "metrics:read", "exp": seconds(60)})
}

/// The same, with these claims added or overwritten.
pub(crate) fn claims_with(others: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in others.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

pub(crate) fn secret() -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Secret::parse(SECRET.to_owned())?)
}

pub(crate) fn verifier(keys: Keys, rules: Rules) -> Result<Verifier, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Verifier::new(keys, rules)?)
}
