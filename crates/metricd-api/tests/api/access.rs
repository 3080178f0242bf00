//! Authentication and authorization: every operation of the document with valid and invalid tokens.

mod limited;
mod quotas;
mod reports;
mod tenants;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, Keys, Rules, Secret, Verifier};
use metricd_api::openapi::api_document;
use metricd_repository::RepositoryError;
use serde_json::{Value, json};

use crate::support::{Answer, FailingRepository, TestApp};

const SECRET: &str = "correct horse battery staple, and then some";

/// An operation of the document: method, path with unknown ids, and required scope.
struct Operation {
    method: String,
    path: String,
    scope: Option<String>,
}

/// The operations of the document, so that an operation without a scope is found here.
fn operations() -> Result<Vec<Operation>> {
    let document: Value = serde_json::from_str(api_document())?;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("item")? {
            let scope = operation["security"][0]["bearer"][0].as_str().map(str::to_owned);
            let path = path
                .replace("{metric_id}", "m1")
                .replace("{dashboard_id}", "d1")
                .replace("{table_name}", "t1")
                .replace("{ingestion_id}", "00000000-0000-7000-8000-000000000000")
                .replace("{file}", "page.js")
                .replace("{code}", "not-found");
            operations.push(Operation { method: method.to_uppercase(), path, scope });
        }
    }
    Ok(operations)
}

fn seconds(later: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|now| now.as_secs()).unwrap_or_default();
    i64::try_from(now).unwrap_or_default() + later
}

fn claims(scope: &str) -> Value {
    json!({"sub": "ann", "scope": scope, "exp": seconds(3_600), "aud": "metricd"})
}

fn sign(issuer: &Issuer, header: &Value, claims: &Value) -> Result<String> {
    issuer.sign(header, claims).map_err(|error| anyhow::anyhow!("{error}"))
}

fn issuer(algorithm: Algorithm) -> Result<Issuer> {
    Issuer::new(algorithm).map_err(|error| anyhow::anyhow!("{error}"))
}

/// A verifier of tokens signed by the secret and the public keys, for the audience `metricd`.
fn verifier(public: &str) -> Result<Verifier> {
    let keys = if public.is_empty() { Keys::default() } else { Keys::parse(public)? };
    let rules = Rules { audiences: vec!["metricd".to_owned()], ..Rules::default() };
    Ok(Verifier::new(keys.with_secret(&Secret::parse(SECRET.to_owned())?), rules)?)
}

fn good(scope: &str) -> Result<String> {
    sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims(scope))
}

/// A server whose repository fails, which shows that a refused request does not reach the repository.
fn without_store(public: &str) -> Result<TestApp> {
    let store = FailingRepository(|| RepositoryError::Failed("nobody may ask".to_owned()));
    TestApp::builder().repository(Arc::new(store)).tokens(verifier(public)?).start()
}

async fn with_headers(app: &TestApp, operation: &Operation, authorization: &[&str]) -> Result<Answer> {
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    app.call(&operation.method, &operation.path, &headers, None).await
}

