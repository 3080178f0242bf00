//! The pages of problems.

use anyhow::Result;
use metricd_api::ProblemCode;

use crate::support::TestApp;

#[actix_web::test]
async fn every_problem_links_to_its_page() -> Result<()> {
    let app = TestApp::start().await?;
    let all = app.get("/problems").await?.json()?;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(ProblemCode::ALL.len()));
    for (index, code) in ProblemCode::ALL.iter().enumerate() {
        let path = format!("/problems/{}", code.code());
        let answer = app.get(&path).await?;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}");
        let problem = answer.json()?;
        assert_eq!((&problem["type"], &problem["code"]), (&path.as_str().into(), &code.code().into()));
        assert_eq!(problem["status"], code.status().as_u16());
        assert_eq!((&problem["title"], &problem["detail"]), (&code.title().into(), &code.detail().into()));
        assert_eq!(all["items"][index], problem);
    }
    let refused = app.get("/metrics/none").await?.json()?;
    assert_eq!(app.get(refused["type"].as_str().unwrap_or_default()).await?.status, 200);
    app.get("/problems/none").await?.assert_problem(404, "not-found", "/problems/none")?;
    app.get("/problems?x=1").await?.assert_problem(422, "invalid-parameters", "/problems")?;
    Ok(())
}

#[actix_web::test]
async fn a_browser_gets_a_page() -> Result<()> {
    let app = TestApp::start().await?;
    for path in ["/problems", "/problems/not-acceptable"] {
        let request = app.client.get(app.url(path));
        let answer = app.send(request.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")).await?;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(answer.header("vary"), "accept", "{path}");
        assert!(answer.body.contains("<code>not-acceptable</code>"), "{}", answer.body);
        assert!(answer.body.contains("<code>application/json</code>") && !answer.body.contains('`'), "{}", answer.body);
    }
    Ok(())
}

#[actix_web::test]
async fn the_root_redirects_browsers_to_the_documentation() -> Result<()> {
    let app = TestApp::start().await?;
    let problem = app.get("/").await?.assert_problem(404, "not-found", "/")?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("`/docs`") && detail.contains("`/openapi.json`"), "{detail}");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let browser = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let answer = client.get(app.url("/")).header(browser.0, browser.1).send().await?;
    assert_eq!(answer.status(), 303);
    assert_eq!([&answer.headers()["location"], &answer.headers()["vary"]], ["/docs", "accept"]);
    for request in [client.get(app.url("/nowhere")), client.post(app.url("/"))] {
        assert_eq!(app.send(request.header(browser.0, browser.1)).await?.status, 404);
    }
    Ok(())
}
