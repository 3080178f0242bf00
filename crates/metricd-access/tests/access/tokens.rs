//! Valid tokens, and how their claims are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, InvalidToken, Keys, NewToken, NoKeys, Rules, Scope, Verifier};
use metricd_domain::{MetricId, MetricPatterns, Tenant};
use serde_json::json;

use crate::{Outcome, SECRET, claims, claims_with, secret, verifier};

#[test]
fn verifies_tokens_of_every_algorithm_with_pem_and_with_jwks() -> Outcome {
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = Issuer::new(algorithm)?;
        let jwks = json!({"keys": [issuer.jwk("k1")?]}).to_string();
        for keys in [issuer.public_pem(), &jwks] {
            let verifier = verifier(Keys::parse(keys)?, Rules::default())?;
            for header in [json!({}), json!({"kid": "k1"})] {
                let caller = verifier.verify(&issuer.sign(&header, &claims())?)?;
                assert_eq!(caller.subject(), Some("ann"), "{algorithm}");
            }
            let stranger = Issuer::new(algorithm)?.sign(&json!({}), &claims())?;
            assert_eq!(verifier.verify(&stranger).unwrap_err(), InvalidToken::Signature, "{algorithm}");
        }
    }
    Ok(())
}

#[test]
fn the_key_id_selects_among_several_keys() -> Outcome {
    let (old, new) = (Issuer::new(Algorithm::Es256)?, Issuer::new(Algorithm::Es256)?);
    let jwks = json!({"keys": [old.jwk("old")?, new.jwk("new")?]}).to_string();
    let verifier = verifier(Keys::parse(&jwks)?.with_secret(&secret()?), Rules::default())?;
    assert!(verifier.verify(&old.sign(&json!({"kid": "old"}), &claims())?).is_ok());
    assert!(verifier.verify(&new.sign(&json!({"kid": "new"}), &claims())?).is_ok());
    assert!(verifier.verify(&new.sign(&json!({}), &claims())?).is_ok(), "without a key id all keys are tried");
    let crossed = verifier.verify(&new.sign(&json!({"kid": "old"}), &claims())?);
    assert_eq!(crossed.unwrap_err(), InvalidToken::Signature);
    let unknown = verifier.verify(&new.sign(&json!({"kid": "other"}), &claims())?);
    assert_eq!(unknown.unwrap_err(), InvalidToken::UnknownKey);
    assert!(verifier.verify(&Issuer::with_secret(SECRET.as_bytes()).sign(&json!({}), &claims())?).is_ok());
    Ok(())
}

#[test]
fn scopes_are_read_from_both_claims_as_a_string_or_an_array() -> Outcome {
    let verifier = verifier(Keys::default().with_secret(&secret()?), Rules::default())?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    let read_and_write = [
        json!({"scope": "metrics:read openid metrics:write"}),
        json!({"scope": ["metrics:write", "metrics:read"]}),
        json!({"scope": "", "scp": ["metrics:read", "metrics:write", "other"]}),
        json!({"scope": "metrics:read", "scp": "metrics:write"}),
    ];
    for scopes in read_and_write {
        let caller = verifier.verify(&issuer.sign(&json!({}), &claims_with(&scopes))?)?;
        let may = Scope::ALL.iter().map(|scope| caller.may(*scope)).collect::<Vec<_>>();
        assert_eq!(may, [true, true, false], "{scopes}");
    }
    let none = [
        json!({"scope": "metrics:READ metrics:read\u{200b} metrics:read\tmetrics:write"}),
        json!({"scope": "metrics:re\u{0430}d metrics\u{ff1a}read \u{a0}metrics:read"}),
        json!({"scope": "metrics metrics:* metrics:read,metrics:write"}),
        json!({"scope": ["metrics:read metrics:write", "", " metrics:read"]}),
        json!({"scope": null, "scp": []}),
    ];
    for scopes in none {
        let token = issuer.sign(&json!({}), &claims_with(&scopes))?;
        match verifier.verify(&token) {
            Ok(caller) => assert!(Scope::ALL.iter().all(|scope| !caller.may(*scope)), "{scopes}"),
            Err(refusal) => assert_eq!(refusal, InvalidToken::Claim("scope"), "{scopes}"),
        }
    }
    Ok(())
}

