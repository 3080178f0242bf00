//! Tests with real clusters: opened, joined, killed and opened again.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failure in a helper fails the test that calls it")]

mod crashes;
mod ephemeral;
mod failures;
mod folders;
mod owner;
mod persistent;
mod support;
mod unstoppable;
