//! Changes by several clients, or by one that tries again: preconditions, retries, concurrent requests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use futures_util::future::{try_join, try_join_all};
use metricd_api::ApiState;
use metricd_execution::{Allowed, PendingTable, PendingTableError, Resolution, Resolvable, ResolveError, Resolver};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{alerts, create};
use crate::support::{HANG_TIMEOUT, TestApp, eventually};

#[actix_web::test]
async fn preconditions_follow_rfc_9110() -> Result<()> {
    let app = TestApp::start().await?;
    let current = async || anyhow::Ok(app.get("/metrics/m1/definition").await?.header("etag").to_owned());
    for (if_match, status) in [
        ("*", 200),
        ("TAG", 200),
        ("\"other\", TAG", 200),
        ("W/TAG", 412),
        ("\"other\"", 412),
        ("\"\"", 412),
        ("nonsense", 400),
        ("", 400),
    ] {
        let tag = current().await?;
        let patch = Some(json!({"title": format!("Title for {if_match}")}));
        let headers = [("if-match", if_match.replace("TAG", &tag))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let answer = app.call("PATCH", "/metrics/m1", &headers, patch).await?;
        assert_eq!(answer.status, status, "{if_match}: {answer:?}");
        assert_eq!(answer.body.contains("names a weak `ETag`"), if_match == "W/TAG", "{if_match}: {answer:?}");
        let now = current().await?;
        assert_eq!(now != tag, status == 200);
        let known = app.call("GET", "/metrics/m1/definition", &[("if-none-match", &now)], None).await?;
        assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", now.as_str()));
    }
    for unknown in ["\"other\"", "nonsense"] {
        let answer = app.call("GET", "/metrics/m1/definition", &[("if-none-match", unknown)], None).await?;
        assert_eq!(answer.status, 200, "{unknown}");
    }
    let any = app.call("GET", "/metrics/m1/definition", &[("if-none-match", "*")], None).await?;
    assert_eq!(any.status, 304);
    Ok(())
}

#[actix_web::test]
async fn a_retried_request_is_executed_once() -> Result<()> {
    let app = TestApp::start().await?;
    let send =
        async |key: &str, body: Value| app.call("POST", "/metrics", &[("idempotency-key", key)], Some(body)).await;
    let first = send("k-1", alerts()).await?;
    app.call("PATCH", "/metrics/alerts-by-day", &[], Some(json!({"title": "Other"}))).await?;
    let again = send("k-1", alerts()).await?;
    assert_eq!((again.status, &again.body, again.header("etag")), (201, &first.body, first.header("etag")));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    let reused = send("k-1", json!({"title": "x", "sql": "SELECT 1"})).await?;
    reused.assert_problem(422, "idempotency-key-reused", "/metrics")?;
    for key in ["", "a b", &"x".repeat(256), "\u{e4}"] {
        let answer = send(key, alerts()).await?;
        assert_eq!((answer.status, answer.fields()?), (422, vec!["Idempotency-Key".to_owned()]), "{key}");
    }
    // Without a key and an id, a metric with the same title is another one.
    let other = create(&app, alerts()).await?;
    assert!(other.header("location").starts_with("/metrics/alerts-by-day-"), "{other:?}");
    Ok(())
}

#[actix_web::test]
async fn concurrent_changes_without_if_match_all_succeed() -> Result<()> {
    const CHANGES: usize = 12;
    let app = TestApp::start().await?;
    let patches = (0..CHANGES)
        .map(|number| app.call("PATCH", "/metrics/m1", &[], Some(json!({"sql": format!("SELECT {number} AS n")}))));
    let answers = try_join_all(patches).await?;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(app.get("/metrics/m1/definition").await?.json()?["version"], CHANGES + 1);
    assert_eq!(app.resolver.resolved_texts().len(), CHANGES, "each text is validated once");
    Ok(())
}

/// A resolver that resolves nothing until it is opened, and counts concurrent resolutions.
#[derive(Debug, Default)]
struct GatedResolver {
    at_once: AtomicUsize,
    most: AtomicUsize,
    is_open: watch::Sender<bool>,
}

impl GatedResolver {
    fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }
}

#[async_trait]
impl Resolver for GatedResolver {
    async fn allowed(&self) -> Result<Allowed, ResolveError> {
        Ok(Allowed::default())
    }

    async fn resolve(&self, _: &Resolvable) -> Result<Resolution, ResolveError> {
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_once, Ordering::SeqCst);
        let mut is_open = self.is_open.subscribe();
        // A failed test opens nothing.
        drop(timeout(HANG_TIMEOUT, is_open.wait_for(|is_open| *is_open)).await);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(Resolution::default())
    }

    async fn with_tables(self: Arc<Self>, _: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError> {
        Ok(self)
    }
}

/// Waiting requests would otherwise hold the threads that the rest of the repository needs.
#[actix_web::test]
async fn waiting_for_the_resolver_holds_no_thread() -> Result<()> {
    let resolver = Arc::new(GatedResolver::default());
    let gated = Arc::clone(&resolver);
    let app = TestApp::builder().repository(TestApp::store().await?);
    let app = app.state(|state| ApiState { resolver: gated, ..state }).start()?;
    // Without tokens each address is an author.
    for (addresses, at_once) in [(1, 1), (25, 2)] {
        let authors = (0..50).map(async |number| {
            let address = Ipv4Addr::new(127, 0, 0, 1 + number % addresses);
            let client = reqwest::Client::builder().local_address(IpAddr::from(address)).build()?;
            let body = json!({"id": format!("m-{addresses}-{number}"), "title": "T", "sql": "SELECT 1"});
            anyhow::Ok(client.post(app.url("/metrics")).json(&body).send().await?.status())
        });
        resolver.set_open(false);
        let while_gated = async {
            let is_full = || resolver.at_once.load(Ordering::SeqCst) == at_once;
            eventually("as many resolve as may", is_full).await?;
            // The others wait, and the repository answers.
            for _ in 0..3 {
                assert_eq!(app.get("/metrics").await?.status, 200);
            }
            resolver.set_open(true);
            Ok(())
        };
        let (statuses, ()) = try_join(try_join_all(authors), while_gated).await?;
        assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
        assert_eq!(resolver.most.load(Ordering::SeqCst), at_once, "from {addresses} addresses");
    }
    Ok(())
}
