//! Targets that are not UTF-8.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::TestApp;

/// A raw target, which no client library would send.
async fn send(app: &TestApp, target: &[u8]) -> Result<String> {
    let mut stream = app.connect().await?;
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat();
    stream.write_all(&head).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer)?)
}

#[actix_web::test]
async fn a_parameter_that_is_not_utf8_is_reported() -> Result<()> {
    let app = TestApp::start().await?;
    for (target, field, said) in [
        ("/metrics/m1?kind=caf%E9", "kind", "UTF-8"),
        ("/metrics/m1?kind=%zz", "kind", "`%zz`"),
        ("/metrics/m1?kind=100%", "kind", "`%25`"),
        ("/metrics/m1?caf%E9=1", "caf%E9", "UTF-8"),
        ("/metrics/m1?limit=%C3", "limit", "UTF-8"),
        ("/metrics/m1?start_date=%ED%A0%80", "start_date", "UTF-8"),
        ("/metrics?q=%ff", "q", "UTF-8"),
        ("/metrics?cursor=%ff", "cursor", "UTF-8"),
        ("/metrics/m1/history?limit=%", "limit", "`%`"),
        ("/results?metric_id=m1&kind=%ff", "kind", "UTF-8"),
        ("/results?metric_id=m1&metric_id=%ff", "metric_id", "UTF-8"),
        ("/dashboards?limit=%ff", "limit", "UTF-8"),
        ("/docs?metric_id=%ff", "metric_id", "UTF-8"),
        ("/openapi.json?x=%ff", "x", "UTF-8"),
    ] {
        let answer = send(&app, target.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 422"), "{target}: {answer}");
        assert!(answer.contains(&format!(r#""field":"{field}""#)) && answer.contains(said), "{target}: {answer}");
    }
    // Bytes that are not percent-encoded.
    let answer = send(&app, b"/metrics/m1?kind=caf\xe9").await?;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    Ok(())
}

#[actix_web::test]
async fn a_path_that_is_not_utf8_is_refused() -> Result<()> {
    let app = TestApp::start().await?;
    for target in ["/metrics/%ff", "/metrics/m1%zz", "/dashboards/%E9/results", "/nowhere%", "/ingestions/%c0%80"] {
        let answer = send(&app, target.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("The path cannot be read"), "{target}: {answer}");
    }
    let answer = send(&app, b"/metrics/caf\xe9").await?;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    Ok(())
}

#[actix_web::test]
async fn percent_encoded_text_is_decoded() -> Result<()> {
    let app = TestApp::start().await?;
    for target in ["/metrics?q=caf%C3%A9+%25", "/metrics?&&limit=1&"] {
        let answer = send(&app, target.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target}: {answer}");
    }
    Ok(())
}
