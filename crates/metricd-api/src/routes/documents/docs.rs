//! `GET /docs` and its files: Swagger UI, which is embedded.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::IntoParams;
use utoipa_swagger_ui::Config;

use super::{respond, static_body};
use crate::extract::conditional::IfNoneMatchHeader;
use crate::extract::query_string::QueryString;
use crate::problem::problems;
use crate::{Problem, ProblemCode};

/// Allows only resources of this server. Swagger UI sets inline styles.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");

/// The files of Swagger UI that the page needs.
const SWAGGER_UI_FILES: &[&str] = &["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// The document to show. The script on the page reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct DocsParams {
    /// Shows the document of this metric.
    metric_id: Option<String>,
    /// Shows the document of this dashboard.
    dashboard_id: Option<String>,
}

impl DocsParams {
    /// Takes the parameters, and records their faults.
    fn take(query: &mut QueryString<'_>) {
        let mut text = |name| query.take(name, |text| Ok::<_, String>(text.to_owned()));
        let params = Self { metric_id: text("metric_id"), dashboard_id: text("dashboard_id") };
        if params.metric_id.is_some() && params.dashboard_id.is_some() {
            query.error("dashboard_id", "expected `metric_id` or `dashboard_id`, not both".to_owned());
        }
    }
}

problems!(GetDocsProblems: InvalidParameters);
problems!(GetDocsFileProblems: NotFound, InvalidParameters);

/// Answers with a page that shows the OpenAPI documents, and tries their operations.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "documents",
    params(
        DocsParams,
        IfNoneMatchHeader,
    ),
    responses(
        (status = OK, description = "The page.", body = String, content_type = "text/html"),
        (status = NOT_MODIFIED, description = "The client's copy is still valid."),
        GetDocsProblems,
    )
)]
pub(in crate::routes) async fn get_docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut query = QueryString::parse(request.query_string());
    DocsParams::take(&mut query);
    query.finish()?;
    let mut response = respond(&request, "text/html; charset=utf-8", static_body(&request, PAGE.as_bytes()));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    Ok(response)
}

/// Answers with a file of the documentation page.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "documents",
    params(("file" = String, Path, description = "The file's name.", example = "page.js"), IfNoneMatchHeader),
    responses(
        (status = OK, description = "The file.", content(
            (String = "text/css"),
            (String = "text/javascript"),
            (String = "image/png"),
        )),
        (status = NOT_MODIFIED, description = "The client's copy is still valid."),
        GetDocsFileProblems,
    )
)]
pub(in crate::routes) async fn get_docs_file(
    request: HttpRequest,
    file: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(Arc::default);

    QueryString::parse(request.query_string()).finish()?;
    if file.as_str() == "page.js" {
        return Ok(respond(&request, "text/javascript", static_body(&request, SCRIPT.as_bytes())));
    }
    let name = SWAGGER_UI_FILES.iter().find(|name| **name == file.as_str());
    let name = name.ok_or_else(|| Problem::new(ProblemCode::NotFound))?;
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(found)) => {
            let bytes = match found.bytes {
                Cow::Borrowed(bytes) => static_body(&request, bytes),
                Cow::Owned(bytes) => bytes.into(),
            };
            Ok(respond(&request, &found.content_type, bytes))
        }
        Ok(None) => Err(Problem::new(ProblemCode::NotFound)),
        Err(error) => Err(Problem::new(ProblemCode::InternalError).caused_by(error)),
    }
}
