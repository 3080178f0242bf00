//! Authentication and authorization of callers: tokens, tenants, quotas and idempotency keys.

pub(crate) mod authenticate;
pub(crate) mod caller;
pub(crate) mod idempotency;
pub(crate) mod quotas;
pub(crate) mod tenants;
