//! Adds what all operations share.

use std::collections::BTreeSet;

use metricd_access::Scope;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{Header, HeaderBuilder, OpenApi, Ref, RefOr, Response};

use crate::ProblemCode;
use crate::problem::{add_problems, problem_responses, problem_table};
use crate::routes::declared_operations;

/// The problems of the middleware, for every operation.
const MIDDLEWARE_PROBLEMS: &[ProblemCode] = &[
    ProblemCode::BadRequest,
    ProblemCode::ForeignOrigin,
    ProblemCode::MisdirectedRequest,
    ProblemCode::ContentTooLarge,
    ProblemCode::UriTooLong,
    ProblemCode::HeadersTooLarge,
    ProblemCode::InternalError,
];

/// The headers of every response, with descriptions.
const COMMON_HEADERS: &[(&str, &str)] = &[
    (
        "Server-Timing",
        "The server's time in milliseconds: `total;dur=…`, after `queue`, `database` and `encode` if SQL was run.",
    ),
    (
        "X-Request-Id",
        "The request's id in the log: the client's if it sent one of 1 to 128 letters, digits, `-`, `_` and `.`, otherwise a new one.",
    ),
];

/// The problems of authentication, quotas and unread responses, for operations that need a token. The responses of the
/// others are small or static, and use no memory of unread responses.
const SCOPED_PROBLEMS: &[ProblemCode] = &[
    ProblemCode::TokenMissing,
    ProblemCode::TokenInvalid,
    ProblemCode::ScopeMissing,
    ProblemCode::TooManyRequests,
    ProblemCode::AnswersUnread,
    ProblemCode::ServerBusy,
];

/// The rate-limit headers of operations that need a token.
const RATE_HEADERS: &[(&str, &str)] = &[
    (
        "RateLimit-Policy",
        "If requests are limited: `\"requests\"`, their number as `q`, and the window in seconds as `w`.",
    ),
    (
        "RateLimit",
        "If requests are limited: `\"requests\"`, the remaining number as `r`, and the seconds until more are available as `t`.",
    ),
];

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// Adds the problems and headers of the middleware to the operation of a document, the scope that it needs, and that its
/// JSON body has no other members than the declared ones.
pub(super) fn add_common(document: &mut OpenApi, scope: Option<Scope>) {
    refuse_unknown_fields(document);
    for (_, operation) in document.paths.paths.values_mut().flat_map(declared_operations) {
        merge_problems(operation, MIDDLEWARE_PROBLEMS);
        if let Some(scope) = scope {
            require_scope(operation, scope);
        }
        operation.responses.responses.values_mut().for_each(|response| add_headers(response, COMMON_HEADERS));
        if let Some(RefOr::T(unchanged)) = operation.responses.responses.get_mut("304") {
            unchanged.headers.insert("ETag".to_owned(), RefOr::T(header("The tag of the client's copy.")));
        }
    }
}

/// Adds the components that operations refer to, and the table of problems.
pub(super) fn add_components(api: &mut OpenApi) {
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(BEARER, bearer());
    add_problems(components);
    for (code, response) in &mut components.responses {
        add_headers(response, COMMON_HEADERS);
        if code == ProblemCode::TooManyRequests.code() {
            add_headers(response, RATE_HEADERS);
        }
    }
    components.headers.extend(
        COMMON_HEADERS
            .iter()
            .chain(RATE_HEADERS)
            .map(|(name, description)| ((*name).to_owned(), RefOr::T(header(description)))),
    );
    let of_problems = |tag: &&mut Tag| tag.name == "problems";
    if let Some(tag) = api.tags.iter_mut().flatten().find(of_problems) {
        tag.description = Some(format!("The codes of problems.\n\n{}", problem_table()));
    }
}

/// Declares what [`Fields`](crate::extract::fields::Fields) does with a field that its schema does not have.
fn refuse_unknown_fields(document: &mut OpenApi) {
    let bodies = document.paths.paths.values_mut().flat_map(declared_operations).filter_map(|(_, operation)| {
        let Some(RefOr::T(body)) = &operation.request_body else { return None };
        let Some(RefOr::T(content)) = body.content.get("application/json") else { return None };
        let Some(RefOr::Ref(reference)) = &content.schema else { return None };
        reference.ref_location.rsplit('/').next().map(str::to_owned)
    });
    let bodies: Vec<_> = bodies.collect();
    for name in bodies {
        let schemas = document.components.as_mut().map(|components| &mut components.schemas);
        if let Some(RefOr::T(Schema::Object(body))) = schemas.and_then(|schemas| schemas.get_mut(&name)) {
            body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Declares that the operation needs a token with the scope.
fn require_scope(operation: &mut Operation, scope: Scope) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, [scope.name()])]);
    merge_problems(operation, SCOPED_PROBLEMS);
    for response in operation.responses.responses.values_mut() {
        add_headers(response, RATE_HEADERS);
    }
}

/// Adds the problems to those of the operation's own responses.
fn merge_problems(operation: &mut Operation, added: &[ProblemCode]) {
    let responses = &mut operation.responses.responses;
    let codes: BTreeSet<_> = responses.values().flat_map(codes_of).chain(added.iter().copied()).collect();
    responses.extend(problem_responses(&Vec::from_iter(codes)));
}

/// The codes of a problem response: the name of the component that it refers to, or the names of its examples.
fn codes_of(response: &RefOr<Response>) -> Vec<ProblemCode> {
    let names: Vec<&str> = match response {
        RefOr::Ref(reference) => reference.ref_location.rsplit('/').take(1).collect(),
        RefOr::T(response) => {
            let Some(RefOr::T(problems)) = response.content.get("application/problem+json") else { return Vec::new() };
            problems.examples.keys().map(String::as_str).collect()
        }
    };
    ProblemCode::ALL.iter().copied().filter(|code| names.contains(&code.code())).collect()
}

fn bearer() -> SecurityScheme {
    let description = "A JWT as `Authorization: Bearer …`, with the operation's scope in its claim `scope` or `scp`. A server \
                without a verification key requires no token and ignores it.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(description));
    SecurityScheme::Http(scheme.build())
}

fn add_headers(response: &mut RefOr<Response>, headers: &[(&str, &str)]) {
    let RefOr::T(response) = response else { return };
    for (name, _) in headers {
        let header = RefOr::Ref(Ref::new(format!("#/components/headers/{name}")));
        response.headers.insert((*name).to_owned(), header);
    }
}

fn header(description: &str) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::OperationBuilder;

    use super::*;

    #[test]
    fn added_problems_join_an_operations_own_of_the_same_status() {
        let own = [ProblemCode::TenantMissing, ProblemCode::TokenLimited, ProblemCode::NoConnection];
        let mut operation = OperationBuilder::new().build();
        operation.responses.responses.extend(problem_responses(&own));
        merge_problems(&mut operation, &[ProblemCode::ScopeMissing, ProblemCode::ServerBusy]);
        let responses = operation.responses.responses.iter();
        let merged: Vec<_> = responses.map(|(status, response)| (status.as_str(), codes_of(response))).collect();
        let forbidden = vec![ProblemCode::ScopeMissing, ProblemCode::TenantMissing, ProblemCode::TokenLimited];
        assert_eq!(merged, [("403", forbidden), ("503", vec![ProblemCode::NoConnection, ProblemCode::ServerBusy])]);
    }
}
