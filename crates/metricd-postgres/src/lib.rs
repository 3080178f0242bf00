//! metricd on PostgreSQL.
//!
//! [`PgRepository`] is the store of metrics: schema `catalog`, as the owner role, on Diesel and r2d2. [`PgRunner`] runs
//! stored SQL: schema `warehouse`, as the reader role, without blocking a thread. [`migrate`] makes the schema and
//! [`prepare_reader`] the reader role with its rights; [`harden`] takes from PUBLIC what no reader should have.
//!
//! ```no_run
//! use metricd_postgres::{DatabaseUrl, PgRepository, RepositoryConfig, migrate};
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

mod blocking;
mod connection;
mod database_url;
mod hardening;
mod identity;
mod migrations;
mod owner_session;
mod reader;
mod repository;
mod resolver;
mod runner;
#[rustfmt::skip]
#[expect(unreachable_pub, reason = "the file is as `diesel print-schema` writes it")]
mod schema;
mod watch;

pub use connection::{ConnectError, ServerStart, refuse_pooler, server_major, server_start};
pub use database_url::{DatabaseUrl, InvalidDatabaseUrl};
pub use hardening::{
    HardeningError, HardeningPlan, HarmClass, Right, harden, harm_classes, harm_of, open_classes, plan_hardening,
    plan_undoing, undo_hardening,
};
pub use identity::require_same_database;
pub use migrations::{MigrateError, create_database, migrate, pending_migrations, revert_all};
pub use reader::{ReaderError, ReaderLimits, check_candidate, check_reader, prepare_reader};
pub use repository::{PgRepository, RepositoryConfig};
pub use resolver::PgResolver;
pub use runner::{PgRunner, RunnerConfig, TenantKey, tenant_key};
pub use watch::{DefinitionEvent, watch_definitions};
