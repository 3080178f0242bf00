//! The caller of a request.

use std::time::SystemTime;

use metricd_domain::{MetricId, MetricPatterns, Tenant};

use crate::{Scope, Scopes};

/// The holder of a valid token, with what the token allows.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) subject: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) metrics: Option<MetricPatterns>,
    /// The time at which the token expires, with the leeway added.
    pub(crate) expires_at: SystemTime,
}

impl Caller {
    /// The token's subject (`sub`): the caller's name at its issuer.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The caller's tenant, from the claim that [`Rules::tenant_claim`](crate::Rules::tenant_claim) names.
    #[must_use]
    pub fn tenant(&self) -> Option<&Tenant> {
        self.tenant.as_ref()
    }

    /// The metrics that the token is limited to. `None` if it is not limited.
    #[must_use]
    pub fn metrics(&self) -> Option<&MetricPatterns> {
        self.metrics.as_ref()
    }

    /// Whether the token lets the caller see the metric with this id.
    #[must_use]
    pub fn can_see(&self, id: &MetricId) -> bool {
        self.metrics.as_ref().is_none_or(|metrics| metrics.contain(id))
    }

    /// Whether the token carries the scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}
