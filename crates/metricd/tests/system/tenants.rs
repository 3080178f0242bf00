//! Tenants over HTTP, set up as docs/tenants.md describes.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{Server, connect_as_owner, folder, metricd, run, show, write};

const DOCUMENT: &str = include_str!("../../../../docs/tenants.md");
const SECRET: &str = "correct horse battery staple, and then some";
const TENANTS: [&str; 2] = ["acme", "o'neil"];

/// The number of orders of each tenant.
const ORDERS: usize = 5_000;

/// Returns the SQL of the document.
fn documented() -> String {
    DOCUMENT.split("```sql\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

fn with_secret(command: &mut Command) -> &mut Command {
    command.env("METRICD_JWT_SECRET", SECRET).env("METRICD_NO_SAMPLE", "true")
}

const QUERIES: &str = "id,query
whose,\"SELECT tenant, count(*) AS count FROM orders GROUP BY tenant\"
all,\"SELECT tenant, ordered_on, repeat('x', 450) AS note FROM orders\"
large,\"SELECT DISTINCT tenant FROM large_orders\"
slow,\"SELECT a.tenant FROM orders AS a, orders AS b WHERE a.amount * b.amount < 0\"
open,SELECT tenant FROM notes
";

const METRICS: &str = r#"{"items": [
    {"id": "whose", "queryId": "whose"}, {"id": "all", "queryId": "all"}, {"id": "large", "queryId": "large"},
    {"id": "slow", "queryId": "slow"}, {"id": "open", "queryId": "open"}
]}"#;

#[derive(Debug, Default)]
struct Counts {
    single: AtomicUsize,
    several: AtomicUsize,
    aborted: AtomicUsize,
    cancelled: AtomicUsize,
    rows: AtomicUsize,
}

#[actix_web::test]
async fn two_tenants_share_a_server_and_never_see_each_others_rows() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let private = Server::start(with_secret(&mut metricd(&data_dir)))?;
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute(&documented()).await?;
    owner
        .batch_execute(&format!(
            "INSERT INTO warehouse.orders
             SELECT tenant, DATE '2025-01-01' + n % 365, n FROM unnest(ARRAY['acme', 'o''neil']) AS tenant, generate_series(1, {ORDERS}) AS n;
             ANALYZE warehouse.orders;
             CREATE TABLE warehouse.notes AS SELECT 'acme' AS tenant;
             CREATE TABLE warehouse.metrics (id text)"
        ))
        .await?;
    let files = [write(folder.path(), "queries.csv", QUERIES)?, write(folder.path(), "metrics.json", METRICS)?];
    let (code, report, error) = run(metricd(&data_dir).arg("ingest").args(&files))?;
    ensure!(code == 0, "{report}{error}");

    // A relation that does not isolate tenants is reported before anything is served.
    drop(private);
    let serve = |shared: &str| {
        let mut command = metricd(&data_dir);
        with_secret(&mut command).env("METRICD_TENANT_CLAIM", "tenant").env("METRICD_QUERY_CONNECTIONS", "3");
        if !shared.is_empty() {
            command.env("METRICD_SHARED_TABLES", shared);
        }
        command
    };
    for (shared, expected) in [
        ("", "`warehouse.notes` (its row security is off, or does not hold for the reader): enable row-level security"),
        ("metrics", "does not isolate tenants in `warehouse.notes` (its row security is off"),
        ("metrics,nots", "does not have, or the reader may not read: `nots`"),
    ] {
        let (code, printed, error) = run(&mut serve(shared))?;
        ensure!((code, printed.as_str()) == (1, "") && error.contains(expected), "{shared}: {error}");
    }
    let server = Server::start(&mut serve("metrics,notes"))?;
    let mut tokens = Vec::new();
    for tenant in TENANTS {
        let mut command = metricd(&data_dir);
        command.args(["token", "--scope", "metrics:read,metrics:write", "--subject", tenant]);
        let (code, token, error) =
            run(with_secret(&mut command).args(["--tenant-claim", "tenant", "--tenant", tenant]))?;
        ensure!(code == 0, "{error}");
        tokens.push(token.trim().to_owned());
    }
    let counts = Arc::new(Counts::default());
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (tenant, token) = (TENANTS[client % 2], tokens[client % 2].clone());
            actix_web::rt::spawn(send_requests(server.address.clone(), tenant, token, Arc::clone(&counts)))
        })
        .collect();
    for client in clients {
        client.await??;
    }
    let load = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    show(&format!("two tenants over HTTP: {counts:?}"));
    ensure!(load(&counts.single) + load(&counts.several) >= 2_000, "{counts:?}");
    ensure!(load(&counts.aborted) >= 300 && load(&counts.cancelled) >= 300, "{counts:?}");

    // No metric runs while a table is not secured, or for a token without a tenant.
    let owner = connect_as_owner(&data_dir).await?;
    owner.batch_execute("CREATE TABLE warehouse.later AS SELECT 'acme' AS tenant, 1 AS one").await?;
    let get = |path: &str, token: &str| Client::new().get(format!("{}{path}", server.address)).bearer_auth(token);
    let new = serde_json::json!({"id": "later", "title": "Later", "sql": "SELECT one FROM later"});
    let create = Client::new().post(format!("{}/metrics", server.address)).bearer_auth(&tokens[0]).json(&new);
    ensure!(create.send().await?.status() == 201, "creating");
    for path in ["/metrics/later", "/metrics/whose"] {
        let refused = get(path, &tokens[0]).send().await?;
        ensure!(refused.status() == 500, "an unsecured table is read");
        ensure!(refused.json::<Value>().await?["code"] == "row-security-missing", "{path}");
    }
    let ready = async || Client::new().get(format!("{}/health/ready", server.address)).send().await;
    ensure!(ready().await?.status() == 503, "a server that runs no metric is ready");
    let secure = "ALTER TABLE warehouse.later ENABLE ROW LEVEL SECURITY;
                  CREATE POLICY of_tenant ON warehouse.later USING (tenant = (SELECT tenancy.current_tenant()))";
    owner.batch_execute(secure).await?;
    for path in ["/metrics/later", "/metrics/whose"] {
        ensure!(get(path, &tokens[0]).send().await?.status() == 200, "{path}");
    }
    ensure!(ready().await?.status() == 200, "not ready although everything is secured");
    let mut tenantless = metricd(&data_dir);
    tenantless.args(["token", "--scope", "metrics:read", "--subject", "nobody"]);
    let tenantless = run(with_secret(&mut tenantless))?.1;
    ensure!(get("/metrics/whose", tenantless.trim()).send().await?.status() == 403, "without a tenant");
    let log = server.log()?;
    ensure!(
        log.contains("does not isolate tenants in `warehouse.later`") && log.contains("`nobody` from 127.0.0.1"),
        "{log}"
    );
    Ok(())
}

