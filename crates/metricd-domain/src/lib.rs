//! What a metric is, and the rules that every metric obeys.
//!
//! A [`Query`] is SQL under a [`QueryId`]. A [`Metric`] publishes one query under a [`MetricId`], with declared
//! [`Parameters`] and [`MetricLimits`]. A [`MetricDefinition`] is a metric with the current SQL of its query and the
//! [`Contract`] of that SQL. A [`Dashboard`] groups metrics, and has a layout for each [`Breakpoint`]. A [`Table`] is
//! one that files are loaded into: typed columns, a key, and what loading does with the rows that it has.
//!
//! An [`IngestionReport`] lists what an ingestion read, stored and refused. A [`MetricVersion`] records one change of a
//! metric and its [`Actor`]. [`MetricPatterns`] limit which metrics a caller may read, and a [`Tenant`] limits which
//! rows.
//!
//! Types with rules are valid by construction: their constructors validate, and deserialization calls the constructors.
//!
//! # Check a value
//!
//! ```
//! use metricd_domain::{MetricId, SqlText};
//!
//! let id = MetricId::parse("daily-alerts")?;
//! assert_eq!(id.as_str(), "daily-alerts");
//! let error = MetricId::parse("daily alerts").unwrap_err();
//! assert_eq!(error.to_string(), "the id has the character ` ` at position 6: expected only `A-Z a-z 0-9 _ -`");
//! assert!(serde_json::from_str::<MetricId>(r#""daily alerts""#).is_err());
//!
//! let sql = SqlText::parse("-- Alerts by day\nSELECT date, count(*) FROM metrics GROUP BY date")?;
//! assert_eq!(sql.title(), Some("Alerts by day"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Define a metric
//!
//! ```
//! use metricd_domain::{DisplayText, Metric, MetricDefinition, MetricId, MetricLimits, MetricTitle, QueryId, SqlText};
//!
//! let mut metric = Metric::new(MetricId::parse("daily-alerts")?, QueryId::parse("alerts")?, true);
//! metric.limits = MetricLimits::new(Some(1_000), None, None, None)?;
//! let mut definition = MetricDefinition::new(metric, SqlText::parse("SELECT count(*) FROM metrics")?, None);
//! assert_eq!(definition.title(), "daily-alerts", "nothing else names it yet");
//! definition.display_text = DisplayText { title: Some(MetricTitle::parse("Alerts")?), ..DisplayText::default() };
//! assert_eq!(definition.title(), "Alerts");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Declare a parameter and check values of it
//!
//! ```
//! use metricd_domain::{Parameter, ParameterDeclaration, Parameters};
//!
//! let mut top = ParameterDeclaration::new("top", "integer");
//! (top.default, top.max) = (Some(10.into()), Some(100.into()));
//! let parameters = Parameters::new([Parameter::try_from(top)?])?;
//! assert_eq!(parameters[0].accept("007")?.as_str(), "7");
//! assert_eq!(parameters[0].accept("101").unwrap_err().to_string(), "`101` is too large: expected at most `100`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Place metrics on a dashboard
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use metricd_domain::{Breakpoint, Dashboard, DashboardId, DashboardItem, DashboardName, LayoutEntry, MetricId};
//!
//! let (id, name) = (DashboardId::parse("parts")?, DashboardName::parse("Parts")?);
//! let items = vec![DashboardItem::new(MetricId::parse("alerts")?)];
//! let entry = |id| Ok::<_, Box<dyn std::error::Error>>(LayoutEntry::new(MetricId::parse(id)?, 0, 0, 6, 4, false)?);
//! let layout = |id| Ok::<_, Box<dyn std::error::Error>>(BTreeMap::from([(Breakpoint::Lg, vec![entry(id)?])]));
//! assert!(Dashboard::new(id.clone(), name.clone(), items.clone(), layout("alerts")?).is_ok());
//! let error = Dashboard::new(id, name, items, layout("margins")?).unwrap_err();
//! assert_eq!(error.to_string(), "the layout `lg` places `margins`, which is not an item of the dashboard");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limit which metrics a caller may read
//!
//! ```
//! use metricd_domain::{MetricId, MetricPatterns};
//!
//! let patterns = MetricPatterns::new(vec!["sales-*".parse()?, "margins".parse()?])?;
//! assert!(patterns.contain(&MetricId::parse("sales-by-day")?));
//! assert!(!patterns.contain(&MetricId::parse("salaries")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate does no input or output, and knows neither HTTP nor a database. `metricd-execution` decides whether the
//! SQL of a query is safe and what it returns. Implementations of `metricd-repository` store metrics.

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
mod plain_json;
mod report;
mod sql;
mod table;
mod tenant;
mod time_column;
mod time_zone;
mod visible;

pub use contract::{
    Contract, ContractColumn, ContractForeignKey, ContractParameter, ContractParts, ContractTable, InvalidContract,
    NoPeriodSource, Period, PeriodColumn, PeriodSource, ReferencedColumn, TimeColumnCandidates,
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
pub use limit::{InvalidRowLimit, InvalidRowOffset, RowLimit, RowOffset};
pub use metric_limits::{InvalidLimits, MetricLimits};
pub use metric_patterns::{
    InvalidMetricPattern, MAX_METRIC_PATTERNS, MetricPattern, MetricPatterns, TooManyMetricPatterns,
};
pub use parameter::{
    END_DATE, InvalidParameter, InvalidParameterName, InvalidParameterValue, MAX_PARAMETER_NAME_CHARS, Parameter,
    ParameterDeclaration, ParameterName, ParameterType, ParameterValue, Parameters, RepeatedParameter, START_DATE,
    ScalarType, TIME_ZONE,
};
pub use period::{InvalidPeriod, PeriodApply, PeriodDeclaration};
pub use plain_json::plain_json_error;
pub use report::{
    EntryCounts, FileKind, IngestedColumn, IngestedFile, IngestedTable, IngestionMode, IngestionReport, Location,
    MAX_LISTED_FINDINGS, Notice, Outcome, Refusal, RowCounts, Suggestion, TableChange,
};
pub use sql::{InvalidSql, MAX_SQL_BYTES, SqlText};
pub use table::{
    BrokenCheck, ColumnChecks, ColumnJudge, ColumnName, ColumnText, ColumnType, InvalidChecks, InvalidColumnText,
    InvalidTable, InvalidTableName, Load, MAX_LISTED_VALUES, MAX_TABLE_COLUMNS, ReadOptions, TABLE_SCHEMA, Table,
    TableColumn, TableName, TableParts,
};
pub use tenant::{InvalidTenant, MAX_TENANT_CHARS, Tenant};
pub use time_column::{InvalidTimeColumn, TimeColumn};
pub use time_zone::{InvalidTimeZone, MAX_TIME_ZONE_CHARS, TimeZone};
pub use visible::{is_invisible, shortened, visible};

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
