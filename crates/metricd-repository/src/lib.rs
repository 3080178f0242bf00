//! The storage port of metricd: the operations and guarantees of a store of metrics, independent of its medium.
//!
//! [`MetricRepository`] is the port. A [`NewMetric`] adds a metric, and a [`MetricChange`] changes it, takes it out of
//! service or restores it; each change is a version. [`MetricRepository::ingest`] stores files: it pulls their content
//! from an [`Ingestion`] within one transaction.
//!
//! [`MemoryRepository`] is a complete store in memory, and `metricd-postgres` has the store on PostgreSQL. Every store
//! passes the contract suite in `contract` (feature `testing`).
//!
//! # Store, change and list metrics
//!
//! ```
//! use metricd_domain::{Actor, ChangeSource, Contract, MetricId, SqlText};
//! use metricd_repository::{
//!     DefinitionFilter, MemoryRepository, MetricChange, MetricContent, MetricRepository, NewMetric, RepositoryError,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryRepository::default();
//! let (id, ann) = (MetricId::parse("daily-alerts")?, Actor::by(ChangeSource::Http));
//! let content = MetricContent::new(SqlText::parse("SELECT count(*) FROM metrics")?, Contract::default());
//! let (stored, is_new) = store.insert_metric(NewMetric::new(id.clone(), content, ann.clone()), None).await?;
//! assert!(is_new);
//!
//! // A change names the version that it is based on.
//! let mut content = MetricContent::of(&stored, Contract::default());
//! content.sql = SqlText::parse("SELECT count(*) FROM metrics WHERE parts_flagged > 0")?;
//! let change = MetricChange::Content(Box::new(content));
//! let changed = store.change_metric(&id, stored.version, change.clone(), ann.clone()).await?;
//! let outdated = store.change_metric(&id, stored.version, change, ann).await;
//! assert!(matches!(outdated, Err(RepositoryError::VersionMismatch { current: 2 })));
//!
//! // The next page begins after the last id of this one.
//! let page = store.list_definitions(&DefinitionFilter::default(), None, 100).await?;
//! assert_eq!(page, [changed]);
//! assert!(store.list_definitions(&DefinitionFilter::default(), Some(&id), 100).await?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # Retry a request safely
//!
//! ```
//! use metricd_domain::{Actor, ChangeSource, Contract, MetricId, SqlText};
//! use metricd_repository::{Idempotency, MemoryRepository, MetricContent, MetricRepository, NewMetric};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryRepository::default();
//! let content = MetricContent::new(SqlText::parse("SELECT 1 AS one")?, Contract::default());
//! let metric = NewMetric::new(MetricId::parse("one")?, content, Actor::by(ChangeSource::Http));
//! let key = Idempotency { key: "8e03978e".to_owned(), fingerprint: b"hash of the request".to_vec() };
//! let (first, is_new) = store.insert_metric(metric.clone(), Some(key.clone())).await?;
//! assert!(is_new);
//! assert_eq!(store.insert_metric(metric, Some(key)).await?, (first, false), "the same answer, stored once");
//! # Ok(())
//! # }
//! ```
//!
//! # Ingest definitions
//!
//! ```
//!
//! use async_trait::async_trait;
//! use metricd_domain::{
//!     Actor, ChangeSource, IngestionId, IngestionMode, IngestionReport, Query, QueryId, SqlText,
//! };
//! use metricd_repository::{
//!     Changes, Conclusion, Definitions, ExistingState, Ingestion, MemoryRepository, MetricRepository, ReferencedIds,
//!     RepositoryError,
//! };
//!
//! /// One query, unless it is stored already.
//! #[derive(Debug)]
//! struct OneQuery(Query, IngestionReport);
//!
//! #[async_trait]
//! impl Ingestion for OneQuery {
//!     fn actor(&self) -> Actor {
//!         Actor::by(ChangeSource::Ingestion)
//!     }
//!
//!     fn referenced_ids(&self) -> ReferencedIds {
//!         ReferencedIds { query_ids: [self.0.query_id.clone()].into(), ..ReferencedIds::default() }
//!     }
//!
//!     async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
//!         let queries = if existing.queries.is_empty() { vec![self.0.clone()] } else { Vec::new() };
//!         Ok(Definitions { queries, ..Definitions::default() })
//!     }
//!
//!     fn conclude(&mut self, changes: &Changes) -> Conclusion {
//!         self.1.queries.added = changes.queries.added;
//!         Conclusion::Commit(self.1.clone())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let id = IngestionId("019ac000-0000-7000-8000-000000000001".parse()?);
//! let report = IngestionReport::new(id, IngestionMode::Lenient, "2026-11-30T00:00:00Z".parse()?);
//! let store = MemoryRepository::default();
//! let query = Query { query_id: QueryId::parse("alerts")?, sql: SqlText::parse("SELECT 1 AS one")? };
//! let report = store.ingest(Box::new(OneQuery(query, report))).await?;
//! assert_eq!(report.queries.added, 1);
//! assert_eq!(store.get_ingestion(report.ingestion_id).await?, report);
//! # Ok(())
//! # }
//! ```
//!
//! # Implement a store
//!
//! Implement [`MetricRepository`], and run the contract suite on it. With the feature `testing`, one line makes a test
//! of each guarantee; the tests need `tokio` with `macros` and `rt`. A store without a database implements
//! [`SaveState`] instead, and is a [`StateRepository`]: `examples/implement_a_store.rs` saves to a JSON file.
//!
//! ```
//! use std::future::{Ready, ready};
//! use std::sync::Arc;
//!
//! use metricd_repository::{MemoryRepository, MetricRepository};
//!
//! /// An empty store, and a guard that keeps it alive, such as a temporary folder.
//! fn store() -> Ready<((), Arc<dyn MetricRepository>)> {
//!     ready(((), Arc::new(MemoryRepository::default())))
//! }
//!
//! metricd_repository::repository_contract!(store());
//! # fn main() {}
//! ```
//!
//! This crate validates nothing, and knows neither SQL nor HTTP. `metricd-ingestion`, which implements [`Ingestion`],
//! decides what may be stored.

#[cfg(feature = "testing")]
#[expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a violated guarantee panics, as in any test")]
pub mod contract;
mod error;
mod ingestion;
mod metric;
mod repository;
mod state;
mod state_repository;
mod tables;

pub use error::RepositoryError;
pub use ingestion::{
    ChangeCounts, Changes, Conclusion, DashboardUpdate, Definitions, Edit, ExistingMetric, ExistingQuery,
    ExistingState, Ingestion, MAX_VALIDATION_ATTEMPTS, ReferencedIds,
};
pub use metric::{
    DefinitionFilter, IDEMPOTENCY_RETENTION, Idempotency, MetricChange, MetricContent, NewMetric, ServiceState,
    own_query_ids,
};
pub use repository::{MetricRepository, Readiness};
pub use state::StoreState;
pub use state_repository::{MemoryRepository, SaveState, StateRepository};
pub use tables::{
    ContentDigest, ExistingTable, KeyConflict, LoadedContent, MAX_REFUSED_ROWS, ReadTable, RefusedRow, RowChanges,
    RowForm, RowValues, StoredTable, TableChanges, TableRefusal, TableRefusalCause, TableUpdate, TableVersion,
};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
