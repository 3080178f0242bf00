//! Who has sent a request.

use std::time::SystemTime;

use crate::{Scope, Scopes};

/// Whoever a good token was issued to.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) subject: Option<String>,
    pub(crate) scopes: Scopes,
    /// From when on the token is good no longer, the leeway included.
    pub(crate) expires_at: SystemTime,
}

impl Caller {
    /// The token's subject, as its issuer names the caller.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether the token carries the scope.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }
}
