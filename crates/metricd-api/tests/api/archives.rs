//! Several results as one file: a zip archive or a workbook.

mod failures;
mod formats;
mod limits;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_execution::testing::{Ending, ScriptedResult};
use metricd_execution::{Column, FieldType, RunError};
use metricd_repository::contract::{TestIngestion, dashboard, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::Value;
use zip::ZipArchive;

use crate::support::TestApp;

pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A server with the metrics `one` (a row), `two` (three rows), `fails`, `slow`, `infinite` (a date that Parquet cannot hold),
/// `huge` (a text that no cell holds), `asks` and `numbered` (with the parameters `kind` and `numbers`), and dashboards.
pub(crate) async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let texts = [
        ("one", "-- Cost: all/any\nSELECT 1"),
        ("two", "-- cost_ all_any\nSELECT 2"),
        ("fails", "SELECT 3"),
        ("slow", "SELECT 4"),
        ("infinite", "SELECT 5"),
        ("huge", "SELECT 6"),
        ("asks", "SELECT :kind"),
        ("numbered", "SELECT :numbers"),
        ("Results", "-- results\nSELECT 7"),
    ];
    let mut queries: Vec<_> = texts.iter().map(|(id, sql)| query(id, sql)).collect();
    let mut metrics: Vec<_> = texts.iter().map(|(id, _)| metric(id, id)).collect();
    let mut many = Vec::new();
    for number in 0..50 {
        let id = format!("m{number}");
        queries.push(query(&id, &format!("-- The same title for every one of them\nSELECT 1 + {number}")));
        metrics.push(metric(&id, &id));
        many.push(id);
    }
    let dashboards = vec![
        dashboard("d1", &["two", "one"]),
        dashboard("many", &many.iter().map(String::as_str).collect::<Vec<_>>()),
        dashboard("empty", &[]),
    ];
    let definitions = Definitions { queries, metrics, dashboards, ..Definitions::default() };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".into())]));
    app.runner.script("SELECT 2", || Ok(vec![Some("2".into()); 3]));
    app.runner.script("SELECT 3", || Err(RunError::Failed { sqlstate: "P0001".into(), message: "s3cret".into() }));
    app.runner.script("SELECT 4", || Err(RunError::TimedOut { limit: Duration::from_secs(5) }));
    script(&app, "SELECT 5", FieldType::Date, vec![i32::MAX.to_be_bytes().to_vec()]);
    script(&app, "SELECT 6", FieldType::Text, vec![vec![b'x'; 32_768]]);
    script(&app, "SELECT 7", FieldType::BigInt, vec![i64::MAX.to_be_bytes().to_vec()]);
    app.runner.script_arguments("SELECT $1");
    for number in 0..50 {
        app.runner.script(&format!("SELECT 1 + {number}"), || Ok(Vec::new()));
    }
    Ok(app)
}

/// Makes the SQL return one column of these values.
pub(crate) fn script(app: &TestApp, sql: &str, field_type: FieldType, values: Vec<Vec<u8>>) {
    let column = Column { name: "n".into(), type_name: "any".into(), field_type };
    app.runner.script_result(sql, move || {
        let rows = values.iter().map(|value| vec![Some(value.clone())]).collect();
        Ok(ScriptedResult { columns: vec![column.clone()], rows, ending: Ending::Complete })
    });
}

/// The contents of files by name.
type Contents = BTreeMap<String, Vec<u8>>;

/// A downloaded file.
pub(crate) struct Download {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Download {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The names of the files in the archive, in order, and their contents.
    pub(crate) fn files(&self) -> Result<(Vec<String>, Contents)> {
        ensure!(self.status == 200, "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        let mut archive = ZipArchive::new(Cursor::new(&self.body))?;
        let (mut names, mut contents) = (Vec::new(), BTreeMap::new());
        for index in 0..archive.len() {
            let mut file = archive.by_index(index)?;
            let mut content = Vec::new();
            file.read_to_end(&mut content)?;
            let name = file.name()?.into_owned();
            names.push(name.clone());
            contents.insert(name, content);
        }
        Ok((names, contents))
    }

    pub(crate) fn text(&self, name: &str) -> Result<String> {
        let (_, contents) = self.files()?;
        Ok(String::from_utf8(contents.get(name).with_context(|| name.to_owned())?.clone())?)
    }

    pub(crate) fn summary(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text("results.json")?)?)
    }
}

pub(crate) async fn download(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Result<Download> {
    let mut request = app.client.get(app.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Download { status, headers, body: response.bytes().await?.to_vec() })
}
