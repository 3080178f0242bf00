//! Validates all stored definitions again, against the current database.

use std::collections::BTreeSet;

use metricd_database::{Fault, fault_of};
use metricd_domain::{Metric, MetricDefinition, MetricId, Parameter, QueryId, SqlText};
use metricd_execution::{
    BoundStatement, Declarations, MetricRunner, RunError, SqlValidationError, SqlValidator, Statement,
};
use metricd_repository::{DefinitionFilter, MetricRepository, RepositoryError, ServiceState};
use serde::Serialize;

/// The number of definitions that are read in one page.
const PAGE_SIZE: usize = 200;

/// The result of validating the stored definitions again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The number of validated metrics.
    pub metrics: u64,
    /// The number of validated queries that no metric reads.
    pub unused_queries: u64,
    /// The definitions that drifted, ordered by id: metrics first, then queries that no metric reads.
    pub drifts: Vec<Drift>,
}

/// A definition whose SQL PostgreSQL no longer describes as its contract does, or that is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The metric. `None` for a query that no metric reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_id: Option<MetricId>,
    /// The query.
    pub query_id: QueryId,
    /// The differences or findings, one sentence each.
    pub messages: Vec<String>,
}

/// Why the stored definitions could not be validated.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// PostgreSQL was not available to resolve SQL.
    #[error("the definitions cannot be validated: {0}")]
    Unavailable(String),
}

/// Validates every metric, and every query that no metric reads. Checks that the role of the runner may still run them.
/// Calls `advance` after each definition.
///
/// # Errors
///
/// [`CheckError`] if the store or PostgreSQL fails. Faults of definitions are in the report.
pub async fn check_definitions(
    repository: &dyn MetricRepository,
    validator: &SqlValidator,
    runner: &dyn MetricRunner,
    mut advance: impl FnMut(),
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let mut read = BTreeSet::new();
    let mut after: Option<MetricId> = None;
    loop {
        // A metric out of service may be restored, so it is validated too.
        let filter = DefinitionFilter { state: ServiceState::Any, ..DefinitionFilter::default() };
        let page = repository.list_definitions(&filter, after.as_ref(), PAGE_SIZE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.metric.metric_id.clone());
        for definition in page {
            let Metric { metric_id, query_id, .. } = definition.metric.clone();
            let messages = drift(validator, runner, definition).await?;
            report.metrics += 1;
            if !messages.is_empty() {
                report.drifts.push(Drift { metric_id: Some(metric_id), query_id: query_id.clone(), messages });
            }
            read.insert(query_id);
            advance();
        }
    }
    let mut after: Option<QueryId> = None;
    loop {
        let page = repository.list_queries(after.as_ref(), PAGE_SIZE).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = Some(last.query_id.clone());
        for query in page.into_iter().filter(|query| !read.contains(&query.query_id)) {
            report.unused_queries += 1;
            let mut messages = validate(validator, &query.sql, None).await?.err().unwrap_or_default();
            if messages.is_empty() {
                messages.extend(privilege_error(runner, &query.sql, &[]).await?);
            }
            if !messages.is_empty() {
                report.drifts.push(Drift { metric_id: None, query_id: query.query_id, messages });
            }
            advance();
        }
    }
}

/// The differences between the stored contract and a new one, or the findings if the SQL is no longer valid.
async fn drift(
    validator: &SqlValidator,
    runner: &dyn MetricRunner,
    definition: MetricDefinition,
) -> Result<Vec<String>, CheckError> {
    let MetricDefinition { metric, sql, contract, .. } = definition;
    let mut messages = match (validate(validator, &sql, Some(&metric)).await?, contract) {
        (Err(messages), _) => return Ok(messages),
        (Ok(_), None) => vec!["it was stored without a contract: ingest its query again".to_owned()],
        (Ok(now), Some(stored)) => stored.drift(&now),
    };
    messages.extend(privilege_error(runner, &sql, &metric.parameters).await?);
    Ok(messages)
}

/// Why the role of the runner cannot run the SQL although its author can. `None` if it can.
async fn privilege_error(
    runner: &dyn MetricRunner,
    sql: &SqlText,
    declared: &[Parameter],
) -> Result<Option<String>, CheckError> {
    // SQL that cannot be parsed already has findings.
    let Ok(statement) = Statement::parse(sql) else { return Ok(None) };
    match runner.verify(&BoundStatement::with_nulls(&statement, declared), None).await {
        Ok(()) => Ok(None),
        Err(RunError::Failed { sqlstate, message }) if !matches!(fault_of(&sqlstate), Fault::Unavailable(_)) => {
            Ok(Some(format!("the role that runs metrics cannot run it: {message} (SQLSTATE {sqlstate})")))
        }
        Err(error) => Err(CheckError::Unavailable(error.to_string())),
    }
}

/// Validates the SQL, and returns the contract or the findings as messages.
async fn validate(
    validator: &SqlValidator,
    sql: &SqlText,
    metric: Option<&Metric>,
) -> Result<Result<metricd_domain::Contract, Vec<String>>, CheckError> {
    match validator.validate(sql, metric.map(Declarations::of).unwrap_or_default()).await {
        Ok(contract) => Ok(Ok(contract)),
        Err(SqlValidationError::Refused(findings)) => {
            Ok(Err(findings.iter().map(|f| format!("{}: {f}", f.code.code())).collect()))
        }
        Err(SqlValidationError::Unavailable(outage)) => Err(CheckError::Unavailable(outage.message)),
    }
}
