//! `GET /openapi.json`

use actix_web::{HttpRequest, HttpResponse};

use super::{DocumentResponses, respond, static_body};
use crate::Problem;
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::query_string::QueryString;
use crate::openapi::api_document;
use crate::problem::problems;

problems!(GetOpenapiProblems: InvalidParameters);

/// Answers with the OpenAPI document of the API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "documents",
    params(IfNoneMatchHeader),
    responses(DocumentResponses, GetOpenapiProblems)
)]
pub(in crate::routes) async fn get_openapi(request: HttpRequest) -> Result<HttpResponse, Problem> {
    QueryString::parse(request.query_string()).finish()?;
    Ok(respond(&request, "application/json", static_body(&request, api_document().as_bytes())))
}
