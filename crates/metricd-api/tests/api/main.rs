//! The HTTP API: a server on a free port, with a repository in memory and a scripted runner.

mod access;
mod coalescing;
mod compression;
mod conditional;
mod connections;
mod contracts;
mod cors;
mod cross_site;
mod dashboards;
mod definitions;
mod document;
mod encoding;
mod formats;
mod head_limits;
mod health;
mod ingestions;
mod metrics;
mod middleware;
mod openapi;
mod parameters;
mod problems;
mod results;
mod streams;
mod support;
mod time_zones;
mod timing;
