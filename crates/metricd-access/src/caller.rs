//! Who has sent a request.

use std::time::SystemTime;

use metricd_domain::{MetricId, MetricPatterns, Tenant};

use crate::{Scope, Scopes};

/// Whoever a good token was issued to.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) subject: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) metrics: Option<MetricPatterns>,
    /// From when on the token is good no longer, the leeway included.
    pub(crate) expires_at: SystemTime,
}

impl Caller {
    /// The token's subject, as its issuer names the caller.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// On whose behalf the caller asks, by the claim that the rules name.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The metrics that the token is limited to; none where it is not limited to any.
    #[must_use]
    pub fn metrics(&self) -> Option<&MetricPatterns> {
        self.metrics.as_ref()
    }

    /// Whether the metric with this id is there for the caller.
    #[must_use]
    pub fn sees(&self, id: &MetricId) -> bool {
        self.metrics.as_ref().is_none_or(|metrics| metrics.contain(id))
    }

    /// Whether the token carries the scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}
