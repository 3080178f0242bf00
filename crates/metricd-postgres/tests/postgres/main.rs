//! The adapter against a real PostgreSQL, a fresh database for each test.

mod contract;
mod hardening;
mod ingestions;
mod judge;
mod reader;
mod repeatable;
mod runner;
mod schema;
mod streams;
mod tenants;
mod types;
mod walls;
