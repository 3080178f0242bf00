//! The examples: requests with responses that were recorded from a server with the sample.
//!
//! `examples.json` keeps the order of recording, since some requests depend on others. A test of the program repeats
//! them and compares the responses.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::{OpenApi, RefOr};

use crate::routes::declared_operations;

/// A request and its response.
#[derive(Debug, Clone, Deserialize)]
struct Exchange {
    operation_id: String,
    /// A short summary.
    summary: String,
    request: ExampleRequest,
    answer: ExampleResponse,
}

#[derive(Debug, Clone, Deserialize)]
struct ExampleRequest {
    body: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExampleResponse {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
}

/// Every exchange in the order of recording.
fn exchanges() -> Vec<Exchange> {
    // The file is embedded, and a test parses it.
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
}

/// Adds the examples to their operations.
pub(super) fn add(api: &mut OpenApi) {
    for exchange in exchanges() {
        let is_of = |id: &Option<String>| id.as_deref() == Some(exchange.operation_id.as_str());
        let mut all = api.paths.paths.values_mut().flat_map(declared_operations);
        let Some((_, operation)) = all.find(|(_, operation)| is_of(&operation.operation_id)) else { continue };
        if let (Some(RefOr::T(body)), Some(sent)) = (&mut operation.request_body, &exchange.request.body)
            && let Some(RefOr::T(content)) = body.content.get_mut("application/json")
        {
            content.examples.insert(exchange.key(), exchange.example(sent));
        }
        let Some(body) = &exchange.answer.body else { continue };
        if let Some(code) = exchange.answer.code() {
            let examples = &mut api.components.get_or_insert_default().examples;
            examples.entry(code.to_owned()).or_insert_with(|| exchange.example(body));
            continue;
        }
        let status = exchange.answer.status.to_string();
        let Some(RefOr::T(response)) = operation.responses.responses.get_mut(&status) else { continue };
        if let Some(RefOr::T(content)) = response.content.get_mut(exchange.answer.media_type()) {
            content.examples.insert(exchange.key(), exchange.example(body));
        }
    }
}

impl Exchange {
    fn key(&self) -> String {
        self.summary.to_lowercase().replace(' ', "-")
    }

    fn example(&self, value: &Value) -> RefOr<Example> {
        RefOr::T(ExampleBuilder::new().summary(&self.summary).value(Some(value.clone())).build())
    }
}

impl ExampleResponse {
    /// The code of a problem response.
    fn code(&self) -> Option<&str> {
        self.body.as_ref()?.get("code").filter(|_| self.status >= 400)?.as_str()
    }

    fn media_type(&self) -> &str {
        let value = self.headers.get("content-type").map_or("", String::as_str);
        value.split(';').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_an_operation() {
        let exchanges: Vec<Exchange> = serde_json::from_str(include_str!("examples.json")).unwrap();
        let document: Value = serde_json::from_str(crate::openapi::api_document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        for exchange in &exchanges {
            let of = |operation: &&Value| operation["operationId"] == exchange.operation_id;
            let operation = paths.values().flat_map(|path| path.as_object().unwrap().values()).find(of);
            let response = &operation.expect(&exchange.operation_id)["responses"][exchange.answer.status.to_string()];
            assert!(!response.is_null(), "{} answers {}", exchange.operation_id, exchange.answer.status);
            if let Some(code) = exchange.answer.code() {
                assert!(!document["components"]["examples"][code].is_null(), "{exchange:?}");
            } else if exchange.answer.body.is_some() {
                let content = &response["content"][exchange.answer.media_type()];
                assert!(!content["examples"][exchange.key()].is_null(), "{exchange:?}");
            }
        }
        assert!(exchanges.len() > 20);
    }
}
