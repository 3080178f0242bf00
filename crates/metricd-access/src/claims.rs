//! A token's claims, as far as they are read here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::unique::UniqueMap;
use crate::{Caller, Refusal, Scopes};

/// The greatest length of a subject.
const MAX_SUBJECT_CHARS: usize = 255;

/// A time further away than this is none.
const MAX_SECONDS: u64 = 1 << 40;

/// The claims of a token whose signature is good.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueMap::deserialize(deserializer).map(|UniqueMap(map)| Self(map))
    }
}

impl Claims {
    /// Who the token was issued to. The library has checked `iss` and `aud`.
    pub(crate) fn into_caller(self, now: SystemTime, leeway: Duration) -> Result<Caller, Refusal> {
        let expires_at = self.time("exp")?.ok_or(Refusal::NoExpiry)? + leeway;
        if expires_at <= now {
            return Err(Refusal::Expired);
        }
        for begins in ["nbf", "iat"] {
            if self.time(begins)?.is_some_and(|time| time > now + leeway) {
                return Err(Refusal::NotYetValid);
            }
        }
        let mut scopes = self.scopes("scope")?;
        scopes.extend(self.scopes("scp")?);
        Ok(Caller { subject: self.subject()?, scopes: scopes.into_iter().collect(), expires_at })
    }

    /// A time, which may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, Refusal> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let seconds = seconds.filter(|seconds| seconds.as_secs() < MAX_SECONDS).ok_or(Refusal::Claim(name))?;
        Ok(Some(UNIX_EPOCH + seconds))
    }

    fn subject(&self) -> Result<Option<String>, Refusal> {
        match self.0.get("sub") {
            None => Ok(None),
            Some(Value::String(subject)) if is_subject(subject) => Ok(Some(subject.clone())),
            Some(_) => Err(Refusal::Claim("sub")),
        }
    }

    /// The scopes that are known: names with single spaces between them (RFC 8693), or an array of names. Others are somebody
    /// else's.
    fn scopes(&self, name: &'static str) -> Result<Vec<crate::Scope>, Refusal> {
        let names: Vec<&str> = match self.0.get(name) {
            None => Vec::new(),
            Some(Value::String(names)) => names.split(' ').collect(),
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str());
                names.collect::<Option<_>>().ok_or(Refusal::Claim(name))?
            }
            Some(_) => return Err(Refusal::Claim(name)),
        };
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// Whether the text names somebody, on one line.
pub(crate) fn is_subject(text: &str) -> bool {
    let is_short = text.chars().nth(MAX_SUBJECT_CHARS).is_none();
    is_short && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// The scopes of a new token, as a claim.
pub(crate) fn scope_claim(scopes: Scopes) -> String {
    let names = crate::Scope::ALL.iter().filter(|scope| scopes.contains(**scope)).map(|scope| scope.name());
    names.collect::<Vec<_>>().join(" ")
}
