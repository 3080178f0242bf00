//! Validates and runs the SQL of metrics: the guard, parameters and periods, the ports to PostgreSQL, and the encoders.
//!
//! A [`Statement`] is SQL with its parameters. The [`Guard`] checks its text against an allow-list. A [`SqlValidator`]
//! also has PostgreSQL resolve it through the [`Resolver`] port, applies the rules to the resolved query, and makes the
//! contract: the columns, the parameters, the tables and how a period applies, each with its types.
//!
//! A [`MetricStatement`] binds the values of a request, which makes a [`BoundStatement`]; a [`Selection`] sorts, filters
//! and pages its result. A [`MetricRunner`], the second port, runs it and passes each row, still in PostgreSQL's format,
//! to a [`RowSink`].
//!
//! # Check SQL
//!
//! ```
//! use metricd_domain::SqlText;
//! use metricd_execution::{Allowed, FindingCode, Guard, Statement};
//!
//! let guard = Guard::new(Allowed::default());
//! let statement = Statement::parse(&SqlText::parse("SELECT count(*) AS n FROM orders;")?)?;
//! assert_eq!(statement.body(), "SELECT count(*) AS n FROM orders");
//! assert!(guard.check(&statement).is_ok());
//!
//! let hostile = Statement::parse(&SqlText::parse("SELECT pg_sleep(3600)")?)?;
//! let findings = guard.check(&hostile).unwrap_err();
//! assert_eq!(findings[0].code, FindingCode::FunctionNotAllowed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Validate SQL before it is stored
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::sync::Arc;
//!
//! use metricd_domain::{Contract, SqlText};
//! use metricd_execution::{Declarations, Resolver, SqlValidationError, SqlValidator};
//!
//! async fn contract_of(sql: &SqlText, resolver: Arc<dyn Resolver>) -> Result<Contract, SqlValidationError> {
//!     let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
//!     validator.validate(sql, Declarations::default()).await
//! }
//! ```
//!
//! # Bind the values of a request
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use metricd_domain::{Metric, MetricDefinition, MetricId, Parameter, ParameterDeclaration, Parameters, QueryId, SqlText};
//! use metricd_execution::MetricStatement;
//!
//! let mut metric = Metric::new(MetricId::parse("orders-of")?, QueryId::parse("orders-of")?, true);
//! metric.parameters = Parameters::new([Parameter::try_from(ParameterDeclaration::new("id", "integer"))?])?;
//! let definition = MetricDefinition::new(metric, SqlText::parse("SELECT * FROM orders WHERE id = :id")?, None);
//! let statement = MetricStatement::of(&definition)?;
//!
//! let (bound, _) = statement.bind(&BTreeMap::from([("id".to_owned(), "42".to_owned())])).unwrap();
//! assert_eq!(bound.texts().collect::<Vec<_>>(), [Some("42")]);
//! let errors = statement.bind(&BTreeMap::from([("id".to_owned(), "x".to_owned())])).unwrap_err();
//! assert_eq!(errors[0].name, "id");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Run a statement
//!
//! ```
//! use metricd_execution::{BoundStatement, JsonRows, MetricRunner, Permit, RunError, RunLimits};
//!
//! async fn rows_of(statement: &BoundStatement, runner: &dyn MetricRunner) -> Result<Vec<u8>, RunError> {
//!     let mut rows = JsonRows::default();
//!     runner.run(statement, None, RunLimits::default(), Permit::default(), &mut rows).await?;
//!     Ok(rows.finish())
//! }
//! ```
//!
//! # Encode rows
//!
//! [`JsonRows`] writes rows as JSON into the buffer of the response. [`CsvWriter`] and [`NdjsonWriter`] write rows for
//! sinks that stream. [`FileWriters`] is the port of the formats that need large libraries, and of several results in one
//! file; its adapter is in `metricd-formats`.
//!
//! ```
//! use metricd_execution::{Column, FieldType, JsonRows, Row, RowSink};
//!
//! let mut rows = JsonRows::default();
//! rows.columns(&[Column { name: "answer".into(), type_name: "integer".into(), field_type: FieldType::Integer }])?;
//! rows.row(Row::from_iter([Some(42_i32.to_be_bytes().as_slice())]).fields(), 1_000)?;
//! assert_eq!(rows.finish(), br#"[{"answer":42}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate opens no connection, and knows no driver, no HTTP and no store. The adapters of both ports are in
//! `metricd-runner`.

mod arguments;
mod bound;
mod encode;
mod finding;
mod guard;
mod period;
mod permit;
mod position;
mod relation;
mod replicas;
mod resolver;
mod rewritten_sql;
mod runner;
mod selection;
mod snapshot;
mod snapshot_scope;
mod special_date;
mod statement;
mod syntax;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time_zones;
mod tree;
mod validate;

pub use arguments::{AppliedPeriod, InvalidArgument, MetricStatement, PeriodApplication, is_period};
pub use bound::{BoundStatement, Expected};
pub use encode::{
    ArchiveFormat, ArchiveMember, Column, CsvWriter, DeclaredDigits, EncodeError, FieldType, Fields, FileFormat,
    FileWriters, JsonRows, MemberContent, NdjsonWriter, Numbers, ResultHead, Row, RowSink, RowWriter,
};
pub use finding::{Finding, FindingCode};
pub use guard::{Allowed, AllowedSchema, Guard};
pub use permit::Permit;
pub use position::Position;
pub use relation::Relation;
pub use replicas::{ChosenServer, InvalidLogPosition, LogPosition, Replicas};
pub use resolver::{
    PendingTable, PendingTableError, Resolution, Resolvable, ResolveError, ResolvedFunction, ResolvedType, Resolver,
};
pub use runner::{MetricRunner, RunError, RunLimits, RunOutcome, RunTiming, SnapshotBatchOutcome, SnapshotRun};
pub use selection::{
    AppliedSelection, FILTER, OFFSET, SORT, SelectableColumn, Selection, SelectionRequest, without_selection,
};
pub use snapshot::SnapshotToken;
pub use snapshot_scope::{RemoteRelations, SnapshotScope};
pub use statement::{InvalidStatement, Statement};
pub use syntax::is_reserved;
pub use table::{ReadableColumn, ReadableTable, Sampling, TableDescription, TableFilter, TableKind};
pub use time_zones::{RequestZone, TimeZones};
pub use tree::{PolicyFacts, PolicyReach, QueryTree};
pub use validate::{Declarations, SqlValidationError, SqlValidator};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
