//! What both sides of metricd know of a PostgreSQL: the catalog's side, which stores definitions on Diesel and libpq, and the
//! data's side, which runs stored SQL on a driver of its own.
//!
//! - [`DatabaseUrl`] is the address of a database. It knows no driver: each side gives its own driver the text.
//! - [`OWNER_SETTINGS_SQL`] sets every setting of a session of the owner role that changes how metricd's statements are read.
//! - [`session_token_option`] marks a session, so that a connection pooler is noticed.
//! - [`fault_of`] decides by SQLSTATE whose fault an error of PostgreSQL is.
//! - [`harm_classes`] lists the functions of PostgreSQL that do more than a reader should be able to.
//!
//! ```
//! use metricd_database::DatabaseUrl;
//!
//! let url = DatabaseUrl::parse("postgres://ann:s3cret@db.example/metricd")?;
//! assert_eq!(url.to_string(), "`metricd` on db.example as `ann`");
//! # Ok::<(), metricd_database::InvalidDatabaseUrl>(())
//! ```
//!
//! The crate connects to nothing.

mod database_url;
mod harm;
mod identifier;
mod owner_session;
mod session_token;
mod sqlstate;
mod target;

pub use database_url::{DatabaseUrl, InvalidDatabaseUrl};
pub use harm::{HarmClass, harm_classes, harm_of};
pub use identifier::quote_identifier;
pub use owner_session::OWNER_SETTINGS_SQL;
pub use session_token::{SESSION_TOKEN, session_token_option};
pub use sqlstate::{Fault, Outage, Trouble, fault_of};
pub use target::TargetSession;

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
