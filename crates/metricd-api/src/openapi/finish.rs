//! Adds what all operations share.

use actix_web::http::Method;
use metricd_access::Scope;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{Header, HeaderBuilder, OpenApi, Ref, RefOr, Response};

use crate::ProblemCode;
use crate::problem::{add_problems, problem_responses, problem_table};
use crate::routes::scopes;

/// The problems of the middleware, for every operation.
const MIDDLEWARE_PROBLEMS: &[ProblemCode] = &[
    ProblemCode::BadRequest,
    ProblemCode::ForeignOrigin,
    ProblemCode::MisdirectedRequest,
    ProblemCode::ContentTooLarge,
    ProblemCode::UriTooLong,
    ProblemCode::HeadersTooLarge,
    ProblemCode::AnswersUnread,
    ProblemCode::InternalError,
    ProblemCode::ServerBusy,
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

/// The problems of authentication and quotas, for operations that need a token.
const AUTHENTICATION_PROBLEMS: &[ProblemCode] = &[
    ProblemCode::TokenMissing,
    ProblemCode::TokenInvalid,
    ProblemCode::ScopeMissing,
    ProblemCode::ForeignOrigin,
    ProblemCode::TooManyRequests,
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

/// Adds the problems and headers of the middleware to every operation, its scope, and the components.
pub(super) fn add_common(api: &mut OpenApi) {
    for (path, method, scope) in scopes() {
        let item = api.paths.paths.get_mut(&path);
        if let Some(operation) = item.and_then(|item| operation_mut(item, &method)) {
            require_scope(operation, scope);
        }
    }
    let edge = problem_responses(MIDDLEWARE_PROBLEMS);
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        for (status, response) in &edge {
            operation.responses.responses.entry(status.clone()).or_insert_with(|| response.clone());
        }
        operation.responses.responses.values_mut().for_each(|response| add_headers(response, COMMON_HEADERS));
        if let Some(RefOr::T(unchanged)) = operation.responses.responses.get_mut("304") {
            unchanged.headers.insert("ETag".to_owned(), RefOr::T(header("The tag of the client's copy.")));
        }
    }
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

/// Declares that the operation needs a token with the scope.
fn require_scope(operation: &mut Operation, scope: Scope) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, [scope.name()])]);
    let responses = &mut operation.responses.responses;
    let own = responses.values().filter_map(code_of);
    let codes: Vec<_> = AUTHENTICATION_PROBLEMS.iter().copied().chain(own).collect();
    let is_of_authentication = |code: &ProblemCode| {
        AUTHENTICATION_PROBLEMS.iter().any(|authentication| authentication.status() == code.status())
    };
    let codes: Vec<_> = codes.into_iter().filter(is_of_authentication).collect();
    responses.extend(problem_responses(&codes));
    for response in responses.values_mut() {
        add_headers(response, RATE_HEADERS);
    }
}

/// The problem code of a response.
fn code_of(response: &RefOr<Response>) -> Option<ProblemCode> {
    let RefOr::Ref(reference) = response else { return None };
    let name = reference.ref_location.rsplit('/').next()?;
    ProblemCode::ALL.iter().copied().find(|code| code.code() == name)
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

/// The operations of a path.
pub(super) fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, post, patch, delete, .. } = path;
    [get, post, patch, delete].into_iter().flatten()
}

fn operation_mut<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    let PathItem { get, post, patch, delete, .. } = item;
    let found = [(Method::GET, get), (Method::POST, post), (Method::PATCH, patch), (Method::DELETE, delete)];
    found.into_iter().find(|(of, _)| of == method)?.1.as_mut()
}

fn header(description: &str) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
