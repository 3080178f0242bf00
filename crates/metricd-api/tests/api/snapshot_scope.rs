//! `Metricd-Snapshot`, and what a result of several servers changes.

use anyhow::Result;
use metricd_domain::ContractTable;
use metricd_execution::{RemoteRelations, Resolution, RunError, SnapshotScope};
use serde_json::json;

use crate::support::TestApp;

/// Metrics that read a table of this database, a foreign table, and a file.
async fn app() -> Result<TestApp> {
    let app = TestApp::start().await?;
    for table in ["local", "remote", "file"] {
        let sql = format!("SELECT 1 AS one FROM {table}");
        let tables = vec![ContractTable::new("warehouse", table)];
        app.resolver.answer(&sql, Ok(Resolution { tables, ..Resolution::default() }));
        app.runner.script(&sql, || Ok(vec![Some("1".into())]));
        let body = json!({"id": table, "title": table, "sql": sql});
        assert_eq!(app.call("POST", "/metrics", &[], Some(body)).await?.status, 201);
    }
    let scopes = [("remote", SnapshotScope::PerServer), ("file", SnapshotScope::None)];
    app.runner.set_remote_relations(RemoteRelations {
        scopes: scopes.map(|(name, scope)| (("warehouse".to_owned(), name.to_owned()), scope)).into(),
        ..RemoteRelations::default()
    });
    Ok(app)
}

#[actix_web::test]
async fn a_response_names_the_widest_scope_of_its_metrics() -> Result<()> {
    let app = app().await?;
    for (path, expected) in [
        ("/metrics/local", ""),
        ("/metrics/remote", "per-server"),
        ("/metrics/remote?format=csv", "per-server"),
        ("/metrics/file", "none"),
        ("/results?metric_id=local", ""),
        ("/results?metric_id=local&metric_id=remote", "per-server"),
        ("/results?metric_id=remote&metric_id=file", "none"),
    ] {
        let response = app.get(path).await?;
        assert_eq!((response.status, response.header("metricd-snapshot")), (200, expected), "{path}");
    }
    let tag = app.get("/metrics/remote").await?.header("etag").to_owned();
    let unchanged = app.call("GET", "/metrics/remote", &[("If-None-Match", &tag)], None).await?;
    assert_eq!((unchanged.status, unchanged.header("metricd-snapshot")), (304, "per-server"));
    Ok(())
}

/// A second connection would read the other servers on snapshots of its own.
#[actix_web::test]
async fn results_of_several_servers_come_from_one_connection() -> Result<()> {
    let app = app().await?;
    for (path, connections) in [
        ("/results?metric_id=local&metric_id=file", 2),
        ("/results?metric_id=local&metric_id=remote", 1),
        ("/results?metric_id=local", 1),
    ] {
        assert_eq!(app.get(path).await?.status, 200);
        assert_eq!(app.runner.last_connections(), connections, "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_scope_that_could_not_be_read_yet_is_no_result() -> Result<()> {
    let app = app().await?;
    app.runner.script("remote relations", || Err(RunError::Unavailable("no server".to_owned())));
    for path in ["/metrics/local", "/results?metric_id=local"] {
        app.get(path).await?.assert_problem(503, "database-unavailable", path.split('?').next().unwrap_or_default())?;
    }
    Ok(())
}
