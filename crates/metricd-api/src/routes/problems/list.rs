//! `GET /problems`

use actix_web::http::header::{ContentType, VARY};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ProblemResponse, page};
use crate::extract::negotiation::prefers_html;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{Problem, ProblemCode};

/// Every code, on one page.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemKinds)]
struct ProblemsResponse {
    items: Vec<ProblemResponse>,
    #[schema(required)]
    next_cursor: Option<String>,
}

problems!(ListProblemsProblems: InvalidParameters);

/// Answers with every problem code.
#[utoipa::path(
    get,
    path = "/problems",
    tag = "problems",
    responses(
        (status = OK, description = "Every code; as HTML if `Accept` prefers that.", content(
            (ProblemsResponse = "application/json"),
            (String = "text/html"),
        )),
        ListProblemsProblems,
    )
)]
pub(in crate::routes) async fn list_problems(request: HttpRequest) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "accept"));
    if prefers_html(&request) {
        return Ok(response.content_type(ContentType::html()).body(page::of_all()));
    }
    let items = ProblemCode::ALL.iter().copied().map(ProblemResponse::from).collect();
    Ok(response.json(ProblemsResponse { items, next_cursor: None }))
}
