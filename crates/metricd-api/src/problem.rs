//! Problem documents (RFC 9457), the response of every error.

mod causes;
mod code;
mod members;
mod responses;
mod schema;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub use self::code::ProblemCode;
pub(crate) use self::members::{ChecksResponse, FindingResponse};
pub(crate) use self::responses::{add_problems, problem_responses, problem_table, problems};
pub(crate) use self::schema::ProblemSchema;
use crate::results::contracts::Staleness;

/// An invalid input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The input's name.
    pub field: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// An error: what the client sees, and its cause, which only the log shows.
#[derive(Debug, Clone)]
pub struct Problem {
    code: ProblemCode,
    detail: Option<Box<str>>,
    errors: Vec<FieldError>,
    extensions: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<str>>,
    staleness: Staleness,
}

impl Problem {
    /// A problem with the code's detail.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        let (errors, extensions, headers) = (Vec::new(), Map::new(), Vec::new());
        Self { code, detail: None, errors, extensions, headers, cause: None, staleness: Staleness::None }
    }

    /// Replaces the code's detail. A server error keeps it: its specifics are for the log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        if !self.code.status().is_server_error() {
            self.detail = Some(detail.into().into());
        }
        self
    }

    /// Replaces the code's detail by another constant one, also for a server error.
    #[must_use]
    pub(crate) fn with_constant_detail(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the invalid inputs.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn with_extension(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header to the response.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Says whether a stale contract may be the cause.
    #[must_use]
    pub(crate) fn with_contract_staleness(self, staleness: Staleness) -> Self {
        Self { staleness, ..self }
    }

    pub(crate) fn staleness(&self) -> Staleness {
        self.staleness
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ProblemCode {
        self.code
    }

    /// The invalid inputs.
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The problem without its cause, which the log has already.
    pub(crate) fn logged(&self) -> Self {
        Self { cause: None, ..self.clone() }
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The detail that the client sees.
    pub(crate) fn shown_detail(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.detail())
    }

    /// The JSON document; `instance` is the request's path.
    pub(crate) fn document(&self, instance: &str) -> Vec<u8> {
        let code = self.code.code();
        let document = Document {
            r#type: format!("/problems/{code}"),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: self.shown_detail(),
            instance,
            code,
            errors: &self.errors,
            extensions: &self.extensions,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The response; `instance` is the request's path.
    pub(crate) fn respond(&self, instance: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        if let Some(seconds) = self.code.retry_after() {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        for header in &self.headers {
            response.insert_header(header.clone());
        }
        if self.code == ProblemCode::NotAcceptable {
            response.insert_header((VARY, "accept"));
        }
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        response.body(self.document(instance))
    }
}

/// A problem (RFC 9457).
#[derive(Serialize, ToSchema)]
struct Document<'a> {
    /// The path of a page that explains the problem: `/problems/<code>`.
    #[schema(format = "uri-reference")]
    r#type: String,
    /// A constant title of the code.
    title: &'a str,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong in this request, and what to do.
    detail: &'a str,
    /// The path of the request.
    #[schema(format = "uri-reference")]
    instance: &'a str,
    /// The stable code, for programs.
    #[schema(schema_with = schema::code)]
    code: &'a str,
    /// Every invalid input.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    #[serde(flatten)]
    #[schema(ignore)]
    extensions: &'a Map<String, Value>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code.code())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        // The middleware, which knows the request's path, writes the document.
        HttpResponse::new(self.code.status())
    }
}
