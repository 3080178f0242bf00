//! Tests of the guard, with SQL that people write and with attacks that people tried.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may panic")]

mod binding;
mod corpus;
mod findings;
mod graft;
mod lists;
mod size;
