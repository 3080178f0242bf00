//! `/metrics`: listing, creating, changing, deleting and restoring metrics.

mod concurrency;

use std::sync::Arc;

use anyhow::{Context, Result};
use metricd_execution::ResolveError;
use metricd_repository::contract::{TestIngestion, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

fn alerts() -> Value {
    json!({"title": "Alerts, by day", "description": "How many.", "sql": "SELECT :kind AS kind",
        "parameters": [{"name": "kind", "type": "text", "default": "all"}]})
}

async fn create(app: &TestApp, body: Value) -> Result<Answer> {
    app.call("POST", "/metrics", &[], Some(body)).await
}

#[actix_web::test]
async fn a_metric_is_created_changed_deleted_and_restored() -> Result<()> {
    let app = TestApp::start().await?;
    let created = create(&app, alerts()).await?;
    assert_eq!((created.status, created.header("location")), (201, "/metrics/alerts-by-day"), "{created:?}");
    let definition = app.get("/metrics/alerts-by-day/definition").await?;
    assert_eq!((&definition.body, definition.header("etag")), (&created.body, created.header("etag")));
    let shown = created.json()?;
    assert_eq!((&shown["version"], &shown["sql_version"], &shown["editable"]), (&json!(1), &json!(1), &json!(true)));
    assert_eq!(shown["contract"]["parameters"], json!([{"name": "kind", "type": "text"}]));
    app.runner.script("SELECT CAST($1 AS text) AS kind", || Ok(vec![Some("all".into())]));
    assert_eq!(app.get("/metrics/alerts-by-day").await?.json()?["title"], "Alerts, by day");

    let patch = json!({"title": "Alerts", "description": null, "limits": {"rows": 5}});
    let first = [("if-match", created.header("etag"))];
    let patched = app.call("PATCH", "/metrics/alerts-by-day", &first, Some(patch.clone())).await?;
    assert_eq!((patched.status, &patched.json()?["version"]), (200, &json!(2)), "{patched:?}");
    assert_eq!(patched.json()?["parameters"], shown["parameters"], "absent members stay");
    let conflict = app.call("PATCH", "/metrics/alerts-by-day", &first, Some(json!({"title": "Mine"}))).await?;
    conflict.assert_problem(412, "version-mismatch", "/metrics/alerts-by-day")?;
    let again = app.call("PATCH", "/metrics/alerts-by-day", &[], Some(patch)).await?;
    assert_eq!(again.json()?["version"], 2, "nothing changes");

    let deleted = app.call("DELETE", "/metrics/alerts-by-day", &[("if-match", patched.header("etag"))], None).await?;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    for (method, path, body) in [
        ("GET", "/metrics/alerts-by-day", None),
        ("GET", "/metrics/alerts-by-day/definition", None),
        ("DELETE", "/metrics/alerts-by-day", None),
        ("PATCH", "/metrics/alerts-by-day", Some(json!({"title": "x"}))),
    ] {
        app.call(method, path, &[], body).await?.assert_problem(410, "metric-deleted", path)?;
    }
    create(&app, json!({"id": "alerts-by-day", "title": "x", "sql": "SELECT 1"})).await?.assert_problem(
        409,
        "metric-exists",
        "/metrics",
    )?;
    assert_eq!(ids(&app, "deleted=true").await?, ["alerts-by-day"]);

    let restored = app.call("POST", "/metrics/alerts-by-day/restore", &[], None).await?;
    assert_eq!((restored.status, &restored.json()?["version"]), (200, &json!(4)), "{restored:?}");
    assert_eq!(app.get("/metrics/alerts-by-day").await?.status, 200);

    let history = app.get("/metrics/alerts-by-day/history").await?.json()?;
    let actions: Vec<_> = history["items"].as_array().context("items")?.iter().map(|item| &item["action"]).collect();
    assert_eq!(actions, ["restored", "deleted", "changed", "created"]);
    let changed = &history["items"][2];
    assert_eq!(changed["changed_by"]["way"], "http");
    assert_eq!(changed["changed_by"]["address"], "127.0.0.1");
    assert_eq!(changed["changed_by"]["request_id"], patched.header("x-request-id"));
    assert_eq!(
        changed["changes"],
        json!([
            {"field": "description", "before": "How many.", "after": null},
            {"field": "limits", "before": {}, "after": {"rows": 5}},
            {"field": "title", "before": "Alerts, by day", "after": "Alerts"},
        ])
    );
    let page = app.get("/metrics/alerts-by-day/history?limit=3").await?.json()?;
    assert_eq!(page["items"][2], *changed, "a page's last entry is compared with what comes after the page");
    let cursor = page["next_cursor"].as_str().context("cursor")?;
    let rest = app.get(&format!("/metrics/alerts-by-day/history?limit=3&cursor={cursor}")).await?.json()?;
    assert_eq!((&rest["items"][0]["action"], &rest["next_cursor"]), (&json!("created"), &Value::Null));
    Ok(())
}

#[actix_web::test]
async fn absent_members_of_a_change_stay() -> Result<()> {
    let app = TestApp::start().await?;
    let shown = async |patch: Value| -> Result<Value> {
        let answer = app.call("PATCH", "/metrics/m1", &[], Some(patch.clone())).await?;
        assert_eq!(answer.status, 200, "{patch}: {answer:?}");
        answer.json()
    };
    // The title of this metric comes from its SQL's comment.
    assert_eq!(app.get("/metrics/m1/definition").await?.json()?["title"], "Title \"one\"");
    let same = shown(json!({"sql": "-- Title \"one\"\nSELECT 2"})).await?;
    assert_eq!(same["title"], "Title \"one\"");
    for sql in ["SELECT 3", "-- Another comment\nSELECT 4"] {
        assert_eq!(shown(json!({"sql": sql})).await?["title"], "Title \"one\"", "{sql}");
    }
    // A null title restores the title of the comment, and keeps it.
    assert_eq!(shown(json!({"title": null})).await?["title"], "Another comment");
    assert_eq!(shown(json!({"sql": "SELECT 5"})).await?["title"], "Another comment");

    let all = json!({
        "title": "T", "description": "D", "sql": "SELECT :kind AS kind", "limits": {"rows": 5},
        "parameters": [{"name": "kind", "type": "text", "default": "a"}],
    });
    let fields = ["title", "description", "sql", "limits", "parameters"];
    let before = shown(all.clone()).await?;
    for (field, value) in [
        ("title", json!("U")),
        ("description", json!("E")),
        ("sql", json!("SELECT :kind AS kinds")),
        ("limits", json!({"rows": 6})),
        ("parameters", json!([{"name": "kind", "type": "text", "default": "b"}])),
    ] {
        let after = shown(json!({field: value})).await?;
        for other in fields.iter().filter(|other| **other != field) {
            assert_eq!(after[other], before[other], "{other} after a change of {field}");
        }
        assert_ne!(after[field], before[field], "{field}");
        shown(all.clone()).await?;
    }
    Ok(())
}

#[actix_web::test]
async fn all_faults_of_a_body_are_reported() -> Result<()> {
    let app = TestApp::start().await?;
    let cases = [
        (json!({}), vec!["sql", "title"]),
        (json!({"title": null, "sql": null}), vec!["sql", "title"]),
        (json!({"title": " ", "sql": "", "id": "a b", "description": 5}), vec!["description", "id", "sql", "title"]),
        (json!({"title": "x", "sql": "SELECT 1", "prompt": "words", "SQL": 1}), vec!["SQL", "prompt"]),
        (
            json!({"title": "x", "sql": "SELECT 1", "limits": {"rows": 0}, "time_column": "a.b.c.d"}),
            vec!["limits", "time_column"],
        ),
        (
            json!({"title": "x", "sql": "SELECT 1", "limits": {"seconds": 1}, "parameters": {}, "period": {"apply": "rows"}}),
            vec!["limits", "parameters", "period"],
        ),
        (
            json!({"title": "x", "sql": "SELECT 1", "parameters": [
                {"name": "a", "type": "text"}, {"name": "a", "type": "text"}, {"name": "b", "type": "money"}, 5, {"type": "text"}
            ]}),
            vec!["parameters[1]", "parameters[2]", "parameters[3]", "parameters[4]"],
        ),
    ];
    for (body, fields) in cases {
        let answer = create(&app, body.clone()).await?;
        answer.assert_problem(422, "invalid-body", "/metrics")?;
        assert_eq!(answer.fields()?, fields, "{body}");
    }
    let answer = app.call("PATCH", "/metrics/m1", &[], Some(json!({"sql": null, "titel": "x"}))).await?;
    answer.assert_problem(422, "invalid-body", "/metrics/m1")?;
    assert_eq!(answer.fields()?, ["sql", "titel"]);
    create(&app, json!([1])).await?.assert_problem(422, "invalid-body", "/metrics")?;
    let text = app.send(app.client.post(app.url("/metrics")).body("{")).await?;
    text.assert_problem(415, "unsupported-media-type", "/metrics")?;
    assert_eq!(ids(&app, "").await?, ["m1"], "nothing of it was stored");
    Ok(())
}

#[actix_web::test]
async fn a_definition_says_what_a_period_is_applied_to() -> Result<()> {
    let app = TestApp::start().await?;
    let none = json!({"id": "none", "title": "x", "sql": "SELECT 1 AS one", "period": {"apply": "none"}});
    let created = create(&app, none).await?;
    assert_eq!((created.status, &created.json()?["period"]), (201, &json!({"apply": "none"})), "{created:?}");
    let definition = app.get("/metrics/none/definition").await?.json()?;
    assert_eq!(definition["contract"]["period"]["applied"], "unsupported");
    let refused = app.get("/metrics/none?start_date=2025-06-01").await?;
    refused.assert_problem(422, "invalid-parameters", "/metrics/none")?;
    assert!(refused.body.contains("takes none"), "{refused:?}");

    // Declarations must be possible.
    let column = json!({"period": {"apply": "result", "column": "day"}});
    let answer = app.call("PATCH", "/metrics/none", &[], Some(column)).await?;
    let problem = answer.assert_problem(422, "sql-refused", "/metrics/none")?;
    assert_eq!(
        (problem["findings"][0]["code"].as_str(), answer.fields()?),
        (Some("sql-period"), vec!["period".to_owned()])
    );

    let patched = app.call("PATCH", "/metrics/none", &[], Some(json!({"period": null}))).await?;
    assert_eq!((patched.status, &patched.json()?["period"]), (200, &Value::Null), "{patched:?}");
    let history = app.get("/metrics/none/history").await?.json()?;
    let changes = json!([{"field": "period", "before": {"apply": "none"}, "after": null}]);
    assert_eq!(history["items"][0]["changes"], changes);
    Ok(())
}

#[actix_web::test]
async fn refused_sql_is_reported_with_positions() -> Result<()> {
    let app = TestApp::start().await?;
    let sql = "SELECT pg_sleep(1),\n  lo_import('/etc/passwd')";
    let answer = create(&app, json!({"title": "x", "sql": sql})).await?;
    let problem = answer.assert_problem(422, "sql-refused", "/metrics")?;
    let findings = problem["findings"].as_array().context("findings")?;
    assert_eq!((findings.len(), &findings[0]["code"]), (2, &json!("sql-function-not-allowed")));
    assert_eq!(
        (&findings[1]["line"], &findings[1]["column"], &findings[1]["words"]),
        (&json!(2), &json!(3), &json!("lo_import"))
    );
    assert_eq!(answer.fields()?, ["sql", "sql"]);

    let refused = ResolveError::Refused { message: "no such column".into(), hint: None, character: Some(7) };
    app.resolver.answer("SELECT nonsense", Err(refused));
    let answer = app.call("PATCH", "/metrics/m1", &[], Some(json!({"sql": "SELECT nonsense"}))).await?;
    let problem = answer.assert_problem(422, "sql-refused", "/metrics/m1")?;
    assert_eq!(
        (&problem["findings"][0]["code"], &problem["findings"][0]["column"]),
        (&json!("sql-unresolved"), &json!(8))
    );
    // Declarations are validated with the SQL, whichever of them changes.
    let unused = json!({"parameters": [{"name": "kind", "type": "text"}]});
    let answer = app.call("PATCH", "/metrics/m1", &[], Some(unused)).await?;
    answer.assert_problem(422, "sql-refused", "/metrics/m1")?;

    app.resolver.stop();
    create(&app, alerts()).await?.assert_problem(503, "database-unavailable", "/metrics")?;
    assert_eq!(ids(&app, "").await?, ["m1"]);
    Ok(())
}

#[actix_web::test]
async fn a_metric_that_is_not_editable_cannot_be_changed() -> Result<()> {
    let repository = MemoryRepository::default();
    let mut fixed = metric("m1", "q1");
    fixed.editable = false;
    let definitions =
        Definitions { queries: vec![query("q1", "SELECT 1")], metrics: vec![fixed], ..Definitions::default() };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let app = TestApp::builder().repository(Arc::new(repository)).start()?;
    for (method, path, body) in [
        ("PATCH", "/metrics/m1", Some(json!({"title": "x"}))),
        ("DELETE", "/metrics/m1", None),
        ("POST", "/metrics/m1/restore", None),
    ] {
        app.call(method, path, &[], body).await?.assert_problem(403, "metric-not-editable", path)?;
    }
    assert_eq!(app.get("/metrics/m1/history").await?.json()?["items"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[actix_web::test]
async fn a_metric_whose_table_has_changed_can_be_renamed() -> Result<()> {
    let app = TestApp::start().await?;
    let sql = "SELECT gone FROM t";
    assert_eq!(create(&app, json!({"id": "m2", "title": "Old", "sql": sql})).await?.status, 201);
    let refused = ResolveError::Refused { message: "no such column".into(), hint: None, character: Some(7) };
    app.resolver.answer(sql, Err(refused));
    for patch in [json!({"title": "New", "description": "D"}), json!({"limits": {"rows": 5}}), json!({})] {
        let answer = app.call("PATCH", "/metrics/m2", &[], Some(patch.clone())).await?;
        assert_eq!((answer.status, &answer.json()?["title"]), (200, &json!("New")), "{patch}: {answer:?}");
    }
    for patch in [json!({"sql": sql}), json!({"parameters": []}), json!({"time_column": null}), json!({"period": null})]
    {
        let answer = app.call("PATCH", "/metrics/m2", &[], Some(patch)).await?;
        answer.assert_problem(422, "sql-refused", "/metrics/m2")?;
    }
    Ok(())
}

#[actix_web::test]
async fn metrics_are_listed_searched_and_paged() -> Result<()> {
    let app = TestApp::start().await?;
    create(&app, alerts()).await?;
    let first = app.get("/metrics?limit=1").await?.json()?;
    assert_eq!(first["items"][0]["id"], "alerts-by-day");
    assert_eq!(first["items"][0]["parameters"][0]["name"], "kind");
    assert_eq!(first["items"][0]["columns"], json!([]));
    let cursor = first["next_cursor"].as_str().context("cursor")?;
    assert_eq!(ids(&app, &format!("limit=1&cursor={cursor}")).await?, ["m1"]);
    assert_eq!(ids(&app, "q=BY+DAY").await?, ["alerts-by-day"]);
    assert_eq!(ids(&app, "q=%25").await?, Vec::<String>::new());
    assert_eq!(ids(&app, "dashboard=none").await?, Vec::<String>::new());
    let wrong = app.get("/metrics?limit=0&cursor=%2F&q=&dashboard=a+b&deleted=yes&page=2").await?;
    wrong.assert_problem(422, "invalid-parameters", "/metrics")?;
    assert_eq!(wrong.fields()?, ["cursor", "dashboard", "deleted", "limit", "page", "q"]);
    Ok(())
}

async fn ids(app: &TestApp, query: &str) -> Result<Vec<String>> {
    let list = app.get(&format!("/metrics?{query}")).await?.json()?;
    let items = list["items"].as_array().with_context(|| list.to_string())?;
    Ok(items.iter().filter_map(|item| Some(item["id"].as_str()?.to_owned())).collect())
}