/// Sends requests of every kind, and checks every row of the responses.
async fn send_requests(address: String, tenant: &'static str, token: String, counts: Arc<Counts>) -> Result<()> {
    let client = Client::new();
    let get = |path: &str| client.get(format!("{address}{path}")).bearer_auth(&token);
    for round in 0..344 {
        match round % 8 {
            0..4 => {
                let body = text(get("/metrics/whose")).await?;
                let rows = serde_json::from_str::<Value>(&body)?["rows"].clone();
                ensure!(rows == serde_json::json!([{"tenant": tenant, "count": ORDERS}]), "{tenant}: {body}");
                counts.single.fetch_add(1, Ordering::Relaxed);
            }
            4 | 5 => {
                let body = text(get("/results?metric_id=whose&metric_id=large&metric_id=whose")).await?;
                let foreign = TENANTS.iter().find(|name| **name != tenant).context("another")?;
                ensure!(body.matches(&format!(r#""tenant":"{tenant}""#)).count() == 3, "{tenant}: {body}");
                ensure!(!body.contains(*foreign), "{tenant}: {body}");
                counts.several.fetch_add(1, Ordering::Relaxed);
            }
            6 => {
                // The client disconnects in the middle of the stream.
                let mut response = loop {
                    let response = get("/metrics/all?format=csv").send().await?;
                    // Other clients of the subject may use all of its streams, and a busy machine all of the time.
                    if response.status() == 200 {
                        break response;
                    }
                    ensure!([429, 503, 504].contains(&response.status().as_u16()), "{}", response.text().await?);
                };
                let mut read = Vec::new();
                while read.len() <= (round % 7) * 64 * 1_024
                    && let Some(chunk) = response.chunk().await?
                {
                    read.extend_from_slice(&chunk);
                }
                drop(response);
                let read = String::from_utf8_lossy(&read).into_owned();
                let (complete, _) = read.rsplit_once("\r\n").with_context(|| format!("no line: {read}"))?;
                for line in complete.lines().skip(1) {
                    ensure!(line.split(',').next() == Some(tenant), "{tenant}: {line}");
                    counts.rows.fetch_add(1, Ordering::Relaxed);
                }
                counts.aborted.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                let time = Duration::from_millis(1 + round as u64 % 9);
                while let Ok(answered) = timeout(time, text(get("/metrics/slow"))).await {
                    let answer = answered.err().map(|error| error.to_string()).unwrap_or_default();
                    // On a busy machine, the statement that was cancelled before may still run.
                    ensure!(answer.contains("statement-quarantined"), "it is too fast to be cancelled: {answer}");
                }
                counts.cancelled.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

async fn text(request: RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status == 200, "{status}: {body}");
    Ok(body)
}
