//! What every change of a stored metric has in common: who may make it, of which version, and what is answered.

use actix_web::HttpRequest;
use metricd_domain::{MetricDefinition, MetricId};
use metricd_repository::{MetricChange, RepositoryError, ServiceState};

use crate::auth::caller;
use crate::extract::conditional;
use crate::{ApiState, Problem, ProblemCode};

/// How often a change is tried if others are faster and the client has named no version. Each time one of them has made a change,
/// so this bounds how many there may be at once.
const MAX_ATTEMPTS: usize = 100;

/// Changes a metric that is in this state to what `draft` makes of the definition that it has.
///
/// # Errors
///
/// 404, 410 where it is out of service and `of` is of those in service, 403 where it is not editable, 412 where the request has named
/// another version or others were faster each time, and those of `draft`, which is asked again for each attempt.
pub(super) async fn change(
    request: &HttpRequest,
    state: &ApiState,
    id: &MetricId,
    of: ServiceState,
    mut draft: impl AsyncFnMut(&MetricDefinition) -> Result<MetricChange, Problem>,
) -> Result<MetricDefinition, Problem> {
    for _ in 0..MAX_ATTEMPTS {
        // From the store, not from memory: this server may not have been told yet of the last change.
        let before = state.repository.get_definition(id).await?;
        if !before.metric.editable {
            return Err(Problem::new(ProblemCode::MetricNotEditable));
        }
        if before.deleted_at.is_some() && of == ServiceState::Active {
            return Err(Problem::new(ProblemCode::MetricDeleted));
        }
        conditional::check(request, &conditional::of_definition(&before))?;
        let change = draft(&before).await?;
        match state.repository.change_metric(id, before.version, change, caller::actor(request)).await {
            Err(RepositoryError::VersionMismatch { .. }) if !conditional::names_version(request) => {}
            changed => {
                state.definitions.invalidate();
                return Ok(changed?);
            }
        }
    }
    let detail = format!("Others changed the metric during each of {MAX_ATTEMPTS} attempts to change it: try again.");
    Err(Problem::new(ProblemCode::VersionMismatch).with_detail(detail))
}
