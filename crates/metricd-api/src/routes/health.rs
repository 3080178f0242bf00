//! Whether the server lives, and whether it can answer for metrics.

mod live;
mod ready;

pub(super) use live::get_health;
pub(super) use ready::get_readiness;
