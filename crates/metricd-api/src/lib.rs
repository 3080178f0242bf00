//! The HTTP API of metricd.
//!
//! [`start`] serves the [`routes`](mod@routes) on a listener, from an [`ApiState`]: a repository of metrics, a runner of their
//! SQL, a resolver of new SQL and writers of files, behind ports. Every error is a problem document (RFC 9457) with a [`ProblemCode`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use metricd_api::{ApiState, ServerOptions, Uploads, start};
//! use metricd_execution::testing::{ScriptedResolver, ScriptedRunner};
//! use metricd_formats::ResultFiles;
//! use metricd_repository::MemoryRepository;
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (repository, runner) = (MemoryRepository::default(), ScriptedRunner::default());
//! let folder = tempfile::tempdir()?;
//! let (resolver, uploads) = (ScriptedResolver::default(), Uploads::below(&folder.path().join("uploads"))?);
//! let (repository, runner, resolver) = (Arc::new(repository), Arc::new(runner), Arc::new(resolver));
//! let state = ApiState::new(repository, runner, resolver, Arc::new(ResultFiles), uploads);
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let server = start(listener, state, ServerOptions::default())?;
//! let handle = server.handle();
//! let running = actix_web::rt::spawn(server);
//! handle.stop(true).await;
//! running.await??;
//! # Ok(())
//! # }
//! ```
//!
//! The crate knows no database and reads no environment. The crates below decide what a metric is, what may be stored and how
//! SQL runs.

mod auth;
mod connections;
mod extract;
mod middleware;
pub mod openapi;
mod problem;
mod refreshed;
mod replicas;
mod results;
pub mod routes;
mod server;
mod state;
mod uploads;

pub use auth::quotas::{QuotaRules, Quotas};
pub use auth::tenants::{MissingRowSecurity, TenantIsolation};
pub use connections::ConnectionLimits;
pub use middleware::{AllowedHost, AllowedOrigin, InvalidHost, InvalidOrigin};
pub use problem::{FieldError, Problem, ProblemCode};
pub use results::coalescing::RunCoalescer;
pub use results::definition_cache::DefinitionCache;
pub use results::snapshot_scope::SnapshotScopes;
pub use results::validator_cache::ValidatorCache;
pub use server::{ServerOptions, start};
pub use state::ApiState;
pub use uploads::Uploads;
