//! Checks every response of these tests against the OpenAPI document.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::Result;
use jsonschema::Validator;
use metricd_api::openapi::api_document;
use serde_json::{Map, Value, json};

use crate::support::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(api_document()).unwrap_or_default());

/// Asserts that the operation's document has the status, the content type and, for JSON, the schema of the response,
/// and for a problem its code.
/// Responses outside all operations are not documented.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) -> Result<()> {
    let Some(operation) = operation(method, path) else { return Ok(()) };
    let operation_name = format!("{method} {path}");
    let response = resolve(&operation["responses"][answer.status.to_string()]);
    assert!(response.is_object(), "{operation_name}: the document knows no {}", answer.status);
    for name in ["Server-Timing", "X-Request-Id"] {
        assert!(
            response["headers"][name].is_object() && !answer.header(name).is_empty(),
            "{operation_name}: no {name}"
        );
    }
    let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
    if method == "HEAD" || answer.status == 204 || answer.status == 304 {
        assert_eq!(answer.body, "", "{operation_name}");
        return Ok(());
    }
    let content = &response["content"][media_type];
    assert!(content.is_object(), "{operation_name}: the document knows no {media_type} with {}", answer.status);
    if media_type.ends_with("json") && media_type != "application/x-ndjson" {
        let body = answer.json()?;
        let faults: Vec<_> = validator(&content["schema"])?.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{operation_name} {}: {faults:#?} in {body:#}", answer.status);
        if let Some(code) = body["code"].as_str().filter(|_| media_type == "application/problem+json") {
            assert!(content["examples"][code].is_object(), "{operation_name}: the document knows no {code}");
        }
    }
    Ok(())
}

/// Resolves a reference.
fn resolve(value: &'static Value) -> &'static Value {
    let reference = value["$ref"].as_str().and_then(|reference| DOCUMENT.pointer(reference.strip_prefix('#')?));
    reference.unwrap_or(value)
}

/// The operation of the path.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let fits = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        let mut parts = template.iter().zip(&path);
        template.len() == path.len()
            && parts.all(|(template, part)| template == part || template.starts_with('{') && !part.is_empty())
    };
    DOCUMENT["paths"].as_object()?.iter().find(|(template, _)| fits(template))?.1.get(method)
}

/// A validator of the schema that refuses undocumented members.
pub(crate) fn validator(schema: &Value) -> Result<Validator> {
    let mut root = json!({"components": DOCUMENT["components"], "allOf": [schema]});
    let mut parts = BTreeSet::new();
    collect_parts(&DOCUMENT["components"], &mut parts);
    close(&mut root, &parts);
    Ok(jsonschema::options().should_validate_formats(true).build(&root)?)
}

/// The schemas that are composed into others, and so do not list all members.
fn collect_parts(value: &Value, parts: &mut BTreeSet<String>) {
    if let Some(all) = value["allOf"].as_array() {
        parts.extend(all.iter().filter_map(|part| Some(part["$ref"].as_str()?.rsplit('/').next()?.to_owned())));
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| collect_parts(member, parts)),
        Value::Array(items) => items.iter().for_each(|item| collect_parts(item, parts)),
        _ => {}
    }
}

/// Makes every object of the schema refuse undocumented members.
fn close(value: &mut Value, parts: &BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            let is_composed = members.get("allOf").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
            if is_composed {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
            for (name, member) in members.iter_mut() {
                let is_part = parts.contains(name) || (is_composed && name == "allOf");
                if !is_part {
                    close(member, parts);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, parts)),
        _ => {}
    }
}

#[test]
fn the_schema_rejects_undocumented_values() {
    let body = |body: Value| {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        validator(&schema).unwrap().is_valid(&body)
    };
    let problem = json!({
        "type": "/problems/not-found", "title": "t", "status": 404, "detail": "d", "instance": "/x", "code": "not-found",
    });
    let with = |name: &str, value: Value| {
        let mut problem: Map<_, _> = problem.as_object().unwrap().clone();
        problem.insert(name.to_owned(), value);
        Value::Object(problem)
    };
    assert!(body(problem.clone()));
    assert!(!body(with("surprise", json!(1))));
    assert!(!body(with("code", json!("unheard-of"))));
    assert!(!body(with("status", json!("404"))));
    assert!(!body(with("errors", json!([{"field": "f", "message": "m", "more": 1}]))));
    assert!(operation("GET", "/metrics/m1").is_some() && operation("GET", "/metrics/m1/x").is_none());
}
