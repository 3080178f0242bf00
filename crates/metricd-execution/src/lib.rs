//! What happens between "run this metric" and its rows.
//!
//! A [`Statement`] is SQL of which it is known that it is one statement. A [`MetricRunner`] runs it against the data and
//! hands each row, still in PostgreSQL's binary format, to a [`RowSink`]. [`JsonRows`] is the sink that writes the rows as
//! JSON, straight into the buffer that will be the response. [`CsvWriter`] and [`NdjsonWriter`] write them for sinks that
//! stream.
//!
//! ```
//! use metricd_domain::SqlText;
//! use metricd_execution::{Column, FieldType, JsonRows, Row, RowSink, Statement};
//!
//! let statement = Statement::parse(&SqlText::parse("SELECT 42 AS answer;")?)?;
//! assert_eq!(statement.body(), "SELECT 42 AS answer");
//!
//! let mut rows = JsonRows::default();
//! rows.columns(&[Column { name: "answer".into(), type_name: "integer".into(), field_type: FieldType::Integer }])?;
//! rows.row(Row::from_iter([Some(42_i32.to_be_bytes().as_slice())]).fields(), 1_000)?;
//! assert_eq!(rows.finish(), br#"[{"answer":42}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The adapter behind the port, and with it the driver, lives in `metricd-postgres`; this crate opens no connection.

mod arguments;
mod bound;
mod edit;
mod encode;
mod finding;
mod guard;
mod judge;
mod mark;
mod moment;
mod period;
mod permit;
mod place;
mod relation;
mod resolver;
mod runner;
mod statement;
mod syntax;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tree;

pub use arguments::{AppliedPeriod, InvalidArgument, MetricStatement, PeriodApplication, is_period};
pub use bound::{BoundStatement, Expected};
pub use encode::{
    Column, CsvWriter, EncodeError, FieldType, Fields, JsonColumns, JsonRows, NdjsonWriter, Row, RowSink, RowWriter,
};
pub use finding::{Finding, FindingCode};
pub use guard::{Allowed, Guard};
pub use judge::{Declarations, Judge, JudgeError};
pub use mark::DataMark;
pub use permit::Permit;
pub use place::Place;
pub use relation::Relation;
pub use resolver::{Resolution, Resolvable, ResolveError, ResolvedFunction, ResolvedType, Resolver};
pub use runner::{BatchOutcome, BatchRun, MetricRunner, RunError, RunLimits, RunOutcome, RunTiming};
pub use statement::{InvalidStatement, Statement};
pub use tree::{PolicyFacts, PolicyReach, QueryTree};
