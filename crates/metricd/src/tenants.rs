//! Checks that row-level security isolates tenants, before the server starts.

use std::sync::Arc;

use anyhow::{Result, ensure};
use metricd_api::TenantIsolation;
use metricd_database::TargetSession;
use metricd_execution::MetricRunner;
use metricd_postgres::{DataPlace, tenant_key};
use metricd_runner::PgRunner;

use crate::arguments::AccessArguments;
use crate::database::Database;

/// Returns the runner, which runs SQL for tenants if the arguments name a claim. Fails if a relation does not isolate them.
pub(crate) async fn tenants(
    arguments: &AccessArguments,
    database: &Database,
    runner: PgRunner,
) -> Result<(PgRunner, Option<Arc<TenantIsolation>>)> {
    let Some(claim) = &arguments.tenant_claim else { return Ok((runner, None)) };
    ensure!(
        database.data()? != DataPlace::Elsewhere,
        "--tenant-claim cannot be used: the data is in another database than the catalog, and its policies cannot call \
         `tenancy.current_tenant()` there; set READER_DATABASE_URL to the database of DATABASE_URL or to a standby of it"
    );
    let hosts = database.reader.by_host()?.len();
    ensure!(
        hosts == 1 || matches!(database.reader.target(), TargetSession::Primary | TargetSession::ReadWrite),
        "--tenant-claim cannot be used with several hosts in READER_DATABASE_URL, unless `target_session_attrs` is `primary` or \
         `read-write`: row-level security that was just enabled on the primary is not in force on a standby yet"
    );
    let runner = runner.naming_tenants_by(tenant_key(&database.owner)?.into());

    let relations = runner.relations().await?;
    let is_known = |name: &str| relations.iter().any(|relation| relation.is_named(name));
    let unknown: Vec<_> = arguments.shared_tables.iter().filter(|name| !is_known(name)).collect();
    ensure!(
        unknown.is_empty(),
        "--shared-table names relations that the database does not have, or the reader may not read: {}",
        unknown.into_iter().map(|name| format!("`{}`", name.escape_debug())).collect::<Vec<_>>().join(", ")
    );
    let tenants = TenantIsolation::with_public_relations(arguments.shared_tables.iter().cloned());
    // `None` checks the relations as for SQL that may read any of them.
    if let Err(open) = tenants.check(&runner, None).await? {
        anyhow::bail!(
            "{open}: enable row-level security there and create a policy `USING (tenant = (SELECT tenancy.current_tenant()))`, \
             with or without more conditions joined by AND; give a view `security_invoker`; or name with --shared-table the \
             relations whose rows every tenant may see; docs/tenants.md shows how"
        );
    }
    log::info!("SQL runs for the tenant in the claim `{}` of a token", claim.escape_debug());
    Ok((runner, Some(Arc::new(tenants))))
}
