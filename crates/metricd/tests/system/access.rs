//! When the program requires tokens, and its messages about keys and tokens.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use metricd_access::Algorithm;
use metricd_access::testing::Issuer;
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Server, connect_as_owner, definitions, eventually, folder, metricd, run, write};

const SECRET: &str = "correct horse battery staple, and then some";

/// Returns the command of the program, with the secret in its environment.
fn with_secret(data_dir: &Path) -> Command {
    let mut command = metricd(data_dir);
    command.env("METRICD_JWT_SECRET", SECRET);
    command
}

/// Returns the status of the response to a request with this token.
async fn status(server: &Server, path: &str, token: &str) -> Result<u16> {
    let request = Client::new().get(format!("{}{path}", server.address)).bearer_auth(token);
    Ok(request.send().await?.status().as_u16())
}

#[actix_web::test]
async fn a_private_database_on_loopback_needs_no_token_and_the_greeting_says_so() -> Result<()> {
    let folder = folder()?;
    let server = Server::start(metricd(&folder.path().join("data")).env("METRICD_NO_SAMPLE", "true"))?;
    assert_eq!(server.get("/metrics").await?.0, 200);
    let (code, greeting) = server.stop(Signal::SIGTERM)?;
    assert_eq!(code, 0);
    assert!(greeting.contains("Tokens are not required"), "{greeting}");
    Ok(())
}

#[actix_web::test]
async fn any_other_server_needs_a_key_or_explicit_consent() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let url = "postgres://ann@127.0.0.1:1/metricd";
    let exposed: [&[(&str, &str)]; 3] = [
        &[("METRICD_LISTEN", "0.0.0.0:0")],
        &[("METRICD_LISTEN", "[::]:0")],
        &[("DATABASE_URL", url), ("READER_DATABASE_URL", url)],
    ];
    for environment in exposed {
        let (code, printed, error) = run(metricd(&data_dir).envs(environment.iter().copied()))?;
        assert_eq!((code, printed.as_str()), (1, ""), "{error}");
        assert!(error.contains("METRICD_JWT_SECRET") && error.contains("--insecure-allow-anonymous"), "{error}");
    }
    assert!(!data_dir.exists(), "no database is created");
    for _ in 0..2 {
        let mut command = metricd(&data_dir);
        command.env("METRICD_LISTEN", "0.0.0.0:0").env("METRICD_NO_SAMPLE", "true");
        let log = Server::start(command.args(["serve", "--insecure-allow-anonymous"]))?.log()?;
        assert!(log.contains("WARN") && log.contains("without a token"), "{log}");
    }
    Ok(())
}

#[actix_web::test]
async fn the_greeting_names_the_flag_for_requests_from_other_machines() -> Result<()> {
    let folder = folder()?;
    for (hosts, has_hint) in [(None, true), (Some("metrics.example"), false)] {
        let mut command = metricd(&folder.path().join("data"));
        command.env("METRICD_LISTEN", "0.0.0.0:0").env("METRICD_NO_SAMPLE", "true");
        command.envs(hosts.map(|hosts| ("METRICD_ALLOWED_HOSTS", hosts)));
        let server = Server::start(command.args(["serve", "--insecure-allow-anonymous"]))?;
        let request = Client::new().get(format!("{}/health", server.address)).header("host", "metrics.example");
        assert_eq!(request.send().await?.status().as_u16(), if has_hint { 421 } else { 200 });
        let (_, greeting) = server.stop(Signal::SIGTERM)?;
        assert_eq!(greeting.contains("--allowed-host"), has_hint, "{greeting}");
        assert!(greeting.contains("curl http://127.0.0.1:"), "an address that works: {greeting}");
    }
    Ok(())
}

/// The expected exit code, the environment, and a part of the expected message.
type Case<'a> = (i32, &'a [(&'a str, &'a str)], &'a str);

