//! Connects to PostgreSQL, for the catalog's side and the data's side of metricd.
//!
//! [`Connector`] is made of a URL. It tries the hosts of the URL in order, opens a socket with keepalives, negotiates
//! TLS, and logs in. There are three ways to use it:
//!
//! - [`Connector::connect`] returns a client and a connection of tokio-postgres.
//! - [`Connector::log_in`] returns the socket of a session that is logged in, for a caller that speaks the protocol
//!   itself, and a [`CancelRequest`], which has the TLS that the session has.
//! - [`libpq_url`] returns the URL by which libpq, which has no TLS here, gets a session: with TLS, it is the address of
//!   a relay in this process, which has logged in already.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use metricd_connection::Connector;
//! use metricd_database::DatabaseUrl;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = DatabaseUrl::parse("postgres://ann:s3cret@db.example/metricd?sslrootcert=ca.crt")?;
//! let (client, connection) = Connector::new(&url, Duration::from_secs(2))?.connect().await?;
//! tokio::spawn(connection);
//! client.batch_execute("SELECT 1").await?;
//! # Ok(())
//! # }
//! ```
//!
//! # TLS
//!
//! The parameters of the URL mean what they mean to libpq; rustls is the only implementation. Differences to libpq, all
//! but one of them stricter:
//!
//! - Without `sslmode`, a server on another machine needs a certificate of a known authority for its name.
//! - A password is never sent unencrypted to another machine, unless the URL has `sslmode=disable`.
//! - A file that the URL names must exist and be readable. libpq ignores some that are not.
//! - `prefer` and `allow` try the other kind of connection only if the handshake or the authentication has failed.
//! - The certificate of a certification authority is not accepted as that of a server, unless it is self-signed and is
//!   in the file of authorities. Neither are signatures with SHA-1 and SHA-224, nor encrypted private keys.
//! - Certificates with Ed25519 keys are accepted, without channel binding.
//!
//! The signature of the handshake is verified in every mode: otherwise anybody could present the certificate of
//! another server, and channel binding would bind to nothing.
//!
//! [`LatestTimeline`] tells the primary from one that a fail-over has replaced.
//!
//! The crate knows no SQL but what asks for the role and the timeline of a server. It reads files that the URL names, but no environment.

mod cancel;
mod connector;
mod endpoint;
mod error;
mod login;
mod relay;
mod role;
mod socket;
mod staggered;
mod timeline;
mod tls;

pub use cancel::CancelRequest;
pub use connector::{Connector, Driver, LoggedIn};
pub use error::ConnectError;
pub use login::LoginStream;
pub use relay::libpq_url;
pub use socket::Socket;
pub use timeline::{LatestTimeline, ServerTimeline};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
