//! The vocabulary of metricd: what a metric is, and the rules that hold for it wherever it comes from.
//!
//! A [`Query`] is SQL that is stored under a [`QueryId`]; a [`Metric`] gives one query to the world under a [`MetricId`].
//! Together they are a [`MetricDefinition`]. A [`Dashboard`] groups metrics and says where each one stands, by
//! [`Breakpoint`]. A [`Record`] is a row of the data that queries read. What happened to files of all these is told by an
//! [`IngestionReport`]; who changed a metric and what it was before, by its [`MetricVersion`]s. Who may see what of them is
//! told by [`MetricPatterns`], which metrics, and by a [`Tenant`], whose rows.
//!
//! Each value that has rules can only be made by a constructor which checks them, so that a value which exists is valid:
//!
//! ```
//! use metricd_domain::{MetricId, SqlText};
//!
//! let id = MetricId::parse("daily-alerts")?;
//! assert_eq!(id.as_str(), "daily-alerts");
//! assert!(MetricId::parse("daily alerts").is_err());
//!
//! let sql = SqlText::parse("-- Alerts by day\nSELECT date, count(*) FROM metrics GROUP BY date")?;
//! assert_eq!(sql.title(), Some("Alerts by day"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate does no input or output and knows neither HTTP nor a database. Whether the SQL of a query is safe and what it
//! returns is the business of `metricd-execution`.

mod contract;
mod dashboard;
mod decimal;
mod definition;
mod display_text;
mod history;
mod id;
mod limit;
mod metric_limits;
mod metric_patterns;
mod parameter;
mod period;
mod record;
mod report;
mod sql;
mod tenant;
mod visible;

pub use contract::{
    Contract, ContractColumn, ContractParameter, ContractTable, InvalidTimeColumn, NoPeriodSource, Period,
    PeriodColumn, PeriodSource, TimeColumn,
};
pub use dashboard::{
    Breakpoint, Dashboard, DashboardItem, DashboardName, DashboardSummary, InvalidBreakpoint, InvalidDashboard,
    InvalidLayoutEntry, InvalidName, LayoutEntry,
};
pub use decimal::{Decimal, InvalidDecimal};
pub use definition::{Metric, MetricDefinition, Query, QueryVersion};
pub use display_text::{
    DisplayText, InvalidDescription, InvalidTitle, MAX_DESCRIPTION_CHARS, MAX_TITLE_CHARS, MetricDescription,
    MetricTitle,
};
pub use history::{Actor, ChangeAction, ChangeSource, MetricVersion};
pub use id::{DashboardId, IngestionId, InvalidId, MAX_ID_CHARS, MetricId, QueryId};
pub use limit::{InvalidRowLimit, RowLimit};
pub use metric_limits::{InvalidLimits, MetricLimits};
pub use metric_patterns::{
    InvalidMetricPattern, MAX_METRIC_PATTERNS, MetricPattern, MetricPatterns, TooManyMetricPatterns,
};
pub use parameter::{
    InvalidParameter, InvalidParameterName, InvalidParameterValue, MAX_PARAMETER_NAME_CHARS, Parameter,
    ParameterDeclaration, ParameterName, ParameterType, ParameterValue, Parameters, RepeatedParameter, ScalarType,
};
pub use period::{InvalidPeriod, PeriodApply, PeriodDeclaration};
pub use record::{InvalidLabel, InvalidRecordDate, Label, Record, RecordDate};
pub use report::{
    EntryCounts, FileKind, IngestedFile, IngestionMode, IngestionReport, Location, MAX_LISTED_FINDINGS, Notice,
    Outcome, RecordCounts, Refusal, Suggestion,
};
pub use sql::{InvalidSql, MAX_SQL_BYTES, SqlText};
pub use tenant::{InvalidTenant, MAX_TENANT_CHARS, Tenant};
pub use visible::{is_invisible, visible};
