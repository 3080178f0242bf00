//! What all changes of a stored metric share: authorization, preconditions and the response.

use actix_web::HttpRequest;
use metricd_domain::{MetricDefinition, MetricId};
use metricd_repository::{MetricChange, RepositoryError, ServiceState};

use crate::auth::caller;
use crate::extract::conditional::{self, IfMatchHeader};
use crate::{ApiState, Problem, ProblemCode};

/// How often a change without `If-Match` is tried if concurrent changes win. One of them succeeds each time, so this
/// bounds the number of concurrent changes.
const MAX_CHANGE_ATTEMPTS: usize = 100;

/// Changes a metric in the given state to what `draft` makes of its definition.
///
/// # Errors
///
/// 404; 410 if the metric is deleted and `of` requires one in service; 403 if it is not editable; 412 if `If-Match` has
/// another version, or concurrent changes win every attempt; and the errors of `draft`, which is called for each
/// attempt.
pub(super) async fn change(
    request: &HttpRequest,
    state: &ApiState,
    id: &MetricId,
    of: ServiceState,
    mut draft: impl AsyncFnMut(&MetricDefinition) -> Result<MetricChange, Problem>,
) -> Result<MetricDefinition, Problem> {
    let if_match = IfMatchHeader::of(request);
    for _ in 0..MAX_CHANGE_ATTEMPTS {
        // Read from the repository: this server may not have been notified of the last change yet.
        let before = state.repository.get_definition(id).await?;
        if !before.metric.editable {
            return Err(Problem::new(ProblemCode::MetricNotEditable));
        }
        if before.deleted_at.is_some() && of == ServiceState::Active {
            return Err(Problem::new(ProblemCode::MetricDeleted));
        }
        if_match.check(&conditional::definition_tag(&before))?;
        let change = draft(&before).await?;
        match state.repository.change_metric(id, before.version, change, caller::actor(request)).await {
            Err(RepositoryError::VersionMismatch { .. }) if !if_match.names_version() => {}
            changed => {
                state.definitions.invalidate();
                return Ok(changed?);
            }
        }
    }
    let detail =
        format!("Concurrent changes of the metric have won each of {MAX_CHANGE_ATTEMPTS} attempts: try again.");
    Err(Problem::new(ProblemCode::VersionMismatch).with_detail(detail))
}
