//! Measures metrics of a database that exists.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use indicatif::ProgressBar;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::arguments::DatabaseOptions;
use crate::baseline::{self, Subject};
use crate::bench::{self, progress_bar, unless_interrupted};
use crate::load::{self, Request};
use crate::metric_request::MetricRequest;
use crate::metricd::DatabaseServer;
use crate::pairs::PairResults;
use crate::pgbench::Pgbench;
use crate::process::last_error;
use crate::reader_url::ReaderUrl;
use crate::report::{Report, Settings};
use crate::script::{Parameter, Script};
use crate::workload::{MAX_CLIENTS, MIN_LIMIT};

/// Measures the metrics, prints the table and writes the figures.
pub(crate) fn run(options: &DatabaseOptions) -> Result<()> {
    bench::report(&options.measurement.json, prepare_and_measure(options))
}

async fn prepare_and_measure(options: &DatabaseOptions) -> Result<Report> {
    let reader = ReaderUrl::new(options.reader_database_url.expose_secret(), |name| env::var(name).ok());
    let pgbench = Pgbench::of_database(reader);
    pgbench.check().await?;
    let folder = tempfile::Builder::new().prefix("metricd-bench-").tempdir()?;
    let bar = progress_bar();
    let program = bench::program(&options.measurement, &bar).await?;
    bar.set_message("starting metricd");
    let log = folder.path().join("metricd.log");
    let metricd = DatabaseServer::start(&program, options, &log).await?;
    let measured = unless_interrupted(measure(options, &pgbench, &metricd, folder.path(), &bar)).await;
    bar.finish_and_clear();
    metricd.server.stop().await?;
    measured.map_err(|error| match last_error(&log) {
        Some(cause) => anyhow!("{error:#} metricd logged: {cause}"),
        None => error,
    })
}

async fn measure(
    options: &DatabaseOptions,
    pgbench: &Pgbench,
    DatabaseServer { server, token }: &DatabaseServer,
    folder: &Path,
    bar: &ProgressBar,
) -> Result<Report> {
    let mut subjects = Vec::new();
    for metric in &options.metrics {
        subjects.push(subject(server.address, metric, token).await?);
    }
    let cells = baseline::measure(&subjects, &options.measurement, (server, pgbench), folder, bar).await?;
    Ok(Report {
        setting: Settings::of_measurement(&options.measurement),
        start: server.start,
        memory: server.memory(),
        cells,
        pairs: PairResults::default(),
    })
}

/// The metric, if pgbench can run the same SQL and reads the same rows.
async fn subject(address: SocketAddr, metric: &MetricRequest, token: &SecretString) -> Result<Subject> {
    // The rows of a database that is in use may change meanwhile, and with them the size.
    let request = |path: String| {
        Request::any_size(path).with_header("Authorization", &format!("Bearer {}", token.expose_secret()))
    };
    let of_definition = request(metric.definition_path());
    let definition = load::fetch(address, &of_definition).await?.check(&of_definition)?;
    let definition: Value = serde_json::from_slice(&definition.body)?;
    let of_result = request(metric.path(MAX_CLIENTS - 1));
    let response = load::fetch(address, &of_result).await?.check(&of_result)?;
    let time_zone = response.header("x-time-zone").unwrap_or("UTC").to_owned();
    let result: Value = serde_json::from_slice(&response.body)?;
    ensure!(
        result["truncated"] == false,
        "metricd truncates the result of `{metric}`, and pgbench would read all of its rows: measure a metric with at \
         most {MIN_LIMIT} rows, within the limits of its definition"
    );
    let applied = &result["period"]["applied"];
    ensure!(
        applied.is_null() || applied == "bound",
        "for the period of `{metric}` metricd runs other SQL than the definition has, which pgbench cannot: leave \
         `start_date` and `end_date` out, or measure a metric whose SQL names them"
    );
    let parameters = parameters(&definition, &metric.values(), &time_zone)?;
    let sql = definition["sql"].as_str().context("the definition has no SQL")?;
    let script = Script::new(sql, &parameters).with_context(|| format!("`{metric}` cannot be measured"))?;
    let script = Script { time_zone: Some(time_zone), ..script };
    let rows = result["rows"].as_array().map_or(0, Vec::len);
    Ok(Subject::new(metric.to_string(), rows, response.body, script, |client| request(metric.path(client))))
}

/// The parameters of the SQL with the values that metricd gives them for this request.
fn parameters(
    definition: &Value,
    given: &BTreeMap<String, String>,
    time_zone: &str,
) -> Result<BTreeMap<String, Parameter>> {
    let mut parameters = BTreeMap::new();
    for parameter in definition["parameters"].as_array().context("the definition has no parameters")? {
        let name = parameter["name"].as_str().context("a parameter has no name")?;
        let is_array = parameter["type"].as_str().is_some_and(|name| name.ends_with("[]"));
        let default = &parameter["declared"]["default"];
        let value = match (given.get(name), name) {
            (Some(value), _) if is_array => Some(array(&elements(value)?)),
            (Some(value), _) => Some(value.clone()),
            (None, "time_zone") => Some(time_zone.to_owned()),
            (None, _) if !default.is_null() => Some(literal(default)),
            // A period that is open on this side.
            (None, "start_date") => Some("-infinity".to_owned()),
            (None, "end_date") => Some("infinity".to_owned()),
            (None, _) => None,
        };
        let declared_type = parameter["declared"]["type"].as_str().map(str::to_owned);
        parameters.insert(name.to_owned(), Parameter { declared_type, value });
    }
    Ok(parameters)
}

