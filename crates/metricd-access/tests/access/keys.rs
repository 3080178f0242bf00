//! Parsing of keys: texts that contain keys, and texts that contain none.

use metricd_access::testing::Issuer;
use metricd_access::{Algorithm, InvalidKeys, Keys, Rules};
use serde_json::json;

use crate::{Outcome, SECRET, claims, secret, verifier};

#[test]
fn texts_without_public_keys_are_refused_with_advice() -> Outcome {
    let ec = Issuer::new(Algorithm::Es256)?;
    let pem = ec.public_pem();
    let other = |kind: &str| pem.replace("PUBLIC KEY", kind);
    let mut private = ec.jwk("k")?;
    private["d"] = json!("AAAA");
    let short = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let secret = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}).to_string();
    let many = json!({"keys": vec![ec.jwk("k")?; 33]}).to_string();
    let cases = [
        ("", InvalidKeys::Unknown),
        ("ssh-ed25519 AAAA", InvalidKeys::Unknown),
        ("{", InvalidKeys::Unknown),
        (r#"{"keys": {}}"#, InvalidKeys::Unknown),
        (r#"{"keys": []}"#, InvalidKeys::None),
        (pem.split_at(40).0, InvalidKeys::Unknown),
        (&other("PRIVATE KEY"), InvalidKeys::Private),
        (&other("EC PRIVATE KEY"), InvalidKeys::Private),
        (&other("CERTIFICATE"), InvalidKeys::Certificate),
        (&format!("{pem}{}", pem.replace('M', "N")), InvalidKeys::Unusable { number: 2 }),
        (&json!({"keys": [private]}).to_string(), InvalidKeys::Private),
        (&short, InvalidKeys::None),
        (&secret, InvalidKeys::None),
        (&many, InvalidKeys::TooMany { count: 33 }),
    ];
    for (text, expected) in cases {
        assert_eq!(Keys::parse(text).unwrap_err(), expected, "{text}");
    }
    Ok(())
}

#[test]
fn weak_ed25519_keys_are_refused() -> Outcome {
    // The neutral element, a point of order 2, and the neutral element in a non-canonical encoding.
    let weak = [
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "7P_______________________________________38",
        "7v_______________________________________38",
    ];
    let good = Issuer::new(Algorithm::EdDsa)?;
    for x in weak {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k"});
        let alone = json!({"keys": [key]}).to_string();
        assert_eq!(Keys::parse(&alone).unwrap_err(), InvalidKeys::None, "{x}");
        // A signature that verifies for any message if the key is the neutral element: R is that element as well, and S
        // is 0.
        let forged = format!("AQ{}", "A".repeat(84));
        let both = Keys::parse(&json!({"keys": [key, good.jwk("g")?]}).to_string())?;
        let verifier = verifier(both, Rules::default())?;
        assert!(verifier.verify(&good.sign(&json!({}), &claims())?).is_ok());
        let token = good.sign(&json!({"kid": "k"}), &claims())?;
        let (signed, _) = token.rsplit_once('.').unwrap_or_default();
        assert!(verifier.verify(&format!("{signed}.{forged}")).is_err());
        let pem = good.public_pem();
        let der = format!("MCowBQYDK2VwAyEA{}=", x.replace('-', "+").replace('_', "/"));
        let body = pem.lines().nth(1).unwrap_or_default();
        assert_eq!(Keys::parse(&pem.replace(body, &der)).unwrap_err(), InvalidKeys::Unusable { number: 1 }, "{x}");
    }
    Ok(())
}

#[test]
fn keys_of_a_set_for_other_uses_are_skipped() -> Outcome {
    let (ec, rsa) = (Issuer::new(Algorithm::Es256)?, Issuer::new(Algorithm::Rs256)?);
    let mut encrypts = rsa.jwk("k2")?;
    encrypts["use"] = json!("enc");
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"});
    let jwks = json!({"keys": [unknown, ec.jwk("k1")?, encrypts]}).to_string();
    let verifier = verifier(Keys::parse(&jwks)?, Rules::default())?;
    assert_eq!(verifier.algorithms(), vec![Algorithm::Es256]);
    assert!(verifier.verify(&ec.sign(&json!({}), &claims())?).is_ok());
    assert!(verifier.verify(&rsa.sign(&json!({}), &claims())?).is_err());
    Ok(())
}

#[test]
fn a_pem_file_may_contain_several_keys_and_notes() -> Outcome {
    let issuers = [Issuer::new(Algorithm::Es256)?, Issuer::new(Algorithm::EdDsa)?];
    let [first, second] = &issuers;
    let text = format!("Ours:\n{}\nTheirs:\n{}", first.public_pem(), second.public_pem().trim_end());
    let verifier = verifier(Keys::parse(&text)?, Rules::default())?;
    for issuer in &issuers {
        assert!(verifier.verify(&issuer.sign(&json!({}), &claims())?).is_ok());
    }
    Ok(())
}

#[test]
fn debug_output_contains_no_secrets_or_keys() -> Outcome {
    let keys = Keys::parse(Issuer::new(Algorithm::Es256)?.public_pem())?.with_secret(&secret()?);
    let verifier = verifier(keys.clone(), Rules::default())?;
    let bytes = SECRET.as_bytes().iter().take(8).map(u8::to_string).collect::<Vec<_>>().join(", ");
    for shown in [format!("{keys:?}"), format!("{verifier:#?}"), format!("{:?}", secret()?)] {
        assert!(!shown.contains("horse") && !shown.contains(&bytes), "{shown}");
    }
    Ok(())
}
