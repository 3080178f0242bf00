//! The real program on a real PostgreSQL.

mod commands;
mod documents;
mod ingestion;
mod operators;
mod outage;
mod private;
mod support;
