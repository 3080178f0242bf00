//! The life cycle of a metric over HTTP, against a real database, up to `metricd purge`.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{Server, folder, metricd, run};

/// Sends a request, and returns status, `ETag` and body of the response.
pub(crate) async fn call(
    method: &str,
    url: String,
    if_match: Option<&str>,
    body: Option<Value>,
) -> Result<(u16, String, Value)> {
    let mut request = reqwest::Client::new().request(method.parse()?, url);
    if let Some(tag) = if_match {
        request = request.header("if-match", tag);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
    let text = response.text().await?;
    Ok((status, tag, serde_json::from_str(&text).unwrap_or_default()))
}

#[actix_web::test]
async fn a_metric_is_created_changed_deleted_restored_and_purged() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let server = Server::start(&mut metricd(&data_dir))?;
    let sql =
        "SELECT date, sum(parts_flagged) AS parts FROM metrics WHERE alert_type = :kind GROUP BY date ORDER BY date";
    let new = json!({"id": "parts", "title": "Parts by day", "sql": sql});
    let (status, tag, created) =
        call("POST", format!("{}{}", server.address, "/metrics"), None, Some(new.clone())).await?;
    assert_eq!((status, &created["contract"]["columns"][0]["type"]), (201, &json!("date")), "{created}");
    assert_eq!(call("POST", format!("{}{}", server.address, "/metrics"), None, Some(new)).await?.0, 409);
    let (status, _, result) = call("GET", format!("{}{}", server.address, "/metrics/parts?kind=x"), None, None).await?;
    assert_eq!((status, &result["rows"]), (200, &json!([])));
    let (_, _, found) = call("GET", format!("{}{}", server.address, "/metrics?q=parts+BY"), None, None).await?;
    assert_eq!(found["items"][0]["id"], "parts");

    let bad = json!({"title": "x", "sql": "SELECT dat FROM metrics"});
    let (status, _, refused) = call("POST", format!("{}{}", server.address, "/metrics"), None, Some(bad)).await?;
    assert_eq!((status, &refused["findings"][0]["column"]), (422, &json!(8)), "{refused}");

    let patch = json!({"sql": "SELECT count(*) AS n FROM metrics"});
    let (status, newer, patched) =
        call("PATCH", format!("{}{}", server.address, "/metrics/parts"), Some(&tag), Some(patch.clone())).await?;
    assert_eq!((status, &patched["version"], &patched["sql_version"]), (200, &json!(2), &json!(2)), "{patched}");
    let (_, _, result) = call("GET", format!("{}{}", server.address, "/metrics/parts"), None, None).await?;
    assert!(result["rows"][0]["n"].is_number(), "this server's next request sees the change: {result}");
    assert_eq!(call("PATCH", format!("{}{}", server.address, "/metrics/parts"), Some(&tag), Some(patch)).await?.0, 412);
    assert_eq!(call("DELETE", format!("{}{}", server.address, "/metrics/parts"), Some(&newer), None).await?.0, 204);
    assert_eq!(call("GET", format!("{}{}", server.address, "/metrics/parts"), None, None).await?.0, 410);

    let purge = |arguments: &[&str]| run(metricd(&data_dir).arg("purge").args(arguments));
    let (code, printed, error) = purge(&["--older-than", "1h", "--yes"])?;
    assert!(code == 0 && printed.starts_with("no metric was deleted"), "{printed}{error}");
    let (code, printed, _) = purge(&["--older-than", "0s"])?;
    assert!(code == 0 && printed.contains("  parts\nnothing was removed"), "{printed}");
    assert_eq!(call("POST", format!("{}{}", server.address, "/metrics/parts/restore"), None, None).await?.0, 200);
    assert_eq!(call("DELETE", format!("{}{}", server.address, "/metrics/parts"), None, None).await?.0, 204);
    let (_, _, history) = call("GET", format!("{}{}", server.address, "/metrics/parts/history"), None, None).await?;
    assert_eq!(history["items"].as_array().map(Vec::len), Some(5), "{history}");
    let (code, printed, _) = purge(&["--older-than", "0s", "--yes"])?;
    assert!(code == 0 && printed.contains("permanently removed 1 metric deleted"), "{printed}");
    for path in ["/metrics/parts", "/metrics/parts/definition", "/metrics/parts/history"] {
        let (status, _, problem) = call("GET", format!("{}{path}", server.address), None, None).await?;
        assert_eq!((status, &problem["code"]), (404, &json!("metric-not-found")), "{path}");
    }
    for (age, expected) in [("thirty", "thirty"), ("300000years", "exceeds the range of dates")] {
        let (code, _, error) = purge(&["--older-than", age])?;
        assert!(code == 2 && error.contains(expected), "{error}");
    }
    purge(&["--yes"])?.2.find("--older-than").context("the missing option is named")?;
    Ok(())
}
