//! What all operations have in common.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{Header, HeaderBuilder, OpenApi, Ref, RefOr, Response};

use super::problem_responses;
use super::problems::{add_problems, table};
use crate::ProblemCode;

/// What the edge answers, whatever is asked for.
const EDGE: &[ProblemCode] = &[
    ProblemCode::BadRequest,
    ProblemCode::ContentTooLarge,
    ProblemCode::UriTooLong,
    ProblemCode::HeadersTooLarge,
    ProblemCode::InternalError,
];

/// The headers that every response has: their names, and what they say.
const HEADERS: &[(&str, &str)] = &[
    (
        "Server-Timing",
        "How long the server took, in milliseconds: `total;dur=…`, and where SQL was run `queue`, `database` and `encode` before it.",
    ),
    (
        "X-Request-Id",
        "The request's id, by which the log knows it: the client's, where it has sent one of 1 to 128 letters, digits, `-`, `_` and `.`.",
    ),
];

/// Adds the edge's problems and headers to every operation, and what operations refer to.
pub(super) fn finish(api: &mut OpenApi) {
    let edge = problem_responses(EDGE);
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for (status, response) in &edge {
            operation.responses.responses.entry(status.clone()).or_insert_with(|| response.clone());
        }
        operation.responses.responses.values_mut().for_each(add_headers);
        if let Some(RefOr::T(unchanged)) = operation.responses.responses.get_mut("304") {
            unchanged.headers.insert("ETag".to_owned(), RefOr::T(header("The tag by which the client has it.")));
        }
    }
    let components = api.components.get_or_insert_default();
    add_problems(components);
    components.responses.values_mut().for_each(add_headers);
    components.headers.extend(HEADERS.iter().map(|(name, says)| ((*name).to_owned(), RefOr::T(header(says)))));
    let of_problems = |tag: &&mut Tag| tag.name == "problems";
    if let Some(tag) = api.tags.iter_mut().flatten().find(of_problems) {
        tag.description = Some(format!("What can go wrong.\n\n{}", table()));
    }
}

fn add_headers(response: &mut RefOr<Response>) {
    let RefOr::T(response) = response else { return };
    for (name, _) in HEADERS {
        let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
        response.headers.insert((*name).to_owned(), header);
    }
}

/// The operations of a path.
pub(super) fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, post, patch, delete, .. } = path;
    [get, post, patch, delete].into_iter().flatten()
}

fn header(says: &str) -> Header {
    HeaderBuilder::new().description(Some(says)).schema(Some(ObjectBuilder::new().schema_type(Type::String))).build()
}
