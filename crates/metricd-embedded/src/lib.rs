//! A private PostgreSQL for the quick start and for tests.
//!
//! [`Cluster::open`] finds the installed server programs ([`Installation`]), creates a cluster in a data folder that
//! has none, and starts it on a Unix socket and a free port of 127.0.0.1. [`Cluster::connection`] returns the address.
//! [`open_or_join`] also connects to a cluster that another process has open. [`Cluster::ephemeral`] creates a cluster
//! for tests that leaves nothing behind.
//!
//! The database never outlives its owner. Its parent is a shell that reads from a pipe whose other end the owner holds.
//! The shell stops PostgreSQL when the pipe is closed: on [`Cluster::stop`], on drop, and by the kernel if the owner is
//! killed. PostgreSQL refuses to run as root, so a process of root runs it as the user `postgres` or `nobody`.
//!
//! # A database that stays
//!
//! ```no_run
//! use metricd_embedded::{Cluster, ClusterOptions, Search, default_data_dir};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ClusterOptions {
//!     data_dir: default_data_dir(&std::env::current_dir()?),
//!     search: Search::system(std::env::var_os("PATH")),
//!     roles: vec!["reader".to_owned()],
//! };
//! let cluster = Cluster::open(&options)?;
//! let url = cluster.connection().owner_url("postgres")?;
//! # drop(url);
//! cluster.stop()?;
//! # Ok(())
//! # }
//! ```
//!
//! # A database for tests
//!
//! ```no_run
//! use metricd_embedded::{Cluster, Search};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::ephemeral(&Search::system(std::env::var_os("PATH")), &["reader"])?;
//! let url = cluster.connection().owner_url("postgres")?;
//! # drop(url);
//! // On drop, the server stops and its folder is removed.
//! # Ok(())
//! # }
//! ```
//!
//! The crate never connects to the database: the caller creates roles and databases and runs migrations. It reads no
//! environment variables and downloads nothing.

mod access;
mod account;
mod cluster;
mod connection;
mod credentials;
mod error;
mod folder;
mod initialise;
mod installation;
mod janitor;
mod lock;
mod log_file;
mod ownership;
mod poll;
mod postmaster;
mod reach;
mod search;
mod server;
mod supervisor;

pub use access::{ClusterAccess, open_or_join};
pub use cluster::{Cluster, ClusterOptions};
pub use connection::ConnectionInfo;
pub use error::EmbeddedError;
pub use installation::{Installation, MINIMUM_MAJOR};
pub use reach::default_data_dir;
pub use search::Search;

/// The superuser of every cluster.
pub const OWNER_ROLE: &str = "metricd";

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
