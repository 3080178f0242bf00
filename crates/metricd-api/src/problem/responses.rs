//! Problems as OpenAPI responses.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::{Problem, ProblemCode};

/// Defines a type for the problem responses of an operation: `problems!(Name: Code, …)`.
macro_rules! problems {
    ($name:ident: $($code:ident),+ $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::problem::problem_responses(&[$($crate::ProblemCode::$code),+])
            }
        }
    };
}
pub(crate) use problems;

/// The responses of these problems by status. A status with one problem refers to that problem's component.
pub(crate) fn problem_responses(codes: &[ProblemCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<ProblemCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_u16().to_string()).or_default().push(*code);
    }
    let response = |codes: &[ProblemCode]| match codes {
        [code] => RefOr::Ref(Ref::new(format!("#/components/responses/{}", code.code()))),
        codes => RefOr::T(response(codes)),
    };
    by_status.into_iter().map(|(status, codes)| (status, response(&codes))).collect()
}

/// Adds the response and an example of every problem to the components.
pub(crate) fn add_problems(components: &mut Components) {
    for code in ProblemCode::ALL {
        components.responses.insert(code.code().to_owned(), RefOr::T(response(&[*code])));
        let example = ExampleBuilder::new().summary(code.title()).value(document(*code)).build();
        // An example of a real response takes precedence.
        components.examples.entry(code.code().to_owned()).or_insert(RefOr::T(example));
    }
}

/// Every problem, as a Markdown table.
pub(crate) fn problem_table() -> String {
    let mut table = "| code | status | detail |\n|---|---|---|\n".to_owned();
    for code in ProblemCode::ALL {
        let _ = writeln!(table, "| `{}` | {} | {} |", code.code(), code.status().as_u16(), code.detail());
    }
    table
}

/// The response of these problems, which share a status.
fn response(codes: &[ProblemCode]) -> Response {
    let described: Vec<_> = codes.iter().map(|code| format!("`{}`: {}", code.code(), code.detail())).collect();
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    for code in codes {
        let example = RefOr::Ref(Ref::new(format!("#/components/examples/{}", code.code())));
        content.examples.insert(code.code().to_owned(), example);
    }
    let response = ResponseBuilder::new().description(described.join("\n\n"));
    let mut response = response.content("application/problem+json", content);
    if codes.iter().any(|code| code.challenges()) {
        let challenge = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .description(Some("The challenge of RFC 6750: what is wrong with the token."));
        response = response.header("WWW-Authenticate", challenge.build());
    }
    if codes.iter().all(|code| code.retry_after().is_none()) {
        return response.build();
    }
    let seconds = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
        .description(Some("After how many seconds to retry."));
    response.header("Retry-After", seconds.build()).build()
}

/// The problem document with the default detail.
fn document(code: ProblemCode) -> Option<Value> {
    serde_json::from_slice(&Problem::new(code).document("/")).ok()
}
