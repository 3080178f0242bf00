//! The connections of a server: how many there are, how long each may stay open without progress, and how much memory
//! answers take that clients have not read yet.
//!
//! The web server counts the time in which a head arrives on a connection's first request alone; afterwards each byte of the
//! next head takes its limit of idleness away, and so does a body that nobody reads. It has no limit for a client that does
//! not read its answer. So the server's streams are wrapped: [`Socket`] notes progress, and the [`Registry`] ends
//! connections that make none.

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
