//! The claims of a token that this crate reads.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricd_domain::{MetricPattern, MetricPatterns, Tenant};
use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::unique::UniqueMap;
use crate::{Caller, InvalidToken, Rules, Scopes};

/// The maximum length of a subject, in characters.
const MAX_SUBJECT_CHARS: usize = 255;

/// Times of this many seconds after 1970 or more are malformed.
const MAX_TIMESTAMP_SECONDS: u64 = 1 << 40;

/// The claims of a token whose signature is valid.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueMap::deserialize(deserializer).map(|UniqueMap(map)| Self(map))
    }
}

impl Claims {
    /// Checks the token's times and returns its caller. The library has checked `iss` and `aud`.
    pub(crate) fn into_caller(self, rules: &Rules) -> Result<Caller, InvalidToken> {
        let (now, leeway) = ((rules.now)(), rules.leeway);
        let expires_at = self.time("exp")?.ok_or(InvalidToken::NoExpiry)? + leeway;
        if expires_at <= now {
            return Err(InvalidToken::Expired);
        }
        for begins in ["nbf", "iat"] {
            if self.time(begins)?.is_some_and(|time| time > now + leeway) {
                return Err(InvalidToken::NotYetValid);
            }
        }
        let mut scopes = self.scopes("scope")?;
        scopes.extend(self.scopes("scp")?);
        let tenant = rules.tenant_claim.as_deref().map(|name| self.tenant(name)).transpose()?.flatten();
        // The library accepts an array and compares each of its elements.
        if self.0.get("iss").is_some_and(|issuer| !issuer.is_string()) {
            return Err(InvalidToken::Claim("iss"));
        }
        let (subject, metrics) = (self.subject()?, self.metrics()?);
        Ok(Caller { subject, scopes: scopes.into_iter().collect(), tenant, metrics, expires_at })
    }

    /// Reads a time in seconds since 1970, which may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, InvalidToken> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let seconds =
            seconds.filter(|seconds| seconds.as_secs() < MAX_TIMESTAMP_SECONDS).ok_or(InvalidToken::Claim(name))?;
        Ok(Some(UNIX_EPOCH + seconds))
    }

    fn subject(&self) -> Result<Option<String>, InvalidToken> {
        match self.0.get("sub") {
            None => Ok(None),
            Some(Value::String(subject)) if is_subject(subject) => Ok(Some(subject.clone())),
            Some(_) => Err(InvalidToken::Claim("sub")),
        }
    }

    /// Reads the tenant: a string or an integer.
    fn tenant(&self, name: &str) -> Result<Option<Tenant>, InvalidToken> {
        let text = match self.0.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
            Some(_) => return Err(InvalidToken::Tenant),
        };
        Tenant::parse(text).map(Some).map_err(|_| InvalidToken::Tenant)
    }

    /// Reads the metrics that the token is limited to: patterns in an array, or in one string with single spaces
    /// between them.
    fn metrics(&self) -> Result<Option<MetricPatterns>, InvalidToken> {
        let Some(strings) = self.strings("metrics")? else { return Ok(None) };
        let patterns = strings.into_iter().map(str::parse).collect::<Result<Vec<MetricPattern>, _>>();
        let patterns = patterns.ok().and_then(|patterns| MetricPatterns::new(patterns).ok());
        patterns.map(Some).ok_or(InvalidToken::Claim("metrics"))
    }

    /// Reads the known scopes: names in one string with single spaces between them (RFC 8693), or an array of names.
    /// Unknown scopes belong to other services and are ignored.
    fn scopes(&self, name: &'static str) -> Result<Vec<crate::Scope>, InvalidToken> {
        let names = self.strings(name)?.unwrap_or_default();
        Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Reads strings in an array, or in one string with single spaces between them.
    fn strings(&self, name: &'static str) -> Result<Option<Vec<&str>>, InvalidToken> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(strings)) => Ok(Some(strings.split(' ').collect())),
            Some(Value::Array(strings)) => {
                let strings: Option<Vec<_>> = strings.iter().map(Value::as_str).collect();
                strings.map(Some).ok_or(InvalidToken::Claim(name))
            }
            Some(_) => Err(InvalidToken::Claim(name)),
        }
    }
}

/// Whether the text is a valid subject: not blank, at most 255 characters, no control characters.
pub(crate) fn is_subject(text: &str) -> bool {
    let is_short = text.chars().nth(MAX_SUBJECT_CHARS).is_none();
    is_short && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

/// Formats the scopes of a new token as a claim.
pub(crate) fn scope_claim(scopes: Scopes) -> String {
    let names = crate::Scope::ALL.iter().filter(|scope| scopes.contains(**scope)).map(|scope| scope.name());
    names.collect::<Vec<_>>().join(" ")
}
