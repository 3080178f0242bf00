//! The real program on a real PostgreSQL.

mod access;
mod checking;
mod commands;
mod conditional;
mod contracts;
mod definitions;
mod documents;
mod edges;
mod examples;
mod giving_up;
mod ingestion;
mod operators;
mod outage;
mod parameters;
mod private;
mod results;
mod sharing;
mod streams;
mod support;
mod tenants;
mod typed;
mod unstoppable;