/// Asserts that the request was refused with this code, and that the response does not contain the token.
fn assert_refused(answer: &Answer, operation: &Operation, code: &str, token: &str) -> Result<()> {
    let status = if code == "scope-missing" { 403 } else { 401 };
    let problem = answer.assert_problem(status, code, &operation.path)?;
    let challenge = answer.header("www-authenticate");
    ensure!(challenge.starts_with(r#"Bearer realm="metricd""#), "{answer:?}");
    ensure!(token.len() < 10 || !format!("{problem} {challenge}").contains(token), "{answer:?}");
    Ok(())
}

#[actix_web::test]
async fn only_operations_without_metrics_need_no_token() -> Result<()> {
    let open: Vec<_> = operations()?.into_iter().filter(|operation| operation.scope.is_none()).collect();
    let paths: Vec<_> = open.iter().map(|operation| operation.path.as_str()).collect();
    let expected =
        ["/docs", "/docs/page.js", "/health", "/health/ready", "/openapi.json", "/problems", "/problems/not-found"];
    assert_eq!(paths, expected);
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    for operation in &open {
        assert_eq!(with_headers(&app, operation, &[]).await?.status, 200, "{}", operation.path);
        assert_eq!(with_headers(&app, operation, &["Bearer nonsense"]).await?.status, 200, "{}", operation.path);
    }
    Ok(())
}

#[actix_web::test]
async fn each_operation_requires_its_scope() -> Result<()> {
    const SCOPES: [&str; 3] = ["metrics:read", "metrics:write", "metrics:ingest"];
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    let guarded = without_store("")?;
    for operation in operations()?.iter().filter(|operation| operation.scope.is_some()) {
        let needed = operation.scope.as_deref().unwrap_or_default();
        let expected = match (operation.method.as_str(), operation.path.as_str()) {
            (_, path) if path.starts_with("/ingestions") => "metrics:ingest",
            ("DELETE", path) if path.starts_with("/tables") => "metrics:ingest",
            ("GET", _) => "metrics:read",
            _ => "metrics:write",
        };
        assert_eq!(needed, expected, "{} {}", operation.method, operation.path);
        let ours = Issuer::with_secret(SECRET.as_bytes());
        let (mut as_array, mut elsewhere) = (claims(""), claims(""));
        as_array["scope"] = json!(["openid", needed]);
        elsewhere["scp"] = json!(needed);
        for claims in [claims(needed), claims(&format!("openid {needed}")), as_array, elsewhere] {
            let token = sign(&ours, &json!({}), &claims)?;
            let answer = with_headers(&app, operation, &[&format!("Bearer {token}")]).await?;
            assert!(![401, 403].contains(&answer.status), "{} {}: {answer:?}", operation.method, operation.path);
        }
        let others: Vec<_> = SCOPES.into_iter().filter(|scope| *scope != needed).collect();
        let look_alikes = [
            needed.replace('e', "\u{435}"),
            needed.replace(':', "\u{ff1a}"),
            format!("{needed}\u{200b}"),
            format!("\u{feff}{needed}"),
            format!("openid\u{a0}{needed}"),
            format!("openid\t{needed}"),
            needed.replace('s', "\u{17f}"),
        ];
        let near =
            [others.join(" "), String::new(), needed.to_uppercase(), format!("{needed}s"), "metrics:*".to_owned()];
        for scopes in near.iter().chain(&look_alikes) {
            let token = good(scopes)?;
            let answer = with_headers(&guarded, operation, &[&format!("Bearer {token}")]).await?;
            assert_refused(&answer, operation, "scope-missing", &token)?;
            assert!(answer.header("www-authenticate").contains(&format!(r#"scope="{needed}""#)), "{answer:?}");
        }
    }
    Ok(())
}

#[actix_web::test]
async fn no_operation_accepts_an_invalid_token() -> Result<()> {
    const ALL: &str = "metrics:read metrics:write metrics:ingest";
    let (rsa, theirs) = (issuer(Algorithm::Rs256)?, issuer(Algorithm::Rs256)?);
    let jwks = json!({"keys": [rsa.jwk("k1").map_err(|error| anyhow::anyhow!("{error}"))?]}).to_string();
    let ours = Issuer::with_secret(SECRET.as_bytes());
    let with = |name: &str, value: Value| {
        let mut claims = claims(ALL);
        claims[name] = value;
        claims
    };
    let unsigned = |token: String| token.rsplit_once('.').map(|(message, _)| format!("{message}.")).unwrap_or_default();
    let their_key = theirs.jwk("k1").map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut without_exp = claims(ALL);
    without_exp.as_object_mut().context("claims")?.remove("exp");
    let duplicate = format!(r#"{{"exp":1,"exp":{},"aud":"metricd","scope":"{ALL}"}}"#, seconds(60));
    let duplicate = ours.sign_text(r#"{"alg":"HS256"}"#, &duplicate).map_err(|error| anyhow::anyhow!("{error}"))?;
    let tokens = [
        ("alg none", unsigned(sign(&ours, &json!({"alg": "none"}), &claims(ALL))?)),
        ("public key as a secret", sign(&Issuer::with_secret(rsa.public_pem().as_bytes()), &json!({}), &claims(ALL))?),
        ("JWKS as a secret", sign(&Issuer::with_secret(jwks.as_bytes()), &json!({}), &claims(ALL))?),
        ("another key", sign(&theirs, &json!({"kid": "k1"}), &claims(ALL))?),
        ("another secret", sign(&Issuer::with_secret(&[7; 32]), &json!({}), &claims(ALL))?),
        ("another kid", sign(&rsa, &json!({"kid": "k2"}), &claims(ALL))?),
        ("embedded jwk", sign(&theirs, &json!({"jwk": their_key}), &claims(ALL))?),
        ("jku", sign(&theirs, &json!({"jku": "http://127.0.0.1:1/", "kid": "k1"}), &claims(ALL))?),
        ("x5u", sign(&theirs, &json!({"x5u": "http://127.0.0.1:1/", "kid": "k1"}), &claims(ALL))?),
        ("crit", sign(&ours, &json!({"crit": ["exp"]}), &claims(ALL))?),
        ("expired", sign(&ours, &json!({}), &with("exp", json!(seconds(-31))))?),
        ("not yet valid", sign(&ours, &json!({}), &with("nbf", json!(seconds(3_600))))?),
        ("another audience", sign(&ours, &json!({}), &with("aud", json!("other")))?),
        ("other audiences", sign(&ours, &json!({}), &with("aud", json!(["other", "metricd2"])))?),
        ("no exp", sign(&ours, &json!({}), &without_exp)?),
        ("huge claims", sign(&ours, &json!({}), &with("x", json!("x".repeat(8_000))))?),
        ("duplicate claims", duplicate),
        ("huge", "x".repeat(30_000)),
        ("not base64", "%%%.%%%.%%%".to_owned()),
        ("cut", good(ALL)?.chars().take(40).collect()),
        ("two tokens", format!("{},{}", good(ALL)?, good(ALL)?)),
    ];
    let app = without_store(&jwks)?;
    let (token, of_rsa) = (good(ALL)?, sign(&rsa, &json!({"kid": "k1"}), &claims(ALL))?);
    for operation in operations()?.iter().filter(|operation| operation.scope.is_some()) {
        for (name, token) in &tokens {
            let answer = with_headers(&app, operation, &[&format!("Bearer {token}")]).await?;
            assert_refused(&answer, operation, "token-invalid", token)
                .with_context(|| format!("{name}: {} {}", operation.method, operation.path))?;
        }
        assert_refused(&with_headers(&app, operation, &[]).await?, operation, "token-missing", "")?;
        let schemes = ["Bearer", "Bearer ", "Basic YW5uOmFubg==", token.as_str(), &format!("Token {token}")];
        for scheme in schemes {
            assert_refused(&with_headers(&app, operation, &[scheme]).await?, operation, "token-invalid", &token)?;
        }
        let twice = format!("Bearer {token}");
        assert_refused(&with_headers(&app, operation, &[&twice, &twice]).await?, operation, "token-invalid", &token)?;
        for (query, header) in [(&token, None), (&token, Some(&twice))] {
            let url = format!("{}?access_token={query}", operation.path);
            let headers: Vec<_> = header.map(|value| ("Authorization", value.as_str())).into_iter().collect();
            let answer = app.call(&operation.method, &url, &headers, None).await?;
            assert_refused(&answer, operation, "token-missing", &token)?;
            assert!(answer.json()?["detail"].as_str().is_some_and(|detail| detail.contains("URL")), "{answer:?}");
        }
        // The same server accepts these two, and then reads its repository.
        for good in [format!("bearer {token}"), format!("BEARER {of_rsa}")] {
            let answer = with_headers(&app, operation, &[&good]).await?;
            assert!(![401, 403].contains(&answer.status), "{} {}: {answer:?}", operation.method, operation.path);
        }
    }
    Ok(())
}

#[actix_web::test]
async fn a_body_is_not_read_before_the_token() -> Result<()> {
    let app = without_store("")?;
    let answer = app.call("POST", "/metrics", &[], Some(json!("no metric"))).await?;
    answer.assert_problem(401, "token-missing", "/metrics")?;
    let token = format!("Bearer {}", good("metrics:write")?);
    let answer = app.call("POST", "/metrics", &[("Authorization", &token)], Some(json!("no metric"))).await?;
    answer.assert_problem(422, "invalid-body", "/metrics")?;
    Ok(())
}

#[actix_web::test]
async fn methods_paths_and_preflights_need_no_token() -> Result<()> {
    let app = without_store("")?;
    assert_eq!(app.call("OPTIONS", "/metrics", &[], None).await?.status, 204);
    app.call("PUT", "/metrics", &[], None).await?.assert_problem(405, "method-not-allowed", "/metrics")?;
    app.get("/nothing").await?.assert_problem(404, "not-found", "/nothing")?;
    let head = app.call("HEAD", "/metrics", &[], None).await?;
    assert_eq!(head.status, 401, "HEAD needs what GET needs");
    Ok(())
}

#[actix_web::test]
async fn history_names_the_tokens_subject() -> Result<()> {
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    let token = format!("Bearer {}", good("metrics:read metrics:write")?);
    let headers = [("Authorization", token.as_str()), ("X-Request-Id", "r-1")];
    let changed = app.call("PATCH", "/metrics/m1", &headers, Some(json!({"title": "New"}))).await?;
    assert_eq!(changed.status, 200, "{changed:?}");
    let history = app.call("GET", "/metrics/m1/history", &headers, None).await?.json()?;
    let by = &history["items"][0]["changed_by"];
    assert_eq!((&by["subject"], &by["request_id"]), (&json!("ann"), &json!("r-1")), "{history:#}");
    assert!(by["address"].is_string(), "{history:#}");
    Ok(())
}

#[actix_web::test]
async fn two_callers_may_use_one_idempotency_key() -> Result<()> {
    let app = TestApp::builder().repository(TestApp::store().await?).tokens(verifier("")?).start()?;
    let create = async |subject: &str, id: &str| {
        let mut claims = claims("metrics:write");
        claims["sub"] = json!(subject);
        let token = format!("Bearer {}", sign(&Issuer::with_secret(SECRET.as_bytes()), &json!({}), &claims)?);
        let headers = [("Authorization", token.as_str()), ("Idempotency-Key", "k")];
        app.call("POST", "/metrics", &headers, Some(json!({"id": id, "title": "T", "sql": "SELECT 1"}))).await
    };
    assert_eq!(create("ann", "a").await?.status, 201);
    assert_eq!(create("bob", "b").await?.status, 201);
    let again = create("ann", "a").await?;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"), "{again:?}");
    create("ann", "b").await?.assert_problem(422, "idempotency-key-reused", "/metrics")?;
    Ok(())
}
