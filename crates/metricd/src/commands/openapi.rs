//! `metricd openapi`

use std::process::ExitCode;

use anyhow::{Result, ensure};
use metricd_api::openapi::{api_document, dashboard_document, metric_document};
use metricd_domain::{DashboardId, MetricDefinition, MetricId};
use metricd_execution::{Declarations, SqlValidationError, SqlValidator};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::{MetricRepository, RepositoryError};

use super::ingest::validator;
use crate::arguments::{DatabaseArguments, GuardArguments, OpenapiArguments};
use crate::database::Database;
use crate::output;

/// Prints the OpenAPI document of the API, of a metric or of a dashboard.
pub(crate) async fn openapi(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    call: &OpenapiArguments,
) -> Result<ExitCode> {
    let document = match (&call.metric, &call.dashboard) {
        (None, None) => api_document().to_owned(),
        (Some(id), _) => with_store(arguments, guard, async |store| store.of_metric(id).await).await?,
        (None, Some(id)) => with_store(arguments, guard, async |store| store.of_dashboard(id).await).await?,
    };
    output::print(&(document + "\n"));
    Ok(ExitCode::SUCCESS)
}

/// Makes a document from the store, and closes the store.
async fn with_store(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    document: impl AsyncFnOnce(&Store) -> Result<String>,
) -> Result<String> {
    let database = Database::open_or_join_existing(arguments)?;
    let config = RepositoryConfig { max_connections: 1, ..Default::default() };
    let store = Store {
        repository: PgRepository::new(&database.owner, config)?,
        validator: validator(&database, guard).await?,
    };
    let document = document(&store).await;
    drop(store);
    database.close()?;
    document
}

/// The stored definitions, and the validator that updates their contracts.
struct Store {
    repository: PgRepository,
    validator: SqlValidator,
}

impl Store {
    async fn of_metric(&self, id: &MetricId) -> Result<String> {
        let definition = self.repository.get_definition(id).await?;
        ensure!(definition.deleted_at.is_none(), "the metric `{id}` is out of service: restore it first");
        Ok(metric_document(&self.current(definition).await?))
    }

    async fn of_dashboard(&self, id: &DashboardId) -> Result<String> {
        let dashboard = self.repository.get_dashboard(id).await?;
        let mut definitions = Vec::new();
        for item in dashboard.items() {
            match self.repository.get_definition(&item.metric_id).await {
                Ok(definition) if definition.deleted_at.is_none() => definitions.push(self.current(definition).await?),
                Ok(_) | Err(RepositoryError::MetricNotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(dashboard_document(&dashboard, &definitions.iter().collect::<Vec<_>>()))
    }

    /// Returns the definition with its current contract, as a server does. Stores nothing.
    async fn current(&self, mut definition: MetricDefinition) -> Result<MetricDefinition> {
        let declared = Declarations::of(&definition.metric);
        let contract = match self.validator.validate(&definition.sql, declared).await {
            Ok(contract) => Some(contract),
            Err(error @ SqlValidationError::Refused(_)) => {
                log::warn!("the metric `{}` no longer has a contract: {error}", definition.metric.metric_id);
                None
            }
            Err(error @ SqlValidationError::Unavailable(_)) => return Err(error.into()),
        };
        definition.contract = contract;
        Ok(definition)
    }
}
