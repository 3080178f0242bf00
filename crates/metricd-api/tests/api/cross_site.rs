//! Hosts and pages that a server without tokens serves.

use anyhow::Result;
use metricd_access::{Keys, Rules, Secret, Verifier};
use metricd_api::ServerOptions;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, TestApp};

const SITE: &str = "sec-fetch-site";

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    app.call("GET", path, headers, None).await
}

async fn send(app: &TestApp, head: &str) -> Result<String> {
    let mut stream = app.connect().await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn guarded(options: ServerOptions) -> Result<TestApp> {
    let keys = Keys::default().with_secret(&Secret::parse("s".repeat(32))?);
    let verifier = Verifier::new(keys, Rules::default())?;
    TestApp::builder().options(options).tokens(verifier).start()
}

#[actix_web::test]
async fn a_host_that_is_not_loopback_is_refused_on_every_path() -> Result<()> {
    let app = TestApp::start().await?;
    for path in ["/metrics/m1", "/metrics", "/health", "/docs", "/nowhere"] {
        let foreign = get(&app, path, &[("host", "attacker.example:8080")]).await?;
        foreign.assert_problem(421, "misdirected-request", path)?;
        let own = get(&app, path, &[("host", "localhost:1")]).await?;
        assert_ne!(own.status, 421, "{path}");
    }
    let body = json!({"id": "m2", "title": "T", "sql": "SELECT 1"});
    let written = app.call("POST", "/metrics", &[("host", "attacker.example")], Some(body)).await?;
    written.assert_problem(421, "misdirected-request", "/metrics")?;
    assert_eq!(app.get("/metrics/m2").await?.status, 404);
    Ok(())
}

#[actix_web::test]
async fn a_request_without_or_with_two_hosts_is_refused() -> Result<()> {
    let app = TestApp::start().await?;
    for (head, status) in [
        ("GET /health HTTP/1.0\r\n\r\n", 421),
        ("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
        ("GET /health HTTP/1.0\r\nHost:\r\n\r\n", 421),
        ("GET /health HTTP/1.0\r\nHost: localhost\r\nHost: attacker.example\r\n\r\n", 400),
        ("GET http://attacker.example/health HTTP/1.0\r\nHost: localhost\r\n\r\n", 421),
        ("GET http://localhost/health HTTP/1.0\r\nHost: attacker.example\r\n\r\n", 421),
        ("GET http://localhost/health HTTP/1.0\r\nHost: localhost\r\n\r\n", 200),
    ] {
        let answer = send(&app, head).await?;
        assert!(answer.get(8..).is_some_and(|rest| rest.starts_with(&format!(" {status}"))), "{head}: {answer}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_host_that_the_operator_names_is_served() -> Result<()> {
    let options =
        || ServerOptions { allowed_hosts: vec!["metrics.example".parse().unwrap()], ..ServerOptions::default() };
    for app in [TestApp::builder().options(options()).start()?, guarded(options())?] {
        for (host, status) in [("metrics.example:8080", 200), ("localhost", 200), ("attacker.example", 421)] {
            assert_eq!(get(&app, "/health", &[("host", host)]).await?.status, status, "{host}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_server_with_tokens_serves_any_host_and_page() -> Result<()> {
    let app = guarded(ServerOptions::default())?;
    let foreign = [("host", "metrics.example"), ("origin", "https://pages.example"), (SITE, "cross-site")];
    assert_eq!(get(&app, "/health", &foreign).await?.status, 200);
    get(&app, "/metrics", &foreign).await?.assert_problem(401, "token-missing", "/metrics")?;
    Ok(())
}

#[actix_web::test]
async fn requests_of_a_foreign_page_are_refused() -> Result<()> {
    let app = TestApp::start().await?;
    let own = app.url("");
    let foreign: &[&[(&str, &str)]] = &[
        &[("origin", "https://attacker.example")],
        &[("origin", "http://localhost:3000")],
        &[("origin", "null")],
        &[("origin", "file://")],
        &[("origin", &own), (SITE, "cross-site")],
        &[(SITE, "cross-site")],
        &[(SITE, "same-site")],
        &[("origin", "null"), (SITE, "cross-site")],
        // An embedded or framed resource is no navigation of a person.
        &[(SITE, "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[(SITE, "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
    ];
    for headers in foreign {
        for path in ["/metrics/m1", "/health", "/docs", "/nowhere"] {
            get(&app, path, headers).await?.assert_problem(403, "foreign-origin", path)?;
        }
        let written = app.call("DELETE", "/metrics/m1", headers, None).await?;
        written.assert_problem(403, "foreign-origin", "/metrics/m1")?;
        let form = app.client.post(app.url("/ingestions")).body("x");
        let form = headers.iter().fold(form, |form, (name, value)| form.header(*name, *value));
        app.send(form).await?.assert_problem(403, "foreign-origin", "/ingestions")?;
    }
    let navigation = [(SITE, "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let written = app.call("DELETE", "/metrics/m1", &navigation, None).await?;
    written.assert_problem(403, "foreign-origin", "/metrics/m1")?;
    let preflight = [("origin", "https://attacker.example"), ("access-control-request-method", "PATCH")];
    let preflight = app.call("OPTIONS", "/metrics/m1", &preflight, None).await?;
    preflight.assert_problem(403, "foreign-origin", "/metrics/m1")?;
    app.runner.script("SELECT 1", || Ok(vec![Some("1".to_owned())]));
    assert_eq!(app.get("/metrics/m1").await?.status, 200, "nothing was deleted");
    Ok(())
}

#[actix_web::test]
async fn requests_that_are_not_cross_site_are_served() -> Result<()> {
    let app = TestApp::start().await?;
    let own = app.url("");
    let allowed: &[&[(&str, &str)]] = &[
        &[],
        // The address bar, and a bookmark.
        &[(SITE, "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        // A page of this server, and a form on it.
        &[(SITE, "same-origin")],
        &[(SITE, "same-origin"), ("origin", &own)],
        &[(SITE, "same-origin"), ("origin", "null")],
        &[("origin", &own)],
        // A link on another page, which cannot read its target.
        &[(SITE, "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
    ];
    for headers in allowed {
        assert_eq!(get(&app, "/docs", headers).await?.status, 200, "{headers:?}");
    }
    Ok(())
}

#[actix_web::test]
async fn pages_of_configured_origins_may_read_and_write() -> Result<()> {
    let page = "http://localhost:3000";
    for (configured, origin, is_served) in
        [(page, page, true), (page, "http://localhost:3001", false), ("*", "https://attacker.example", true)]
    {
        let cors_origins = vec![configured.parse()?];
        let app = TestApp::builder().options(ServerOptions { cors_origins, ..ServerOptions::default() }).start()?;
        let headers = [("origin", origin), (SITE, "same-site")];
        let answer = get(&app, "/metrics", &headers).await?;
        assert_eq!(answer.status, if is_served { 200 } else { 403 }, "{configured} {origin}");
        let body = json!({"id": "m2", "title": "T", "sql": "SELECT 1"});
        let answer = app.call("POST", "/metrics", &headers, Some(body)).await?;
        assert_eq!(answer.status != 403, is_served, "{configured} {origin}: {answer:?}");
    }
    Ok(())
}
