//! Tokens of our own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::Scopes;
use crate::claims::{is_subject, scope_claim};

/// A token that is to be signed.
#[derive(Debug, Clone)]
pub struct NewToken {
    scopes: Scopes,
    lifetime: Duration,
    subject: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// Why no token can be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// It would expire at once, or never.
    #[error("the lifetime is no time from 1 second to 10 years")]
    Lifetime,
    /// It would be refused.
    #[error("the subject is blank, longer than 255 characters, or has control characters")]
    Subject,
    /// The library could not sign it.
    #[error("the token could not be signed: {0}")]
    Unsigned(String),
}

/// For how long a token is good at most.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

impl NewToken {
    /// A token with these scopes that is good from now on for this time, in whole seconds.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = crate::Scope>, lifetime: Duration) -> Self {
        let scopes = scopes.into_iter().collect();
        Self { scopes, lifetime, subject: None, issuer: None, audience: None }
    }

    /// The same, and who it is issued to.
    #[must_use]
    pub fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// The same, and by whom.
    #[must_use]
    pub fn by(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The same, and for which service.
    #[must_use]
    pub fn meant_for(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    pub(crate) fn claims(&self) -> Result<Value, IssueError> {
        if self.lifetime.as_secs() == 0 || self.lifetime > MAX_LIFETIME {
            return Err(IssueError::Lifetime);
        }
        if self.subject.as_deref().is_some_and(|subject| !is_subject(subject)) {
            return Err(IssueError::Subject);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({"scope": scope_claim(self.scopes), "iat": now, "exp": now + self.lifetime.as_secs()});
        for (name, value) in [("sub", &self.subject), ("iss", &self.issuer), ("aud", &self.audience)] {
            if let Some(value) = value {
                claims[name] = json!(value);
            }
        }
        Ok(claims)
    }
}
