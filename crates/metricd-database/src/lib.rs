//! Shared by the adapters for PostgreSQL: `metricd-postgres`, which stores definitions with Diesel and libpq, and
//! `metricd-runner`, which runs stored SQL with a driver of its own.
//!
//! - [`DatabaseUrl`] is the address of a database. It depends on no driver; each adapter passes the text to its own.
//! - [`ConnectionDefaults`] complete a URL as libpq does: from variables, a service file and a password file.
//! - [`TlsSettings`] are what the URL asks of TLS, in typed values.
//! - [`DataSchemas`] are the schemas that stored SQL reads.
//! - [`OWNER_SETTINGS_SQL`] fixes the settings of a session of the owner role that change how metricd's statements are
//!   read.
//! - [`session_token_option`] gives a session a token by which a connection pooler is detected.
//! - [`fault_of`] classifies an error of PostgreSQL by its SQLSTATE.
//! - [`harm_classes`] lists the functions of PostgreSQL that a reader should not be able to call, [`harmless_functions`] the
//!   volatile ones that it may call.
//!
//! ```
//! use metricd_database::DatabaseUrl;
//!
//! let url = DatabaseUrl::parse("postgres://ann:s3cret@db.example/metricd")?;
//! assert_eq!(url.to_string(), "`metricd` on db.example as `ann`");
//! # Ok::<(), metricd_database::InvalidDatabaseUrl>(())
//! ```
//!
//! [`TableSql`] writes the statements that create and change a table that files are loaded into.
//!
//! The crate connects to nothing.

mod data_schemas;
mod database_url;
mod defaults;
mod harm;
mod identifier;
mod owner_session;
mod session_token;
mod sqlstate;
mod table_sql;
mod target;
mod tls;

pub use data_schemas::{DataSchemas, InvalidDataSchemas};
pub use database_url::{DatabaseUrl, InvalidDatabaseUrl};
pub use defaults::{ConnectionDefaults, InvalidDefaults};
pub use harm::{HarmClass, UNKNOWN_CLASS, harm_classes, harm_of, harmless_functions};
pub use identifier::{quote_identifier, quote_literal};
pub use owner_session::OWNER_SETTINGS_SQL;
pub use session_token::{SESSION_TOKEN, session_token_option};
pub use sqlstate::{Fault, Outage, Trouble, fault_of};
pub use table_sql::{CheckSql, ColumnSql, TableSql};
pub use target::TargetSession;
pub use tls::{ChannelBinding, InvalidTls, TlsMode, TlsRoots, TlsSettings};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
