//! Measures by `Server-Timing` what a refused request costs the server, compared with one that is answered: `cargo run
//! --release -p metricd-api --example refusals`.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use metricd_access::testing::Issuer;
use metricd_access::{Access, Algorithm, Keys, Rules, Secret, Verifier};
use metricd_api::{ApiState, QuotaRules, Quotas, ServerOptions, Uploads, start};
use metricd_execution::testing::{ScriptedResolver, ScriptedRunner};
use metricd_formats::ResultFiles;
use metricd_repository::contract::{TestIngestion, metric, query};
use metricd_repository::{Definitions, MemoryRepository, MetricRepository};
use reqwest::Client;
use serde_json::{Value, json};

const SECRET: &str = "correct horse battery staple, and then some";

/// The number of requests of each kind; the kinds alternate.
const ROUNDS: usize = 2_000;

/// The step sizes of the orders in which the kinds alternate; each is coprime to their number.
const STRIDES: [usize; 6] = [1, 2, 4, 5, 7, 8];

/// A kind of request, and its measurements.
struct Case {
    name: &'static str,
    path: &'static str,
    token: Option<String>,
    status: u16,
    microseconds: Vec<f64>,
}

#[actix_web::main]
#[expect(clippy::print_stdout, reason = "it is what this is for")]
async fn main() -> Result<()> {
    let (rsa, stranger, ours) =
        (issuer(Algorithm::Rs256)?, issuer(Algorithm::Rs256)?, Issuer::with_secret(SECRET.as_bytes()));
    let address = serve(rsa.public_pem(), NonZeroU32::MAX).await?;
    let busy = serve(rsa.public_pem(), NonZeroU32::MIN).await?;
    let sign = |issuer: &Issuer, claims: Value| issuer.sign(&json!({}), &claims).map_err(|error| anyhow!("{error}"));
    let claims = |subject: &str| json!({"sub": subject, "scope": "metrics:read", "exp": 4_000_000_000_u64});
    let with = |name: &str, value: Value| {
        let mut claims = claims("ann");
        claims[name] = value;
        claims
    };
    let good = sign(&ours, claims("ann"))?;
    let limited = sign(&ours, with("metrics", json!(["other"])))?;
    let mut cases = [
        ("answered", "/metrics/m1", Some(good.clone()), 200),
        ("no token", "/metrics/m1", None, 401),
        ("not a token", "/metrics/m1", Some("nonsense".to_owned()), 401),
        ("HS256, expired", "/metrics/m1", Some(sign(&ours, with("exp", json!(1)))?), 401),
        ("RS256, another's signature", "/metrics/m1", Some(sign(&stranger, claims("ann"))?), 401),
        ("scope missing", "/metrics/m1", Some(sign(&ours, with("scope", json!("other")))?), 403),
        ("too many requests", "/metrics/m1", Some(good), 429),
        ("a metric that may not be read", "/metrics/m1", Some(limited.clone()), 404),
        ("a metric that is not there", "/metrics/m2", Some(limited), 404),
    ]
    .map(|(name, path, token, status)| Case { name, path, token, status, microseconds: Vec::new() });

    let client = Client::new();
    for round in 0..ROUNDS {
        for index in 0..cases.len() {
            let stride = STRIDES[round % STRIDES.len()];
            let place = (index * stride) % cases.len();
            let case = &mut cases[place];
            let address = if case.status == 429 { &busy } else { &address };
            let (status, microseconds) = ask(&client, address, case.path, case.token.as_deref()).await?;
            // Each second request is answered.
            if case.status == 429 && status == 200 {
                continue;
            }
            ensure!(status == case.status, "{}: {status}", case.name);
            case.microseconds.push(microseconds);
        }
    }
    println!("{:30} status  median µs  p99 µs", "");
    for Case { name, status, microseconds, .. } in &mut cases {
        microseconds.sort_by(f64::total_cmp);
        let at = |part: usize| microseconds.get(microseconds.len() * part / 100).copied().unwrap_or_default();
        println!("{name:30} {status:6}  {:9.0}  {:6.0}", at(50), at(99));
    }
    Ok(())
}

fn issuer(algorithm: Algorithm) -> Result<Issuer> {
    Issuer::new(algorithm).map_err(|error| anyhow!("{error}"))
}

/// A server with the metric `m1`, whose SQL costs nothing, and this request rate.
async fn serve(public: &str, per_second: NonZeroU32) -> Result<String> {
    let repository = MemoryRepository::default();
    let definitions = Definitions {
        queries: vec![query("q1", "SELECT 1")],
        metrics: vec![metric("m1", "q1")],
        ..Definitions::default()
    };
    let (ingestion, _outcome) = TestIngestion::committing(definitions);
    repository.ingest(Box::new(ingestion)).await?;
    let runner = ScriptedRunner::default();
    runner.script("SELECT 1", || Ok(vec![Some("1".to_owned())]));
    let keys = Keys::parse(public)?.with_secret(&Secret::parse(SECRET.to_owned())?);
    let verifier = Verifier::new(keys, Rules::default())?;
    let rules = QuotaRules {
        requests_per_second: Some(per_second),
        refusals_per_second: Some(NonZeroU32::MAX),
        ..QuotaRules::default()
    };
    let folder = tempfile::tempdir()?;
    let uploads = Uploads::below(&folder.path().join("uploads"))?;
    let state = ApiState {
        access: Access::Tokens(Arc::new(verifier)),
        quotas: Arc::new(Quotas::new(rules)),
        ..ApiState::new(
            Arc::new(repository),
            Arc::new(runner),
            Arc::new(ScriptedResolver::default()),
            Arc::new(ResultFiles),
            uploads,
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    actix_web::rt::spawn(start(listener, state, ServerOptions::default())?);
    Ok(address)
}

/// Sends a request; returns the status and the server's time.
async fn ask(client: &Client, address: &str, path: &str, token: Option<&str>) -> Result<(u16, f64)> {
    let mut request = client.get(format!("{address}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    let timing = response.headers().get("server-timing").and_then(|value| value.to_str().ok());
    let total = timing.and_then(|timing| timing.split("total;dur=").nth(1)?.split(',').next()?.parse::<f64>().ok());
    let microseconds = total.context("no Server-Timing")? * 1_000.0;
    let status = response.status().as_u16();
    response.bytes().await?;
    Ok((status, microseconds))
}
