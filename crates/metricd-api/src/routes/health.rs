//! Liveness and readiness.

pub(super) mod live;
pub(crate) mod ready;

pub(super) use live::get_health;
pub(super) use ready::get_readiness;
