//! The problems that operations answer with, as responses.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::{Content, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::{Problem, ProblemCode};

/// Makes a type that stands for problems among the responses of an operation: `problems!(Name: Code, …)`.
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

/// The responses with these problems, by status. A status that only one of them has is described in one place for all operations.
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

/// The response and an example of every problem, to which operations refer.
pub(crate) fn add_problems(components: &mut Components) {
    for code in ProblemCode::ALL {
        components.responses.insert(code.code().to_owned(), RefOr::T(response(&[*code])));
        let example = ExampleBuilder::new().summary(code.title()).value(document(*code)).build();
        // One that the server has really given is there already.
        components.examples.entry(code.code().to_owned()).or_insert(RefOr::T(example));
    }
}

/// Every problem, as a table in Markdown.
pub(crate) fn problem_table() -> String {
    let mut table = "| code | status | what it means |\n|---|---|---|\n".to_owned();
    for code in ProblemCode::ALL {
        let _ = writeln!(table, "| `{}` | {} | {} |", code.code(), code.status().as_u16(), code.detail());
    }
    table
}

/// The response with one of these problems, which have one status.
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
            .description(Some("What was wrong with the token, as RFC 6750 has it."));
        response = response.header("WWW-Authenticate", challenge.build());
    }
    if codes.iter().all(|code| code.retry_after().is_none()) {
        return response.build();
    }
    let seconds = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
        .description(Some("After how many seconds to try again."));
    response.header("Retry-After", seconds.build()).build()
}

/// The problem as it is answered where nothing more can be said.
fn document(code: ProblemCode) -> Option<Value> {
    serde_json::from_slice(&Problem::new(code).document("/")).ok()
}