#[test]
fn errors_about_keys_contain_no_secret() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let file = |name: &str, text: &str| write(folder.path(), name, text).map(|path| path.display().to_string());
    let short = "s3cret s3cret";
    let (short_file, good_file) = (file("short", short)?, file("good", SECRET)?);
    let private = file("private.pem", "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n")?;
    let missing = folder.path().join("missing").display().to_string();
    // Wrong arguments exit with 2. Errors that show when the keys are read exit with 1.
    let (usage, failure) = (2, 1);
    let cases: [Case<'_>; 13] = [
        (usage, &[("METRICD_JWT_KEYS", "https://ann:s3cret@example.org/jwks.json")], "has a user or a password"),
        (usage, &[("METRICD_JWT_KEYS", "http://example.org/jwks.json")], "give an https URL"),
        (usage, &[("METRICD_JWT_KEYS", "https://")], "expected a URL of keys"),
        (usage, &[("METRICD_JWT_SECRET", short)], "the secret has 13 bytes: expected at least 32"),
        (usage, &[("METRICD_JWT_SECRET", "")], "the secret has 0 bytes"),
        (failure, &[("METRICD_JWT_SECRET_FILE", &short_file)], "the secret has 13 bytes"),
        (failure, &[("METRICD_JWT_SECRET_FILE", &missing)], "cannot read"),
        (usage, &[("METRICD_JWT_SECRET_FILE", &good_file), ("METRICD_JWT_SECRET", SECRET)], "give one of the two"),
        (failure, &[("METRICD_JWT_KEYS", &private)], "found a private key"),
        (failure, &[("METRICD_JWT_KEYS", &good_file)], "expected a JWKS"),
        (usage, &[("METRICD_JWT_AUDIENCES", "metricd")], "there is no key to verify them"),
        (failure, &[("METRICD_JWT_SECRET", SECRET), ("METRICD_JWT_ALGORITHMS", "ES256")], "no key can verify tokens"),
        (usage, &[("METRICD_JWT_SECRET", SECRET), ("METRICD_INSECURE_ALLOW_ANONYMOUS", "true")], "give one of the two"),
    ];
    for (expected_code, environment, expected) in cases {
        let (code, printed, error) = run(metricd(&data_dir).envs(environment.iter().copied()))?;
        assert_eq!((code, printed.as_str()), (expected_code, ""), "{error}");
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("s3cret") && !error.contains("horse"), "{error}");
    }
    let (code, _, error) = run(metricd(&data_dir).env("METRICD_JWT_ALGORITHMS", "none"))?;
    assert!(code == 2 && error.contains("expected one of `HS256`"), "{error}");
    assert!(!data_dir.exists(), "no database is created");
    Ok(())
}

