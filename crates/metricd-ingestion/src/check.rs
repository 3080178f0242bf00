//! Judging everything that is stored once more, against the database as it is now.

use std::collections::BTreeSet;
use std::sync::Arc;

use metricd_database::{Fault, fault_of};
use metricd_domain::{Metric, MetricDefinition, MetricId, Parameter, QueryId, SqlText};
use metricd_execution::{BoundStatement, Declarations, Judge, JudgeError, MetricRunner, RunError, Statement};
use metricd_repository::{DefinitionFilter, MetricRepository, RepositoryError, ServiceState};
use serde::Serialize;

/// How many definitions are read at once.
const PAGE: usize = 200;

/// What has drifted since it was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// How many metrics were judged.
    pub metrics: u64,
    /// How many queries that no metric reads were judged.
    pub unused_queries: u64,
    /// What is not as it was, in the order of the ids: metrics, then queries that no metric reads.
    pub drifts: Vec<Drift>,
}

/// A definition that is not as it was when it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The metric; absent for a query that no metric reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_id: Option<MetricId>,
    /// The query.
    pub query_id: QueryId,
    /// What is different, a sentence each.
    pub messages: Vec<String>,
}

/// Why the definitions could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The database could not be asked about SQL.
    #[error("the definitions cannot be judged: {0}")]
    Unavailable(String),
}

/// Judges every metric, and every query that no metric reads, and asks the runner whether its role may still run them.
/// `advance` is told of each that is done.
///
/// # Errors
///
/// [`CheckError`]; what is wrong with definitions is in the report.
pub async fn check_definitions(
    repository: &dyn MetricRepository,
    judge: &Judge,
    runner: &dyn MetricRunner,
    mut advance: impl FnMut(),
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let mut read = BTreeSet::new();
    let mut after: Option<MetricId> = None;
    loop {
        // One that is out of service may be brought back, so that it is judged as well.
        let filter = DefinitionFilter { state: ServiceState::Any, ..DefinitionFilter::default() };
        let page = repository.list_definitions(&filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.metric.metric_id.clone());
        for definition in page {
            let Metric { metric_id, query_id, .. } = definition.metric.clone();
            let messages = drift(judge, runner, definition).await?;
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
        let page = repository.list_queries(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = Some(last.query_id.clone());
        for query in page.into_iter().filter(|query| !read.contains(&query.query_id)) {
            report.unused_queries += 1;
            let mut messages = ask(judge, query.sql.clone(), None).await?.err().unwrap_or_default();
            if messages.is_empty() {
                messages.extend(forbidden(runner, &query.sql, &[]).await?);
            }
            if !messages.is_empty() {
                report.drifts.push(Drift { metric_id: None, query_id: query.query_id, messages });
            }
            advance();
        }
    }
}

/// What is different about the metric, or wrong with it.
async fn drift(
    judge: &Judge,
    runner: &dyn MetricRunner,
    definition: MetricDefinition,
) -> Result<Vec<String>, CheckError> {
    let MetricDefinition { metric, sql, contract, .. } = definition;
    let parameters = metric.parameters.clone();
    let mut messages = match (ask(judge, sql.clone(), Some(metric)).await?, contract) {
        (Err(messages), _) => return Ok(messages),
        (Ok(_), None) => vec!["it was stored without a contract: ingest its query again".to_owned()],
        (Ok(now), Some(stored)) => stored.drift(&now),
    };
    messages.extend(forbidden(runner, &sql, &parameters).await?);
    Ok(messages)
}

/// Why the runner's role could not run the SQL, which its author may.
async fn forbidden(
    runner: &dyn MetricRunner,
    sql: &SqlText,
    declared: &[Parameter],
) -> Result<Option<String>, CheckError> {
    // What is no statement has been refused before.
    let Ok(statement) = Statement::parse(sql) else { return Ok(None) };
    match runner.verify(&BoundStatement::with_nulls(&statement, declared), None).await {
        Ok(()) => Ok(None),
        Err(RunError::Failed { sqlstate, message }) if !matches!(fault_of(&sqlstate), Fault::Unavailable(_)) => {
            Ok(Some(format!("the role that runs metrics cannot run it: {message} (SQLSTATE {sqlstate})")))
        }
        Err(error) => Err(CheckError::Unavailable(error.to_string())),
    }
}

/// The contract, or what is wrong.
async fn ask(
    judge: &Judge,
    sql: SqlText,
    metric: Option<Metric>,
) -> Result<Result<metricd_domain::Contract, Vec<String>>, CheckError> {
    let judge = Arc::new(judge.clone());
    let work = move || judge.judge(&sql, metric.as_ref().map_or_else(Declarations::default, Declarations::of));
    let judged = tokio::task::spawn_blocking(work).await;
    match judged.map_err(|error| CheckError::Unavailable(format!("judging panicked: {error}")))? {
        Ok(contract) => Ok(Ok(contract)),
        Err(JudgeError::Refused(findings)) => {
            Ok(Err(findings.iter().map(|f| format!("{}: {f}", f.code.code())).collect()))
        }
        Err(JudgeError::Unavailable(outage)) => Err(CheckError::Unavailable(outage.message)),
    }
}
