//! Forged, tampered and malformed tokens.

use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, InvalidToken, Keys, Rules};
use serde_json::json;

use crate::{Outcome, SECRET, claims, claims_with, seconds, secret, verifier};

fn rules() -> Rules {
    Rules { issuers: vec!["us".into()], audiences: vec!["metricd".into()], ..Rules::default() }
}

#[test]
fn claims_must_satisfy_the_rules() -> Outcome {
    let verifier = verifier(Keys::default().with_secret(&secret()?), rules())?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    let ours = json!({"iss": "us", "aud": "metricd"});
    let sign = |others: serde_json::Value| {
        let mut claims = claims_with(&ours);
        for (name, value) in others.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().into_iter().for_each(|claims| claims.retain(|_, value| *value != json!("absent")));
        issuer.sign(&json!({}), &claims)
    };
    let good = [
        json!({}),
        json!({"exp": seconds(-28)}),
        json!({"nbf": seconds(28), "iat": seconds(28)}),
        json!({"aud": ["other", "metricd"]}),
        json!({"sub": "absent"}),
    ];
    for others in good {
        assert!(verifier.verify(&sign(others.clone())?).is_ok(), "{others}");
    }
    let bad = [
        (json!({"exp": seconds(-31)}), InvalidToken::Expired),
        (json!({"exp": 0}), InvalidToken::Expired),
        (json!({"exp": "absent"}), InvalidToken::NoExpiry),
        (json!({"exp": "2999-01-01"}), InvalidToken::Claim("exp")),
        (json!({"exp": -1}), InvalidToken::Claim("exp")),
        (json!({"exp": 1e300}), InvalidToken::Claim("exp")),
        (json!({"exp": 9_999_999_999_999_999_u64}), InvalidToken::Claim("exp")),
        (json!({"exp": null}), InvalidToken::Claim("exp")),
        (json!({"nbf": seconds(33)}), InvalidToken::NotYetValid),
        (json!({"nbf": "soon"}), InvalidToken::Claim("nbf")),
        (json!({"iat": seconds(33)}), InvalidToken::NotYetValid),
        (json!({"iat": []}), InvalidToken::Claim("iat")),
        (json!({"iss": "them"}), InvalidToken::Issuer),
        (json!({"iss": "US"}), InvalidToken::Issuer),
        (json!({"iss": "absent"}), InvalidToken::Issuer),
        (json!({"iss": 1}), InvalidToken::Issuer),
        (json!({"iss": ["us"]}), InvalidToken::Claim("iss")),
        (json!({"iss": ["them", "us"]}), InvalidToken::Claim("iss")),
        (json!({"aud": "other"}), InvalidToken::Audience),
        (json!({"aud": ["other", "metricd2"]}), InvalidToken::Audience),
        (json!({"aud": []}), InvalidToken::Audience),
        (json!({"aud": [["metricd"]]}), InvalidToken::Audience),
        (json!({"aud": "absent"}), InvalidToken::Audience),
        (json!({"sub": 7}), InvalidToken::Claim("sub")),
        (json!({"sub": "ann\nroot"}), InvalidToken::Claim("sub")),
        (json!({"sub": "a".repeat(256)}), InvalidToken::Claim("sub")),
        (json!({"scope": {"metrics:read": true}}), InvalidToken::Claim("scope")),
        (json!({"scope": ["metrics:read", 1]}), InvalidToken::Claim("scope")),
        (json!({"scp": 7}), InvalidToken::Claim("scp")),
    ];
    for (others, expected) in bad {
        assert_eq!(verifier.verify(&sign(others.clone())?).unwrap_err(), expected, "{others}");
    }
    Ok(())
}

#[test]
fn the_token_cannot_choose_the_algorithm() -> Outcome {
    let rsa = Issuer::new(Algorithm::Rs256)?;
    let public = verifier(Keys::parse(rsa.public_pem())?, Rules::default())?;
    // The public key, which everybody has, used as an HMAC secret: in each form in which it could be stored.
    for known in [rsa.public_pem(), rsa.public_pem().trim_end(), SECRET] {
        let confused = Issuer::with_secret(known.as_bytes()).sign(&json!({}), &claims())?;
        assert!(matches!(public.verify(&confused), Err(InvalidToken::Algorithm(_))));
    }
    // The same if HMAC is accepted too, with a secret of its own.
    let both = verifier(Keys::parse(rsa.public_pem())?.with_secret(&secret()?), Rules::default())?;
    let confused = Issuer::with_secret(rsa.public_pem().as_bytes()).sign(&json!({}), &claims())?;
    assert_eq!(both.verify(&confused).unwrap_err(), InvalidToken::Signature);
    // A token that is signed with one algorithm and names another.
    for named in ["PS256", "RS384", "ES256", "HS512", "none", "None", "nOnE", "", "rs256"] {
        let token = rsa.sign(&json!({"alg": named}), &claims())?;
        assert!(matches!(both.verify(&token), Err(InvalidToken::Algorithm(_) | InvalidToken::Signature)), "{named}");
    }
    // A key that supports two algorithms, of which the rules accept one.
    let rules = Rules { algorithms: vec![Algorithm::Rs256], ..Rules::default() };
    let only = verifier(Keys::parse(rsa.public_pem())?, rules)?;
    assert!(only.verify(&rsa.sign(&json!({}), &claims())?).is_ok());
    let ps = Issuer::new(Algorithm::Ps256)?;
    assert!(matches!(only.verify(&ps.sign(&json!({}), &claims())?), Err(InvalidToken::Algorithm(_))));
    Ok(())
}

