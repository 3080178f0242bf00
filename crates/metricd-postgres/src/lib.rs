//! metricd on PostgreSQL.
//!
//! [`PgRepository`] is the store of metrics: schema `catalog`, as the owner role, on Diesel and r2d2. [`PgRunner`] runs
//! stored SQL: schema `warehouse`, as the reader role, without blocking a thread. [`migrate`] makes the schema and
//! [`prepare_reader`] the reader role with its rights; [`harden`] takes from PUBLIC what no reader should have.
//!
//! ```no_run
//! use metricd_database::DatabaseUrl;
//! use metricd_postgres::{PgRepository, RepositoryConfig, migrate};
//! use metricd_repository::MetricRepository;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let owner = DatabaseUrl::parse("postgres://owner@localhost/metricd")?;
//! migrate(&owner)?;
//! let repository = PgRepository::new(&owner, RepositoryConfig::default())?;
//! println!("{} metrics", repository.check().await?.metric_count);
//! # Ok(())
//! # }
//! ```
//!
//! Errors of PostgreSQL are recognised here and nowhere else, by the names of constraints and by SQLSTATE.

mod connection;
mod hardening;
mod identity;
mod migrations;
mod reader;
mod repository;
#[rustfmt::skip]
#[expect(unreachable_pub, reason = "the file is as `diesel print-schema` writes it")]
mod schema;
mod tenant_key;

pub use connection::{ConnectError, ServerStart, refuse_pooler, server_major, server_start};
pub use hardening::{
    HardeningError, HardeningPlan, Right, harden, open_classes, plan_hardening, plan_undoing, undo_hardening,
};
pub use identity::require_same_database;
pub use migrations::{MigrateError, create_database, migrate, pending_migrations, revert_all};
pub use reader::{ReaderError, ReaderLimits, check_candidate, check_reader, prepare_reader};
pub use repository::{PgRepository, RepositoryConfig};
pub use tenant_key::tenant_key;
