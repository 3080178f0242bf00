//! Whether the server lives, and whether it can answer for metrics.

pub(super) mod live;
pub(crate) mod ready;

pub(super) use live::get_health;
pub(super) use ready::get_readiness;