#[actix_web::test]
async fn a_token_is_issued_by_a_command_and_neither_it_nor_the_secret_is_logged() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let issue = |arguments: &str| run(with_secret(&data_dir).arg("token").args(arguments.split_whitespace()));
    let (code, token, error) = issue("--scope metrics:read --ttl 15m --subject ann")?;
    assert_eq!((code, error.as_str()), (0, ""));
    let (token, other) = (token.trim(), issue("--scope metrics:write,metrics:ingest --subject bob")?.1);
    let refused = [
        (2, "--scope metrics:all --subject ann", "expected one of `metrics:read`"),
        (2, "--subject ann", "--scope"),
        (2, "--scope metrics:read", "--subject"),
        (2, "--scope metrics:read --subject ann --ttl soon", "--ttl"),
        (2, "--scope metrics:read --subject ann --ttl 0s", "--ttl must be between 1 second and 10 years"),
        (2, "--scope metrics:read --subject ann --ttl 11years", "--ttl must be between"),
        (2, "--scope metrics:read --subject \u{7f}", "the subject is blank"),
        (2, "--scope metrics:read --subject ann --metric a%", "expected only `A-Z a-z 0-9 _ -` and `*`"),
        (2, "--scope metrics:read --subject ann --tenant acme", "--tenant-claim"),
        (2, "--scope metrics:read --subject ann --tenant acme --tenant-claim exp", "has the name of another claim"),
    ];
    for (expected_code, arguments, expected) in refused {
        let (code, printed, error) = issue(arguments)?;
        assert_eq!((code, printed.as_str()), (expected_code, ""), "{arguments}");
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let (code, _, error) = run(metricd(&data_dir).args(["token", "--scope", "metrics:read", "--subject", "ann"]))?;
    assert!(code == 1 && error.contains("METRICD_JWT_SECRET"), "{error}");

    let mut command = with_secret(&data_dir);
    command.env("METRICD_NO_SAMPLE", "true").env("METRICD_LOG", "trace");
    let server = Server::start(command.env("METRICD_TENANT_CLAIM", "tenant"))?;
    let owner = connect_as_owner(&data_dir).await?;
    let tenant_key = "SELECT encode(key, 'hex') FROM catalog.tenant_key";
    let tenant_key: String = owner.query_one(tenant_key, &[]).await?.get(0);
    assert_eq!(tenant_key.len(), 64);
    let files = definitions(folder.path(), "SELECT 1 AS one")?;
    assert_eq!(run(metricd(&data_dir).arg("ingest").arg(files))?.0, 0);
    let tenant_token = issue("--scope metrics:read --subject ann --tenant acme --tenant-claim tenant")?.1;
    assert_eq!(status(&server, "/metrics/m1", tenant_token.trim()).await?, 200);
    assert_eq!(status(&server, "/metrics/m1", token).await?, 403);
    assert_eq!(status(&server, "/metrics", token).await?, 200);
    assert_eq!(status(&server, "/metrics", other.trim()).await?, 403);
    assert_eq!(status(&server, "/metrics", "x.y.z").await?, 401);
    assert_eq!(status(&server, &format!("/metrics?access_token={token}"), "").await?, 401);
    let (code, problem) = server.get("/metrics").await?;
    assert_eq!((code, &problem["code"]), (401, &json!("token-missing")));
    assert_eq!(server.get("/health/ready").await?.0, 200);
    let greeting = server.greeting.clone();
    let printed = greeting + &server.log()?;
    assert!(printed.contains("signed by HS256"), "{printed}");
    let refusals =
        ["`bob` from 127.0.0.1 lacks the scope `metrics:read`", "The token is malformed", "A token in a URL"];
    for refusal in refusals {
        assert!(printed.contains(refusal), "{refusal}: {printed}");
    }
    let signature = token.rsplit('.').next().context("a signature")?;
    for secret in [SECRET, token, signature, other.trim(), tenant_token.trim(), &tenant_key, "horse"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    Ok(())
}

#[actix_web::test]
async fn tokens_of_an_issuer_are_verified_with_its_public_keys() -> Result<()> {
    let folder = folder()?;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| anyhow::anyhow!("{error}");
    let issuer = Issuer::new(Algorithm::EdDsa).map_err(failed)?;
    let jwks = json!({"keys": [issuer.jwk("k1").map_err(failed)?]}).to_string();
    let keys = write(folder.path(), "jwks.json", &jwks)?;
    let mut command = metricd(&folder.path().join("data"));
    command.env("METRICD_NO_SAMPLE", "true").env("METRICD_JWT_KEYS", keys);
    command.env("METRICD_JWT_ISSUERS", "https://issuer.example").env("METRICD_LISTEN", "127.0.0.1:0");
    let server = Server::start(&mut command)?;
    let claims = json!({"iss": "https://issuer.example", "exp": 4_000_000_000_u64, "scp": ["metrics:read"]});
    let good = issuer.sign(&json!({"kid": "k1"}), &claims).map_err(failed)?;
    assert_eq!(status(&server, "/metrics", &good).await?, 200);
    let unknown = issuer.sign(&json!({"kid": "k2"}), &claims).map_err(failed)?;
    assert_eq!(status(&server, "/metrics", &unknown).await?, 401);
    Ok(())
}

/// Answers every request with the current key set, and counts the requests.
async fn publish(listener: TcpListener, keys: Arc<Mutex<String>>, fetched: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        fetched.fetch_add(1, Ordering::SeqCst);
        let body = keys.lock().map(|keys| keys.clone()).unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}

#[actix_web::test]
async fn keys_at_a_url_are_fetched_for_an_unknown_key_and_kept_while_the_issuer_is_down() -> Result<()> {
    let folder = folder()?;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| anyhow::anyhow!("{error}");
    let (old, new) = (Issuer::new(Algorithm::Es256).map_err(failed)?, Issuer::new(Algorithm::Es256).map_err(failed)?);
    let set = |issuers: &[(&Issuer, &str)]| -> Result<String> {
        let keys: Vec<_> =
            issuers.iter().map(|(issuer, kid)| issuer.jwk(kid).map_err(failed)).collect::<Result<_>>()?;
        Ok(json!({"keys": keys}).to_string())
    };
    let sign = |issuer: &Issuer, kid: &str| {
        let claims = json!({"exp": 4_000_000_000_u64, "scope": "metrics:read"});
        issuer.sign(&json!({"kid": kid}), &claims).map_err(failed)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/jwks.json", listener.local_addr()?);
    let (keys, fetched) = (Arc::new(Mutex::new(set(&[(&old, "a")])?)), Arc::new(AtomicUsize::new(0)));
    let publishing = actix_web::rt::spawn(publish(listener, Arc::clone(&keys), Arc::clone(&fetched)));
    let mut command = metricd(&folder.path().join("data"));
    // The test polls with tokens that are refused until the keys are fetched, so refusals must not be limited.
    command.env("METRICD_NO_SAMPLE", "true").env("METRICD_REFUSALS_PER_SECOND", "0");
    let server = Server::start(command.env("METRICD_JWT_KEYS", &url))?;

    let (old_token, new_token) = (sign(&old, "a")?, sign(&new, "b")?);
    eventually("the keys are fetched", || async { Ok(status(&server, "/metrics", &old_token).await? == 200) }).await?;
    let before = fetched.load(Ordering::SeqCst);
    *keys.lock().map_err(|_| anyhow::anyhow!("poisoned"))? = set(&[(&old, "a"), (&new, "b")])?;
    eventually("the new key is fetched", || async { Ok(status(&server, "/metrics", &new_token).await? == 200) })
        .await?;
    assert_eq!(status(&server, "/metrics", &old_token).await?, 200);
    // Further unknown keys within a minute do not cause further fetches.
    for kid in ["c", "d", "e"] {
        assert_eq!(status(&server, "/metrics", &sign(&new, kid)?).await?, 401);
    }
    let after = fetched.load(Ordering::SeqCst);
    assert!(after <= before + 2, "{before} and {after}");
    publishing.abort();
    assert_eq!(status(&server, "/metrics", &new_token).await?, 200);
    Ok(())
}
