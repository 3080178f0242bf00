//! `GET /ingestions/{ingestion_id}`

use anyhow::Result;
use metricd_repository::Definitions;
use metricd_repository::contract::Brought;

use crate::support::TestApp;

#[actix_web::test]
async fn a_report_comes_back_as_json() -> Result<()> {
    let app = TestApp::start().await?;
    let (brought, _told) = Brought::keeping(Definitions::default(), Vec::new());
    let report = app.repository.ingest(Box::new(brought)).await?;
    let answer = app.get(&format!("/ingestions/{}", report.ingestion_id)).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()?, serde_json::to_value(&report)?);
    Ok(())
}

#[actix_web::test]
async fn what_is_no_ingestion_is_not_found() -> Result<()> {
    let app = TestApp::start().await?;
    for id in ["01a20700-5ad7-70ed-bfb2-4d2dbfff6379", "1", "x"] {
        let path = format!("/ingestions/{id}");
        app.get(&path).await?.assert_problem(404, "ingestion-not-found", &path)?;
    }
    Ok(())
}
