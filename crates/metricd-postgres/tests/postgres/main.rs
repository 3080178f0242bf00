//! The adapter against a real PostgreSQL, a fresh database for each test.

mod altered_tables;
mod checks;
mod contract;
mod data_schemas;
mod faults;
mod hanging;
mod hardening;
mod ingestions;
mod reader;
mod schema;
mod settings;
