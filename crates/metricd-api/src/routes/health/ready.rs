//! `GET /health/ready`

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use futures_util::future::{OptionFuture, join3};
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::problem::{ChecksResponse, problems};
use crate::{ApiState, Problem, ProblemCode};

problems!(ReadinessProblems: NotReady);

#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadyResponse {
    /// `ready`.
    status: &'static str,
    checks: ChecksResponse,
}

/// The data is not in the database in which SQL was validated.
const MOVED: &str = "in another database than the one in which SQL was validated, for example because a standby was promoted: \
                     see the server's log, and restart it";

/// The time limit of each check.
const READINESS_CHECK_TIMEOUT: Duration = Duration::from_millis(1_700);

/// Checks the database with both roles, the schema, the definitions, and the isolation of tenants.
///
/// The response takes at most 2 s. Cancelled statements that the database has not stopped are reported, but do not make
/// the server unready: other metrics are answered.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses((status = OK, description = "The server is ready to run metrics.", body = ReadyResponse), ReadinessProblems)
)]
pub(in crate::routes) async fn get_readiness(state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    let stored = timeout(READINESS_CHECK_TIMEOUT, state.repository.check());
    let running = timeout(READINESS_CHECK_TIMEOUT, state.runner.check());
    let isolating: OptionFuture<_> = state
        .tenants
        .as_ref()
        .map(|tenants| timeout(READINESS_CHECK_TIMEOUT, tenants.check(state.runner.as_ref(), None)))
        .into();
    let (stored, running, isolating) = join3(stored, running, isolating).await;
    let mut causes = Vec::new();
    let (migrations, definitions) = match &stored {
        Ok(Ok(readiness)) if readiness.pending_migrations > 0 => ("pending", "unknown"),
        // Without a token the response does not reveal how many metrics there are.
        Ok(Ok(_)) => ("ok", "ok"),
        Ok(Err(error)) => {
            causes.push(error.to_string());
            ("unknown", "unknown")
        }
        Err(_) => {
            causes.push("the catalog took too long to answer".to_owned());
            ("unknown", "unknown")
        }
    };
    match &running {
        Ok(Ok(())) => {}
        Ok(Err(error)) => causes.push(error.to_string()),
        Err(_) => causes.push("the reader's database took too long to answer".to_owned()),
    }
    let database = if causes.is_empty() { "ok" } else { "unavailable" };
    let row_security = isolating.map(|isolating| match isolating {
        Ok(Ok(Ok(()))) => "ok",
        Ok(Ok(Err(open))) => {
            causes.push(open.to_string());
            "row-level security is missing on relations that the reader may read, so no metric runs for any tenant; the \
             server's log names them"
        }
        // A busy server is ready, and the check before reports an unreachable database.
        Ok(Err(_)) | Err(_) => "unknown",
    });
    let of_replicas = state.replicas.as_ref().map_or(0, |replicas| replicas.stuck_connections());
    let statements = match state.runner.stuck_connections() + of_replicas {
        0 => "ok".to_owned(),
        1 => "1 statement still runs after it was cancelled; its metric is held back".to_owned(),
        stuck => format!("{stuck} statements still run after they were cancelled; their metrics are held back"),
    };
    if let Some(replicas) = &state.replicas {
        causes.extend(replicas.choose(None, Duration::ZERO).await.err().map(|error| error.to_string()));
    }
    let has_moved = state.has_data_moved.load(Ordering::Relaxed);
    causes.extend(has_moved.then(|| "the data has moved".to_owned()));
    let data = if has_moved { Some(MOVED) } else { state.data_place };
    let checks = ChecksResponse { database, migrations, definitions, statements, row_security, data };
    let is_ready = causes.is_empty() && migrations == "ok";
    if is_ready {
        return Ok(HttpResponse::Ok().json(ReadyResponse { status: "ready", checks }));
    }
    causes.extend((migrations == "pending").then(|| "migrations are pending: run `metricd migrate`".to_owned()));
    let checks = serde_json::to_value(checks).unwrap_or_default();
    Err(Problem::new(ProblemCode::NotReady).with_extension("checks", checks).caused_by(causes.join("; ")))
}
