//! `/dashboards`

use std::sync::Arc;

use anyhow::Result;
use metricd_domain::Breakpoint;
use metricd_repository::contract::{TestIngestion, dashboard, layout_entry, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use serde_json::json;

use crate::support::TestApp;

async fn app() -> Result<TestApp> {
    let repository = MemoryRepository::default();
    let mut board = dashboard("d1", &["m2", "m1"]);
    board.layouts.insert(Breakpoint::Lg, vec![layout_entry("m1", 9_999_999)]);
    let definitions = Definitions {
        queries: vec![query("q1", "SELECT 1")],
        metrics: vec![metric("m1", "q1"), metric("m2", "q1")],
        dashboards: vec![board, dashboard("d2", &[])],
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    TestApp::builder().repository(Arc::new(repository)).start()
}

#[actix_web::test]
async fn a_dashboard_has_its_items_and_layouts() -> Result<()> {
    let app = app().await?;
    let board = app.get("/dashboards/d1").await?.json()?;
    let entry = json!({"metric_id": "m1", "x": 0, "y": 9_999_999, "width": 1, "height": 1, "is_static": false});
    assert_eq!(
        board,
        json!({
            "id": "d1", "name": "d1", "items": [{"metric_id": "m2"}, {"metric_id": "m1"}], "layouts": {"lg": [entry]}
        })
    );
    for id in ["none", "a%20b", "%00"] {
        let answer = app.get(&format!("/dashboards/{id}")).await?;
        assert_eq!((answer.status, &answer.json()?["code"]), (404, &json!("dashboard-not-found")));
    }
    assert_eq!(app.get("/dashboards/d1?x=1").await?.fields()?, ["x"]);
    Ok(())
}

#[actix_web::test]
async fn dashboards_are_listed_in_pages() -> Result<()> {
    let app = app().await?;
    let first = app.get("/dashboards?limit=1").await?.json()?;
    assert_eq!(first["items"], json!([{"id": "d1", "name": "d1", "item_count": 2}]));
    let cursor = first["next_cursor"].as_str().unwrap_or_default();
    let second = app.get(&format!("/dashboards?limit=1&cursor={cursor}")).await?.json()?;
    assert_eq!((&second["items"][0]["id"], &second["next_cursor"]), (&json!("d2"), &json!(null)));
    Ok(())
}
