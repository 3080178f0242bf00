//! `GET /health/ready`

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::openapi::problems;
use crate::{ApiState, Problem, ProblemCode};

problems!(ReadinessProblems: NotReady);

/// One line for each thing that the server needs: `ok`, or what is wrong in a few words.
#[derive(Serialize, ToSchema)]
#[schema(as = Checks)]
pub(crate) struct ChecksResponse {
    database: &'static str,
    migrations: &'static str,
    definitions: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadyResponse {
    /// `ready`.
    status: &'static str,
    checks: ChecksResponse,
}

/// Says whether the database can be reached as both roles, the schema is up to date, and the definitions can be read.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    responses((status = OK, description = "The server can answer for metrics.", body = ReadyResponse), ReadinessProblems)
)]
pub(in crate::routes) async fn get_readiness(state: web::Data<ApiState>) -> Result<HttpResponse, Problem> {
    let (stored, running) = (state.repository.check().await, state.runner.check().await);
    let mut causes = Vec::new();
    let (migrations, definitions) = match &stored {
        Ok(readiness) if readiness.pending_migrations > 0 => ("pending", "unknown".to_owned()),
        Ok(readiness) => ("ok", format!("{} metrics", readiness.metric_count)),
        Err(error) => {
            causes.push(error.to_string());
            ("unknown", "unknown".to_owned())
        }
    };
    if let Err(error) = &running {
        causes.push(error.to_string());
    }
    let database = if causes.is_empty() { "ok" } else { "unavailable" };
    let is_ready = causes.is_empty() && migrations == "ok";
    let checks = ChecksResponse { database, migrations, definitions };
    if is_ready {
        return Ok(HttpResponse::Ok().json(ReadyResponse { status: "ready", checks }));
    }
    causes.extend((migrations == "pending").then(|| "migrations are pending: run `metricd migrate`".to_owned()));
    let checks = serde_json::to_value(checks).unwrap_or_default();
    Err(Problem::new(ProblemCode::NotReady).with_extension("checks", checks).caused_by(causes.join("; ")))
}