#[test]
fn unsigned_tokens_are_refused() -> Outcome {
    let verifier = verifier(Keys::default().with_secret(&secret()?), Rules::default())?;
    let good = Issuer::with_secret(SECRET.as_bytes()).sign(&json!({}), &claims())?;
    assert!(verifier.verify(&good).is_ok());
    let none = Issuer::with_secret(SECRET.as_bytes()).sign(&json!({"alg": "none"}), &claims())?;
    let cut = |token: &str| token.rsplit_once('.').map(|(message, _)| format!("{message}.")).unwrap_or_default();
    assert!(matches!(verifier.verify(&cut(&none)), Err(InvalidToken::Algorithm(_))));
    assert_eq!(verifier.verify(&cut(&good)).unwrap_err(), InvalidToken::Signature);
    Ok(())
}

#[test]
fn keys_in_the_header_are_ignored() -> Outcome {
    let (ours, theirs) = (Issuer::new(Algorithm::Es256)?, Issuer::new(Algorithm::Es256)?);
    let jwks = json!({"keys": [ours.jwk("k1")?]}).to_string();
    let verifier = verifier(Keys::parse(&jwks)?, Rules::default())?;
    let headers = [
        json!({"jwk": theirs.jwk("k1")?, "kid": "k1"}),
        json!({"jwk": theirs.jwk("k1")?}),
        json!({"jku": "http://127.0.0.1:1/jwks.json", "kid": "k1"}),
        json!({"x5u": "http://127.0.0.1:1/cert.pem"}),
        json!({"x5c": ["AAAA"]}),
    ];
    for header in headers {
        assert_eq!(
            verifier.verify(&theirs.sign(&header, &claims())?).unwrap_err(),
            InvalidToken::Signature,
            "{header}"
        );
    }
    for kid in ["../../dev/null", "k1' OR '1'='1", "K1", "k1 "] {
        let token = theirs.sign(&json!({"kid": kid}), &claims())?;
        assert_eq!(verifier.verify(&token).unwrap_err(), InvalidToken::UnknownKey, "{kid}");
    }
    Ok(())
}

#[test]
fn malformed_tokens_are_refused_without_quoting_them() -> Outcome {
    let verifier = verifier(Keys::default().with_secret(&secret()?), Rules::default())?;
    let issuer = Issuer::with_secret(SECRET.as_bytes());
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let text = claims().to_string();
    let exp = seconds(60);
    let good = issuer.sign_text(header, &text)?;
    let cases = [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        good.replace('.', ""),
        format!("{good}.more"),
        format!(" {good}"),
        format!("{good}="),
        format!("{good}\u{e9}"),
        good.replacen('.', "=.", 1),
        issuer.sign_text(r#"{"alg":"HS256","crit":["exp"]}"#, &text)?,
        issuer.sign_text(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, &text)?,
        issuer.sign_text(r#"{"alg":"HS256","alg":"none"}"#, &text)?,
        issuer.sign_text(r#"{"alg":"HS256","typ":"dpop+jwt"}"#, &text)?,
        issuer.sign_text(r#"{"alg":"HS256","kid":7}"#, &text)?,
        issuer.sign_text(r#"{"alg":["HS256"]}"#, &text)?,
        issuer.sign_text(r#""HS256""#, &text)?,
        issuer.sign_text(header, "[]")?,
        issuer.sign_text(header, "")?,
        issuer.sign(&json!({}), &claims_with(&json!({"sub": ["ann"]})))?,
        issuer.sign_text(header, &format!(r#"{{"exp":1,"exp":{exp},"scope":"metrics:read"}}"#))?,
        issuer.sign_text(header, &format!(r#"{{"exp":{exp},"scope":"","scope":"metrics:write"}}"#))?,
        issuer.sign_text(header, &format!(r#"{{"exp":{exp},"x":{}}}"#, "[".repeat(3_000)))?,
        issuer.sign(&json!({}), &claims_with(&json!({"roles": "r".repeat(10_000)})))?,
        "e".repeat(100_000),
    ];
    for token in cases {
        let refusal = verifier.verify(&token).unwrap_err();
        let message = refusal.to_string();
        assert!(
            matches!(refusal, InvalidToken::Malformed(_) | InvalidToken::Signature | InvalidToken::TooLong { .. }),
            "{message}"
        );
        assert!(!message.contains("eyJ") && message.len() < 200, "{message}");
    }
    Ok(())
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(token in "\\PC*", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let verifier = verifier(Keys::default().with_secret(&secret().unwrap()), Rules::default()).unwrap();
        proptest::prop_assert!(verifier.verify(&token).is_err());
        proptest::prop_assert!(verifier.verify(&parts).is_err());
    }
}