#[test]
fn a_cached_token_still_expires() -> Outcome {
    static SECONDS: AtomicU64 = AtomicU64::new(1_000);
    let now = || UNIX_EPOCH + Duration::from_secs(SECONDS.load(Ordering::SeqCst));
    let verifier = verifier(Keys::default().with_secret(&secret()?), Rules { now, ..Rules::default() })?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    let token = issuer.sign(&json!({}), &json!({"exp": 1_100, "nbf": 1_030, "iat": 1_000.5}))?;
    let first = verifier.verify(&token)?;
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token)?), "it is cached");
    SECONDS.store(1_129, Ordering::SeqCst);
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token)?), "the leeway is 30 s");
    SECONDS.store(1_130, Ordering::SeqCst);
    assert_eq!(verifier.verify(&token).unwrap_err(), InvalidToken::Expired, "from the cache");
    assert_eq!(verifier.verify(&token).unwrap_err(), InvalidToken::Expired, "verified again");
    Ok(())
}

#[test]
fn verifies_the_tokens_that_it_issues() -> Outcome {
    let rules = Rules { issuers: vec!["us".into()], audiences: vec!["metricd".into()], ..Rules::default() };
    let verifier = verifier(Keys::default().with_secret(&secret()?), rules)?;
    let new = NewToken::new([Scope::Ingest], Duration::from_secs(60))
        .with_subject("ann")
        .with_issuer("us")
        .with_audience("metricd");
    let caller = verifier.verify(&secret()?.sign(&new)?)?;
    assert!(caller.may(Scope::Ingest) && !caller.may(Scope::Read));
    assert_eq!(caller.subject(), Some("ann"));
    for bad in [
        NewToken::new([Scope::Read], Duration::ZERO),
        NewToken::new([Scope::Read], Duration::MAX),
        NewToken::new([Scope::Read], Duration::from_secs(1)).with_subject(" "),
        NewToken::new([Scope::Read], Duration::from_secs(1)).with_subject("a\nb"),
    ] {
        assert!(secret()?.sign(&bad).is_err(), "{bad:?}");
    }
    Ok(())
}

#[test]
fn rules_without_a_matching_key_are_refused() -> Outcome {
    let rules = Rules { algorithms: vec![Algorithm::Rs256], ..Rules::default() };
    assert_eq!(Verifier::new(Keys::default().with_secret(&secret()?), rules).unwrap_err(), NoKeys);
    assert_eq!(Verifier::new(Keys::default(), Rules::default()).unwrap_err(), NoKeys);
    Ok(())
}

#[test]
fn replacing_the_keys_invalidates_cached_tokens() -> Outcome {
    static NOTIFIED: AtomicU64 = AtomicU64::new(0);
    let (old, new) = (Issuer::new(Algorithm::Es256)?, Issuer::new(Algorithm::Es256)?);
    let keys = |issuer: &Issuer, kid: &str| -> Result<Keys, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Keys::parse(&json!({"keys": [issuer.jwk(kid)?]}).to_string())?)
    };
    let verifier = Verifier::without_keys(Rules::default());
    let notify = || {
        NOTIFIED.fetch_add(1, Ordering::SeqCst);
    };
    let verifier = verifier.on_unknown_key(notify);
    let (token, later) = (old.sign(&json!({"kid": "a"}), &claims())?, new.sign(&json!({"kid": "b"}), &claims())?);
    assert_eq!(verifier.verify(&token).unwrap_err(), InvalidToken::UnknownKey);
    let hmac = Issuer::with_secret(SECRET.as_bytes()).sign(&json!({}), &claims())?;
    assert_eq!(verifier.verify(&hmac).unwrap_err(), InvalidToken::Algorithm(Vec::new()), "no secret is ever fetched");
    assert_eq!(NOTIFIED.load(Ordering::SeqCst), 1);
    verifier.replace_keys(keys(&old, "a")?)?;
    assert!(verifier.verify(&token).is_ok() && verifier.verify(&token).is_ok());
    assert_eq!(NOTIFIED.load(Ordering::SeqCst), 1);
    assert_eq!(verifier.verify(&later).unwrap_err(), InvalidToken::UnknownKey);
    assert_eq!(NOTIFIED.load(Ordering::SeqCst), 2);
    assert_eq!(verifier.replace_keys(Keys::default()).unwrap_err(), NoKeys);
    assert!(verifier.verify(&token).is_ok(), "the previous keys remain");
    verifier.replace_keys(keys(&new, "b")?)?;
    assert_eq!(verifier.verify(&token).unwrap_err(), InvalidToken::UnknownKey, "although it was cached");
    assert!(verifier.verify(&later).is_ok());
    Ok(())
}

