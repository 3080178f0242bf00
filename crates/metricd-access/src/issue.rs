//! Tokens of our own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricd_domain::{MetricPattern, MetricPatterns, Tenant};
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
    /// The claim that names the tenant, and the tenant.
    tenant: Option<(String, Tenant)>,
    metrics: Option<MetricPatterns>,
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
    /// Its tenant is named by a claim that says something else.
    #[error("the claim for the tenant is one that says something else already")]
    TenantClaim,
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
        Self { scopes, lifetime, subject: None, issuer: None, audience: None, tenant: None, metrics: None }
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

    /// The same, and on whose behalf, by the claim of this name.
    #[must_use]
    pub fn on_behalf_of(self, claim: impl Into<String>, tenant: Tenant) -> Self {
        Self { tenant: Some((claim.into(), tenant)), ..self }
    }

    /// The same, limited to these metrics.
    #[must_use]
    pub fn limited_to(self, metrics: MetricPatterns) -> Self {
        Self { metrics: Some(metrics), ..self }
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
        if let Some(metrics) = &self.metrics {
            claims["metrics"] = metrics.as_slice().iter().map(MetricPattern::as_str).collect();
        }
        if let Some((claim, tenant)) = &self.tenant {
            // Another claim would be lost.
            if claims.get(claim).is_some() {
                return Err(IssueError::TenantClaim);
            }
            claims[claim] = json!(tenant.as_str());
        }
        Ok(claims)
    }
}
