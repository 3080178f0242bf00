//! The API's own documentation: OpenAPI documents, and a page that shows them.

pub(super) mod api;
pub(super) mod dashboard;
pub(super) mod docs;
pub(super) mod metric;

use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use utoipa::IntoResponses;

use crate::connections::StaticBody;
use crate::extract::conditional;

/// The responses of a document.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "read by the document alone")]
enum DocumentResponses {
    /// An OpenAPI 3.1 document.
    #[response(
        status = OK,
        content_type = "application/json",
        headers(("ETag" = String, description = "For `If-None-Match`."))
    )]
    Whole(serde_json::Value),
    /// The client's copy is still valid.
    #[response(status = NOT_MODIFIED)]
    Unchanged,
}

/// Answers with a document, or with 304.
fn respond(request: &HttpRequest, content_type: &str, document: impl Into<Bytes>) -> HttpResponse {
    let document = document.into();
    let tag = conditional::content_tag(&document);
    conditional::respond_with_tag(request, &tag, |mut response| response.content_type(content_type).body(document))
}

/// A static document as a body: without a copy, and without counting against the memory of unread responses.
fn static_body(request: &HttpRequest, bytes: &'static [u8]) -> Bytes {
    request.extensions_mut().insert(StaticBody);
    Bytes::from_static(bytes)
}
