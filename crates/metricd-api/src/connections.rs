//! Limits the connections of a server: their number, the time without progress, and the memory of unread responses.
//!
//! The web server limits the arrival of a request head only for the first request of a connection. It has no limit for
//! a client that does not read its response. [`Socket`] therefore wraps each stream and records progress, and the
//! [`Registry`] closes connections that make none.

mod chunked;
mod connection;
mod gate;
mod registry;
mod response;
mod socket;

pub use self::registry::ConnectionLimits;
pub(crate) use self::registry::{Registry, ResponseMemoryFull};
pub(crate) use self::response::{ConnectionData, StaticBody, track};
pub(crate) use self::socket::Socket;