#[test]
fn the_tenant_is_read_from_the_configured_claim() -> Outcome {
    let rules = Rules { tenant_claim: Some("https://example.org/tenant".to_owned()), ..Rules::default() };
    let naming = verifier(Keys::default().with_secret(&secret()?), rules)?;
    let without = verifier(Keys::default().with_secret(&secret()?), Rules::default())?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    for (tenant, expected) in [
        (json!("acme"), Ok("acme")),
        (json!(" Acme's\\ "), Ok(" Acme's\\ ")),
        (json!(42), Ok("42")),
        (json!(-7), Ok("-7")),
        (json!(18_446_744_073_709_551_615_u64), Ok("18446744073709551615")),
        (json!(1.0), Err(InvalidToken::Tenant)),
        (json!(""), Err(InvalidToken::Tenant)),
        (json!("  "), Err(InvalidToken::Tenant)),
        (json!("a\0b"), Err(InvalidToken::Tenant)),
        (json!("x".repeat(256)), Err(InvalidToken::Tenant)),
        (json!(null), Err(InvalidToken::Tenant)),
        (json!(true), Err(InvalidToken::Tenant)),
        (json!(["acme"]), Err(InvalidToken::Tenant)),
        (json!({"id": "acme"}), Err(InvalidToken::Tenant)),
    ] {
        let token = issuer.sign(&json!({}), &claims_with(&json!({"https://example.org/tenant": tenant})))?;
        let caller = naming.verify(&token);
        let found = caller.as_ref().map(|caller| caller.tenant().map(Tenant::as_str));
        assert_eq!(found, expected.as_ref().map(|name| Some(*name)), "{tenant}");
        assert!(without.verify(&token)?.tenant().is_none());
    }
    // Claim names match exactly: neither another case nor a common name such as `tenant` matches.
    let others = issuer.sign(&json!({}), &claims_with(&json!({"tenant": "a", "HTTPS://EXAMPLE.ORG/TENANT": "b"})))?;
    assert!(naming.verify(&others)?.tenant().is_none());
    Ok(())
}

#[test]
fn a_token_may_be_limited_to_metrics() -> Outcome {
    let verifier = verifier(Keys::default().with_secret(&secret()?), Rules::default())?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    let verify = |metrics: &serde_json::Value| {
        let token = issuer.sign(&json!({}), &claims_with(&json!({"metrics": metrics})))?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(verifier.verify(&token))
    };
    let ids = ["alerts", "alerts-by-type", "parts"].map(|id| MetricId::parse(id).unwrap());
    for (metrics, expected) in [
        (json!(["alerts"]), [true, false, false]),
        (json!("alerts parts"), [true, false, true]),
        (json!(["alerts*"]), [true, true, false]),
        (json!("*"), [true, true, true]),
        (json!([]), [false, false, false]),
        (json!(["ALERTS"]), [false, false, false]),
    ] {
        let caller = verify(&metrics)??;
        assert_eq!(ids.each_ref().map(|id| caller.can_see(id)), expected, "{metrics}");
        assert!(caller.metrics().is_some());
    }
    for metrics in [
        json!(""),
        json!(null),
        json!(1),
        json!({}),
        json!([1]),
        json!([""]),
        json!(["a b"]),
        json!("alerts  parts"),
        json!("alerts,parts"),
        json!(["%"]),
        json!(["x".repeat(65)]),
        json!(vec!["a"; 101]),
    ] {
        assert_eq!(verify(&metrics)?.unwrap_err(), InvalidToken::Claim("metrics"), "{metrics}");
    }
    let unlimited = verifier.verify(&issuer.sign(&json!({}), &claims())?)?;
    assert!(unlimited.metrics().is_none() && ids.iter().all(|id| unlimited.can_see(id)));
    Ok(())
}

#[test]
fn an_issued_token_carries_its_tenant_and_its_metrics() -> Outcome {
    let tenant = Tenant::parse("acme")?;
    let metrics = MetricPatterns::new(vec!["alerts*".parse()?])?;
    let new = NewToken::new([Scope::Read], Duration::from_secs(60)).with_metrics(metrics);
    let rules = Rules { tenant_claim: Some("org".to_owned()), ..Rules::default() };
    let verifier = verifier(Keys::default().with_secret(&secret()?), rules)?;
    let caller = verifier.verify(&secret()?.sign(&new.clone().with_tenant("org", tenant.clone()))?)?;
    assert_eq!(caller.tenant(), Some(&tenant));
    assert!(caller.can_see(&MetricId::parse("alerts-2")?));
    assert!(!caller.can_see(&MetricId::parse("parts")?));
    for claim in ["scope", "exp", "iat", "metrics"] {
        let lost = secret()?.sign(&new.clone().with_tenant(claim, tenant.clone()));
        assert!(lost.is_err(), "{claim}");
    }
    Ok(())
}
