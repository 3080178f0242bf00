//! The guard against what people really write, and against what people really tried.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod binding;
mod corpus;
mod findings;
mod graft;
mod lists;
mod size;