/// The elements of an array in a request: with commas between them, or as JSON.
fn elements(text: &str) -> Result<Vec<Value>> {
    if text.trim_start().starts_with('[') {
        return Ok(serde_json::from_str(text)?);
    }
    Ok(text.split(',').filter(|_| !text.is_empty()).map(Value::from).collect())
}

/// A value of JSON in PostgreSQL's format.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(elements) => array(elements),
        other => other.to_string(),
    }
}

/// An array in PostgreSQL's format.
fn array(elements: &[Value]) -> String {
    let quoted = |element: &Value| format!("\"{}\"", literal(element).replace('\\', r"\\").replace('"', "\\\""));
    format!("{{{}}}", elements.iter().map(quoted).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn parameters_have_the_values_that_metricd_gives_them() {
        let definition = json!({"parameters": [
            {"name": "kinds", "type": "text[]", "required": true, "declared": {"name": "kinds", "type": "text[]"}},
            {"name": "top", "type": "integer", "declared": {"name": "top", "type": "integer", "default": 10}},
            {"name": "days", "type": "date[]", "declared": {"type": "date[]", "default": ["2026-01-01", "2026-01-02"]}},
            {"name": "none", "type": "text", "declared": {"type": "text", "required": false}},
            {"name": "start_date", "type": "date", "required": false},
            {"name": "end_date", "type": "date", "required": false},
            {"name": "time_zone", "type": "text", "required": false},
        ]});
        let given = [("kinds", r#"a,b"c"#), ("end_date", "2026-01-31")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = parameters(&definition, &given.into(), "Europe/Berlin").unwrap();
        let value = |name: &str| found[name].value.as_deref();
        assert_eq!(value("kinds"), Some(r#"{"a","b\"c"}"#));
        assert_eq!((value("top"), value("none")), (Some("10"), None));
        assert_eq!(value("days"), Some(r#"{"2026-01-01","2026-01-02"}"#));
        assert_eq!((value("start_date"), value("end_date")), (Some("-infinity"), Some("2026-01-31")));
        assert_eq!((value("time_zone"), &found["time_zone"].declared_type), (Some("Europe/Berlin"), &None));
        assert_eq!(found["top"].declared_type.as_deref(), Some("integer"));
    }

    #[test]
    fn an_array_may_be_json() {
        assert_eq!(array(&elements(r#"["a,b", "c\\d"]"#).unwrap()), r#"{"a,b","c\\d"}"#);
        assert_eq!(array(&elements("").unwrap()), "{}");
        assert!(elements("[a").is_err());
    }

    /// A server that has a metric with this result, for clients with the token `t`.
    async fn server(result: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let count = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..count]).into_owned();
                let definition = r#"{"sql": "SELECT :top", "parameters": [{"name": "top"}]}"#;
                let body = if request.contains("/definition ") { definition } else { result };
                let status = if request.contains("\r\nAuthorization: Bearer t\r\n") { "200 OK" } else { "401 No" };
                let head = format!("HTTP/1.1 {status}\r\nX-Time-Zone: Europe/Berlin\r\n");
                let response = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn pgbench_gets_the_sql_the_values_and_the_time_zone_of_the_request() {
        let result = r#"{"rows": [{"n": 1}, {"n": 2}], "truncated": false, "period": {"applied": "bound"}}"#;
        let metric = "a?top=5".parse().unwrap();
        let subject = subject(server(result).await, &metric, &"t".into()).await.unwrap();
        let Script { text, values, time_zone } = subject.script;
        assert_eq!((text.as_str(), time_zone.as_deref()), ("SELECT :top\n;\n", Some("Europe/Berlin")));
        assert_eq!((values, subject.rows), (vec![("top".to_owned(), "5".to_owned())], 2));
        assert_eq!((subject.name.as_str(), subject.body.as_slice()), ("a?top=5", result.as_bytes()));
        assert_eq!(subject.requests[31].path, "/metrics/a?limit=9969&top=5");
    }

    #[tokio::test]
    async fn what_pgbench_cannot_repeat_is_refused() {
        let metric = "a".parse().unwrap();
        for (result, expected) in [
            (r#"{"rows": [], "truncated": true}"#, "metricd truncates the result of `a`"),
            (r#"{"rows": [], "truncated": false, "period": {"applied": "narrowed"}}"#, "for the period of `a`"),
        ] {
            let error = subject(server(result).await, &metric, &"t".into()).await.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = subject(server("{}").await, &metric, &"other".into()).await.unwrap_err().to_string();
        assert_eq!(error, "/metrics/a/definition responds with 401");
    }
}
