//! CORS: which pages may read responses.

use anyhow::Result;
use metricd_api::ServerOptions;
use reqwest::Method;

use crate::support::{Answer, TestApp};

const PAGE: &str = "https://dashboards.example.org";

fn app(origins: &[&str]) -> Result<TestApp> {
    let cors_origins = origins.iter().map(|origin| origin.parse()).collect::<Result<_, _>>()?;
    TestApp::builder().options(ServerOptions { cors_origins, ..ServerOptions::default() }).start()
}

async fn send(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let request = app.client.request(method, app.url(path));
    app.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

fn vary(answer: &Answer) -> String {
    let values = answer.headers.get_all("vary").iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(", ")
}

#[actix_web::test]
async fn no_cors_headers_without_a_configured_origin() -> Result<()> {
    let app = TestApp::start().await?;
    let answer = send(&app, Method::GET, "/health", &[("origin", PAGE)]).await?;
    assert_eq!(answer.status, 403);
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer:?}");
    assert_eq!(vary(&answer), "");
    let preflight = [("origin", PAGE), ("access-control-request-method", "GET")];
    let answer = send(&app, Method::OPTIONS, "/health", &preflight).await?;
    assert_eq!((answer.status, answer.header("allow")), (403, ""));
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{answer:?}");
    Ok(())
}

#[actix_web::test]
async fn only_pages_of_allowed_origins_may_read() -> Result<()> {
    let app = app(&["http://localhost:3000", PAGE])?;
    // A result, and problems of the router and of the limits of the head.
    for path in ["/health", "/nowhere", &format!("/{}", "a".repeat(9_000))] {
        for origin in ["http://localhost:3000", PAGE] {
            let answer = send(&app, Method::GET, path, &[("origin", origin)]).await?;
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{path}");
            for name in
                ["x-request-id", "etag", "content-disposition", "idempotent-replayed", "allow", "accept-encoding"]
            {
                assert!(answer.header("access-control-expose-headers").contains(name), "{path}: {name}");
            }
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{path}");
            assert!(vary(&answer).contains("origin"), "{path}");
        }
        for origin in ["https://evil.example.org", "null", "https://dashboards.example.org.evil", "http://localhost"] {
            let answer = send(&app, Method::GET, path, &[("origin", origin)]).await?;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            assert!(vary(&answer).contains("origin"), "{path}");
        }
        assert!(vary(&app.get(path).await?).contains("origin"), "{path}");
    }
    Ok(())
}

#[actix_web::test]
async fn a_preflight_is_answered_whatever_the_path() -> Result<()> {
    let app = app(&[PAGE])?;
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "authorization"),
        ]
    };
    for path in ["/metrics/m1", "/nowhere"] {
        let answer = send(&app, Method::OPTIONS, path, &preflight(PAGE)).await?;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), PAGE);
        assert!(answer.header("access-control-allow-methods").contains("PATCH"));
        for name in ["authorization", "content-type", "if-match", "idempotency-key"] {
            assert!(answer.header("access-control-allow-headers").contains(name), "{name}");
        }
        assert_eq!(answer.header("access-control-max-age"), "600");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        assert_eq!(vary(&answer), "origin");
    }
    let foreign_host = [&preflight(PAGE)[..], &[("host", "evil.example.org")]].concat();
    let refused = send(&app, Method::OPTIONS, "/metrics/m1", &foreign_host).await?;
    refused.assert_problem(421, "misdirected-request", "/metrics/m1")?;
    let answer = send(&app, Method::OPTIONS, "/nowhere", &preflight("https://evil.example.org")).await?;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""));
    Ok(())
}

#[actix_web::test]
async fn any_origin_gives_all_origins_the_same_response() -> Result<()> {
    let app = app(&["*", PAGE])?;
    for origin in [PAGE, "https://other.example.org", "null"] {
        let answer = send(&app, Method::GET, "/health", &[("origin", origin)]).await?;
        assert_eq!((answer.header("access-control-allow-origin"), vary(&answer).as_str()), ("*", ""), "{origin}");
    }
    Ok(())
}
