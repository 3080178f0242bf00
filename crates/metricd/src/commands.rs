//! The commands, each in its own file.

mod check;
mod connect;
mod ingest;
mod migrate;
mod openapi;
mod purge;
mod serve;
mod token;

pub(crate) use check::check;
pub(crate) use connect::connect;
pub(crate) use ingest::ingest;
pub(crate) use migrate::migrate;
pub(crate) use openapi::openapi;
pub(crate) use purge::purge;
pub(crate) use serve::serve;
pub(crate) use token::token;
