//! Tokens that metricd issues itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metricd_domain::{MetricPattern, MetricPatterns, Tenant};
use serde_json::{Value, json};

use crate::Scopes;
use crate::claims::{is_subject, scope_claim};

/// A token to be signed.
#[derive(Debug, Clone)]
pub struct NewToken {
    scopes: Scopes,
    lifetime: Duration,
    subject: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    /// The name of the tenant's claim, and the tenant.
    tenant: Option<(String, Tenant)>,
    metrics: Option<MetricPatterns>,
}

/// Why no token was issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The lifetime is shorter than a second or longer than ten years.
    #[error("the lifetime is not between 1 second and 10 years")]
    Lifetime,
    /// The subject is one that a verifier would refuse.
    #[error("the subject is blank, longer than 255 characters, or has control characters")]
    Subject,
    /// The token already has a claim with the name of the tenant's claim.
    #[error("the tenant's claim has the name of another claim of the token: choose another name")]
    TenantClaim,
    /// The library failed to sign the token.
    #[error("the token could not be signed: {0}")]
    Unsigned(String),
}

/// The maximum lifetime of a token.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

impl NewToken {
    /// A token with these scopes that is valid from now on. The lifetime is cut to whole seconds.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = crate::Scope>, lifetime: Duration) -> Self {
        let scopes = scopes.into_iter().collect();
        Self { scopes, lifetime, subject: None, issuer: None, audience: None, tenant: None, metrics: None }
    }

    /// Sets the subject (`sub`).
    #[must_use]
    pub fn with_subject(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Sets the issuer (`iss`).
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Sets the audience (`aud`).
    #[must_use]
    pub fn with_audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Sets the tenant, in the claim of this name.
    #[must_use]
    pub fn with_tenant(self, claim: impl Into<String>, tenant: Tenant) -> Self {
        Self { tenant: Some((claim.into(), tenant)), ..self }
    }

    /// Limits the token to these metrics.
    #[must_use]
    pub fn with_metrics(self, metrics: MetricPatterns) -> Self {
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
            // The tenant would overwrite the other claim.
            if claims.get(claim).is_some() {
                return Err(IssueError::TenantClaim);
            }
            claims[claim] = json!(tenant.as_str());
        }
        Ok(claims)
    }
}
