//! Problem documents (RFC 9457): what every error answers.

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

/// One input that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The input's name.
    pub field: String,
    /// What is wrong with it and what was expected.
    pub message: String,
}

/// What went wrong, as the client is told, and its cause, which only the log is told.
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
    /// A problem with the detail that its code has.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        let (errors, extensions, headers) = (Vec::new(), Map::new(), Vec::new());
        Self { code, detail: None, errors, extensions, headers, cause: None, staleness: Staleness::None }
    }

    /// Says more than the code does. A problem of the server's keeps the detail of its code: what it could say more is for
    /// the log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        if !self.code.status().is_server_error() {
            self.detail = Some(detail.into().into());
        }
        self
    }

    /// Says it in other words than the code, which are as constant, so that a problem of the server's may have them as well.
    #[must_use]
    pub(crate) fn with_constant_detail(mut self, detail: &'static str) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the inputs that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Adds a member of its own to the document.
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

    /// Tells the log what caused the problem.
    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Says that the metric's contract may be to blame.
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

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The detail that the client is told.
    pub(crate) fn shown_detail(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.detail())
    }

    /// The document, as JSON; `instance` is the path that was asked for.
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

    /// The response; `instance` is the path that was asked for.
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

/// What went wrong (RFC 9457).
#[derive(Serialize, ToSchema)]
struct Document<'a> {
    /// Names the kind of problem, and is the path of a page that explains it: `/problems/<code>`.
    #[schema(format = "uri-reference")]
    r#type: String,
    /// The kind of problem, in words that are the same each time.
    title: &'a str,
    /// The response's status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong this time, and what to do.
    detail: &'a str,
    /// The path that was asked for.
    #[schema(format = "uri-reference")]
    instance: &'a str,
    /// The kind of problem, as programs tell it.
    #[schema(schema_with = schema::code)]
    code: &'a str,
    /// The inputs that are wrong: all of them.
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
        // The edge, which knows the path that was asked for, writes the document.
        HttpResponse::new(self.code.status())
    }
}
