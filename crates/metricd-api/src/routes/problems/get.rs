//! `GET /problems/{code}`

use actix_web::http::header::{ContentType, VARY};
use actix_web::{HttpRequest, HttpResponse, web};

use super::{ProblemResponse, page};
use crate::extract::negotiation::prefers_html;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{Problem, ProblemCode};

problems!(GetProblemProblems: NotFound, InvalidParameters);

/// Answers with the meaning of a problem code.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    tag = "problems",
    params(("code" = String, Path, description = "The code of a problem.", example = "metric-not-found")),
    responses(
        (status = OK, description = "The meaning of the code; as HTML if `Accept` prefers that.", content(
            (ProblemResponse = "application/json"),
            (String = "text/html"),
        )),
        GetProblemProblems,
    )
)]
pub(in crate::routes) async fn get_problem(
    request: HttpRequest,
    code: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    let known = ProblemCode::ALL.iter().find(|known| known.code() == code.as_str());
    let code = *known.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "accept"));
    if prefers_html(&request) {
        return Ok(response.content_type(ContentType::html()).body(page::of_one(code)));
    }
    Ok(response.json(ProblemResponse::from(code)))
}
