//! `metricd openapi`

use std::process::ExitCode;

use anyhow::{Result, ensure};
use metricd_api::openapi::{api_document, dashboard_document, metric_document};
use metricd_domain::{DashboardId, MetricId};
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::{MetricRepository, RepositoryError};

use crate::arguments::{DatabaseArguments, OpenapiArguments};
use crate::database::Database;
use crate::output;

/// Prints the document of the API, of a metric or of a dashboard.
pub(crate) async fn openapi(arguments: &DatabaseArguments, call: &OpenapiArguments) -> Result<ExitCode> {
    let document = match (&call.metric, &call.dashboard) {
        (None, None) => api_document().to_owned(),
        (Some(id), _) => with_store(arguments, async |store| of_metric(store, id).await).await?,
        (None, Some(id)) => with_store(arguments, async |store| of_dashboard(store, id).await).await?,
    };
    output::print(&(document + "\n"));
    Ok(ExitCode::SUCCESS)
}

/// Opens the store for as long as the document is made.
async fn with_store(
    arguments: &DatabaseArguments,
    document: impl AsyncFnOnce(&PgRepository) -> Result<String>,
) -> Result<String> {
    let database = Database::open_or_join_existing(arguments)?;
    let store = PgRepository::new(&database.owner, RepositoryConfig { max_connections: 1, ..Default::default() })?;
    let document = document(&store).await;
    drop(store);
    database.close()?;
    document
}

async fn of_metric(store: &PgRepository, id: &MetricId) -> Result<String> {
    let definition = store.get_definition(id).await?;
    ensure!(definition.deleted_at.is_none(), "the metric `{id}` is out of service: restore it first");
    Ok(metric_document(&definition))
}

async fn of_dashboard(store: &PgRepository, id: &DashboardId) -> Result<String> {
    let dashboard = store.get_dashboard(id).await?;
    let mut definitions = Vec::new();
    for item in &dashboard.items {
        match store.get_definition(&item.metric_id).await {
            Ok(definition) => definitions.push(definition),
            Err(RepositoryError::MetricNotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(dashboard_document(&dashboard, &definitions.iter().collect::<Vec<_>>()))
}
