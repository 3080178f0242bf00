//! The contracts of metrics, as PostgreSQL would give them now.

use std::sync::Arc;

use metricd_domain::{Actor, ChangeWay, Contract, MetricDefinition, MetricId};
use metricd_execution::{BoundStatement, Column, Declarations, JudgeError, RunError, Statement};
use metricd_repository::{MetricChange, MetricContent, RepositoryError};

use crate::definitions::ServedMetric;
use crate::{ApiState, Problem, ProblemCode};

impl ApiState {
    /// The metric in service, with the contract that its SQL has now: a table may have changed since it was stored. One whose
    /// SQL is not valid any more has none. Where the database cannot be asked, the stored one holds.
    ///
    /// # Errors
    ///
    /// As for [`Definitions::get_in_service`](crate::Definitions::get_in_service).
    pub(crate) async fn current(&self, id: &MetricId) -> Result<Arc<ServedMetric>, RepositoryError> {
        let served = self.definitions.get_in_service(id).await?;
        if !self.has_drifted(&served.definition).await {
            return Ok(served);
        }
        let renewed = match self.renewed(&served.definition).await {
            Ok(renewed) => renewed,
            Err(problem) => {
                log::warn!("the contract of `{id}` cannot be renewed: {problem:?}");
                return Ok(served);
            }
        };
        let MetricDefinition { caption, sql, metric, version, .. } = served.definition.clone();
        let Some(contract) = renewed else {
            let definition = MetricDefinition { contract: None, ..served.definition.clone() };
            return Ok(Arc::new(ServedMetric::of(definition)));
        };
        if served.definition.contract.as_ref() == Some(&contract) {
            return Ok(served);
        }
        log::info!("the tables of `{id}` have changed: its contract is renewed");
        let content = MetricContent {
            caption,
            sql,
            parameters: metric.parameters,
            time_column: metric.time_column,
            period: metric.period,
            limits: metric.limits,
            contract,
        };
        // Nothing but the contract is changed, which makes no version and is nobody's change.
        let change = MetricChange::Content(Box::new(content));
        match self.repository.change_metric(id, version, change, Actor::by(ChangeWay::Database)).await {
            // Somebody has changed the metric meanwhile, and with it its contract.
            Ok(_) | Err(RepositoryError::VersionMismatch { .. }) => {}
            Err(error) => return Err(error),
        }
        self.definitions.changed();
        self.definitions.get_in_service(id).await
    }

    /// Whether the SQL has other columns than the contract says, or is not valid any more.
    async fn has_drifted(&self, definition: &MetricDefinition) -> bool {
        let Some(contract) = &definition.contract else { return false };
        let Ok(statement) = Statement::parse(&definition.sql) else { return false };
        let bound = BoundStatement::with_nulls(&statement, &definition.metric.parameters);
        match self.runner.describe(&bound).await {
            Ok(described) => described.is_some_and(|columns| !are_of(&columns, contract)),
            Err(RunError::Failed { .. }) => true,
            Err(_) => false,
        }
    }

    /// The contract that the definition would get if it was stored now; none if it would be refused.
    async fn renewed(&self, definition: &MetricDefinition) -> Result<Option<Contract>, Problem> {
        let permit = Arc::clone(&self.judging).acquire_owned().await;
        let state = self.clone();
        let (sql, metric) = (definition.sql.clone(), definition.metric.clone());
        let judging = move || {
            let _permit = permit;
            state.judge()?.judge(&sql, Declarations::of(&metric))
        };
        let judged = actix_web::web::block(judging).await;
        match judged.map_err(|error| Problem::new(ProblemCode::InternalError).caused_by(error))? {
            Ok(contract) => Ok(Some(contract)),
            Err(JudgeError::Refused(_)) => Ok(None),
            Err(error @ JudgeError::Unavailable(_)) => {
                Err(Problem::new(ProblemCode::DatabaseUnavailable).caused_by(error))
            }
        }
    }
}

/// Whether these are the columns of the contract.
pub(crate) fn are_of(columns: &[Column], contract: &Contract) -> bool {
    let described = columns.iter().map(|column| (&column.name, &column.type_name));
    described.eq(contract.columns.iter().map(|column| (&column.name, &column.type_name)))
}
