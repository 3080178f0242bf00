//! The API over HTTP: a server on a free port, with a store in memory and a runner that answers by a script.

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
mod edge;
mod edge_limits;
mod encoding;
mod formats;
mod health;
mod ingestions;
mod metrics;
mod openapi;
mod parameters;
mod problems;
mod results;
mod streams;
mod support;
mod timing;
