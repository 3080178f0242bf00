//! Who makes a request, and what the caller may do: tokens, tenants, quotas, idempotency keys.

pub(crate) mod authenticate;
pub(crate) mod caller;
pub(crate) mod idempotency;
pub(crate) mod quotas;
pub(crate) mod tenants;
