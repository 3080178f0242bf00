//! Liveness and readiness.

pub(super) mod live;
pub(crate) mod ready;
