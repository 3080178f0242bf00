//! Runs the real program on a real PostgreSQL.

mod access;
mod cancellation;
mod check;
mod coalescing;
mod commands;
mod conditional;
mod contracts;
mod data_apart;
mod definitions;
mod documents;
mod examples;
mod existing_database;
mod external_database;
mod ingestion;
mod middleware;
mod outage;
mod parameters;
mod private;
mod results;
mod streams;
mod support;
mod tenants;
mod time_zones;
mod tls;
mod typed_results;
mod unstoppable;
