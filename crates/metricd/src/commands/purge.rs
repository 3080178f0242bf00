//! `metricd purge`

use std::process::ExitCode;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use metricd_domain::MetricId;
use metricd_postgres::{PgRepository, RepositoryConfig};
use metricd_repository::{DefinitionFilter, MetricRepository, ServiceState};

use crate::arguments::{DatabaseArguments, PurgeArguments, usage_error};
use crate::database::Database;
use crate::output;

/// The number of definitions per page.
const PAGE: usize = 200;

/// Removes metrics that were deleted more than `--older-than` ago, or lists them.
pub(crate) async fn purge(arguments: &DatabaseArguments, call: &PurgeArguments) -> Result<ExitCode> {
    let age = TimeDelta::from_std(call.older_than).ok().and_then(|age| Utc::now().checked_sub_signed(age));
    let deleted_before =
        age.ok_or_else(|| usage_error("--older-than exceeds the range of dates: give a shorter duration"))?;
    let database = Database::open_or_join_existing(arguments)?;
    let repository = PgRepository::new(&database.owner, RepositoryConfig { max_connections: 1, ..Default::default() })?;
    let purged = if call.yes {
        repository.purge_metrics(deleted_before).await?
    } else {
        due(&repository, deleted_before).await?
    };
    database.close()?;
    let mut lines: Vec<_> = purged.iter().map(|id| format!("  {id}")).collect();
    let noun = if purged.len() == 1 { "metric" } else { "metrics" };
    let since = humantime::format_duration(call.older_than);
    lines.insert(
        0,
        match (purged.len(), call.yes) {
            (0, _) => format!("no metric was deleted more than {since} ago: nothing to remove"),
            (count, true) => format!("permanently removed {count} {noun} deleted more than {since} ago"),
            (count, false) => format!("would permanently remove {count} {noun} deleted more than {since} ago"),
        },
    );
    if !purged.is_empty() && !call.yes {
        lines.push("nothing was removed: give --yes to remove them".to_owned());
    }
    output::print(&(lines.join("\n") + "\n"));
    Ok(ExitCode::SUCCESS)
}

/// Lists the metrics that `--yes` would remove.
async fn due(repository: &PgRepository, deleted_before: DateTime<Utc>) -> Result<Vec<MetricId>> {
    let filter = DefinitionFilter { state: ServiceState::Deleted, ..DefinitionFilter::default() };
    let (mut due, mut after): (Vec<MetricId>, Option<MetricId>) = (Vec::new(), None);
    loop {
        let page = repository.list_definitions(&filter, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(due) };
        after = Some(last.metric.metric_id.clone());
        let is_due = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at < deleted_before);
        due.extend(page.into_iter().filter(|one| is_due(one.deleted_at)).map(|one| one.metric.metric_id));
    }
}
