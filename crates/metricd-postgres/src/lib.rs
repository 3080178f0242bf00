//! The catalog of metricd on PostgreSQL.
//!
//! # Create the schema and open the store
//!
//! [`migrate`] creates the schema `catalog` and the warehouse. [`PgRepository`] is the store of metrics, as the owner
//! role, on Diesel and r2d2.
//!
//! ```no_run
//! use metricd_database::{DataSchemas, DatabaseUrl};
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
//! # Prepare the role that runs stored SQL
//!
//! [`prepare_reader`] creates the reader role with its rights and limits. [`harden`] revokes from PUBLIC the functions
//! that do harm even in a read-only transaction.
//!
//! ```no_run
//! use metricd_database::{DataSchemas, DatabaseUrl};
//! use metricd_postgres::{ReaderLimits, harden, plan_hardening, prepare_reader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let owner = DatabaseUrl::parse("postgres://owner@localhost/metricd")?;
//! let reader = DatabaseUrl::parse("postgres://metricd_reader:s3cret@localhost/metricd")?;
//! prepare_reader(&owner, &reader, &DataSchemas::default(), ReaderLimits::default())?;
//! println!("{}", plan_hardening(&owner)?.to_sql("metricd"));
//! harden(&owner)?;
//! # Ok(())
//! # }
//! ```
//!
//! Only this crate recognises the errors of the catalog, by constraint name and SQLSTATE. It knows no HTTP and no
//! files, and does not run stored SQL: that is `metricd-runner`.

mod connection;
mod hardening;
mod identity;
mod migrations;
mod reader;
mod repository;
#[rustfmt::skip]
#[expect(unreachable_pub, reason = "the file is as `diesel print-schema` writes it")]
mod schema;
mod survey;
mod tenant_key;

pub use connection::{ConnectError, ServerStart, leads_through_pooler, refuse_pooler, server_start};
pub use hardening::{
    HardeningError, HardeningPlan, Right, harden, hardening_script_elsewhere, open_classes, plan_hardening,
    plan_undoing, undo_hardening, unknown_functions,
};
pub use identity::{
    DataPlace, cluster_identifier, data_place, data_place_as_owner, record_data, require_recorded_data,
};
pub use migrations::{MigrateError, check_migratable, create_database, migrate, pending_migrations, revert_all};
pub use reader::{
    ReaderError, ReaderLimits, administrators_script, check_candidate, check_data_schemas, check_reader,
    check_reader_elsewhere, prepare_reader, reader_notices, reader_notices_elsewhere, schemas_besides,
    script_elsewhere, script_for_new_reader,
};
pub use repository::{PgRepository, RepositoryConfig};
pub use survey::{SchemaFacts, ServerFacts, logs_what_it_prints, survey_as_reader, survey_schemas, survey_server};
pub use tenant_key::tenant_key;

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
