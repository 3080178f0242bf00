//! Compares the examples of the OpenAPI document with the server's responses.
//!
//! `METRICD_RECORD_EXAMPLES=1` records them again: it sends each request of the file, in order, and writes the response into
//! the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value, json};

use crate::support::{Server, folder, metricd};

/// The headers that an example shows, if the response has them.
const SHOWN: [&str; 4] = ["content-type", "location", "retry-after", "x-truncated"];

#[actix_web::test]
async fn every_example_equals_the_response_of_the_server() -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("metricd-api").join("src/openapi/examples.json");
    let mut exchanges: Vec<Value> = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let folder = folder()?;
    let server = Server::start(&mut metricd(&folder.path().join("data")))?;
    let mut session = Session { address: server.address.clone(), placeholders: BTreeMap::new() };
    let is_recording = std::env::var_os("METRICD_RECORD_EXAMPLES").is_some();
    for exchange in &mut exchanges {
        let answer = session.send(&exchange["request"]).await.with_context(|| exchange["summary"].to_string())?;
        if is_recording {
            exchange["answer"] = answer;
        } else {
            let (expected, actual) = (normalized(&exchange["answer"])?, normalized(&answer)?);
            assert_eq!(expected, actual, "{}: {}", exchange["operation_id"], exchange["summary"]);
        }
    }
    if is_recording {
        fs::write(&file, serde_json::to_string_pretty(&exchanges)? + "\n")?;
    }
    assert!(exchanges.len() > 30);
    Ok(())
}

/// Sends requests that use values of earlier responses.
struct Session {
    address: String,
    /// The values of the placeholders `{etag}`, `{created_etag}` and `{location}`.
    placeholders: BTreeMap<&'static str, String>,
}

impl Session {
    /// Sends the request, and returns the part of the response that an example shows.
    async fn send(&mut self, request: &Value) -> Result<Value> {
        let method = request["method"].as_str().context("a method")?.parse()?;
        let path = self.fill_placeholders(request["path"].as_str().context("a path")?);
        let mut sent = reqwest::Client::new().request(method, format!("{}{path}", self.address));
        for (name, value) in request["headers"].as_object().into_iter().flatten() {
            sent = sent.header(name, self.fill_placeholders(value.as_str().context("a header")?));
        }
        if let Some(body) = request.get("body") {
            sent = sent.json(body);
        }
        if let Some(files) = request["files"].as_array() {
            let text = |file: &Value, key: &str| file[key].as_str().map(str::to_owned).context("a text");
            let mut form = Form::new();
            for file in files {
                form =
                    form.part(text(file, "part")?, Part::text(text(file, "content")?).file_name(text(file, "name")?));
            }
            sent = sent.multipart(form);
        }
        let response = sent.send().await?;
        ensure!(response.status() != 500, "the server failed");
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if let Some(tag) = header("etag") {
            if response.status() == 201 {
                self.placeholders.insert("{created_etag}", tag.clone());
            }
            self.placeholders.insert("{etag}", tag);
        }
        if let Some(location) = header("location") {
            self.placeholders.insert("{location}", location);
        }
        let shown = SHOWN.into_iter().filter_map(|name| Some((name.to_owned(), json!(header(name)?))));
        let mut answer = json!({"status": response.status().as_u16(), "headers": shown.collect::<Map<_, _>>()});
        let is_json = header("content-type").is_some_and(|kind| kind.ends_with("json") && !kind.contains("ndjson"));
        let body = response.text().await?;
        if is_json {
            answer["body"] = serde_json::from_str(&body)?;
        } else if !body.is_empty() {
            answer["body"] = json!(body);
        }
        Ok(answer)
    }

    fn fill_placeholders(&self, text: &str) -> String {
        self.placeholders.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// Replaces what differs between days, servers and ingestions.
fn normalized(answer: &Value) -> Result<Value> {
    let text = answer.to_string();
    let text = Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")?.replace_all(&text, "<id>");
    let text = Regex::new(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")?.replace_all(&text, "<instant>");
    Ok(serde_json::from_str(&text)?)
}
