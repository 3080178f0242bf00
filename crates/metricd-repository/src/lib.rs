//! The storage port of metricd: what a store of metrics promises, whatever it is made of.
//!
//! [`MetricRepository`] is the port. Files of definitions and records come in through one of its methods,
//! [`MetricRepository::ingest`], which pulls them from an [`Ingestion`] within one transaction. Single metrics are stored as
//! a [`NewMetric`], and changed, taken out of service and brought back by a [`MetricChange`]; each change is a version.
//! [`MemoryRepository`] is a complete store in memory; the store on PostgreSQL is in `metricd-postgres`. Both pass the
//! suite in `contract` (feature `testing`), and a third store would have to as well.
//!
//! ```
//! use metricd_domain::MetricId;
//! use metricd_repository::{MemoryRepository, MetricRepository, RepositoryError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let repository = MemoryRepository::default();
//! let missing = repository.get_definition(&MetricId::parse("no-such-metric")?).await;
//! assert!(matches!(missing, Err(RepositoryError::MetricNotFound(_))));
//! # Ok(())
//! # }
//! ```
//!
//! This crate validates nothing: what may be stored is decided by `metricd-ingestion`, which implements [`Ingestion`].

#[cfg(feature = "testing")]
#[expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a promise is broken by a panic, as in any test")]
pub mod contract;
mod error;
mod ingestion;
mod memory;
mod metric;
mod repository;
mod state;

pub use error::RepositoryError;
pub use ingestion::{
    ChangeCounts, Changes, Conclusion, DashboardUpdate, Definitions, Edit, ExistingMetric, ExistingQuery,
    ExistingState, Ingestion, MAX_VALIDATION_ATTEMPTS, ReferencedIds,
};
pub use memory::MemoryRepository;
pub use metric::{
    DefinitionFilter, IDEMPOTENCY_RETENTION, Idempotency, MetricChange, MetricContent, NewMetric, ServiceState,
    own_query_ids,
};
pub use repository::{MetricRepository, Readiness};
pub use state::StoreState;
