//! Token issuers for tests. They generate their own keys and sign whatever they get, valid or not.

use std::error::Error;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use aws_lc_rs::{rsa, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use crate::Algorithm;

/// The result of making or using a key.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A token issuer.
pub struct Issuer {
    algorithm: Algorithm,
    key: EncodingKey,
    public_pem: String,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Issuer").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer with this secret, for HS256.
    #[must_use]
    pub fn with_secret(secret: &[u8]) -> Self {
        Self { algorithm: Algorithm::Hs256, key: EncodingKey::from_secret(secret), public_pem: String::new() }
    }

    /// An issuer with a new key pair.
    ///
    /// # Errors
    ///
    /// If the key cannot be generated, or the algorithm is HS256, which has no public key.
    pub fn new(algorithm: Algorithm) -> Result<Self> {
        let (private, public) = match algorithm {
            Algorithm::Hs256 => return Err("HS256 has no public key".into()),
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = signature::RsaKeyPair::generate(rsa::KeySize::Rsa2048)?;
                let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)?.as_ref().to_vec();
                (private, pair.public_key().as_der()?.as_ref().to_vec())
            }
            Algorithm::Es256 => {
                let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?
                    .as_ref()
                    .to_vec();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)?;
                (private, pair.public_key().as_der()?.as_ref().to_vec())
            }
            Algorithm::EdDsa => {
                let private = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())?.as_ref().to_vec();
                let pair = Ed25519KeyPair::from_pkcs8(&private)?;
                (private, pair.public_key().as_der()?.as_ref().to_vec())
            }
        };
        let private = pem("PRIVATE KEY", &private);
        let key = match algorithm {
            Algorithm::Es256 => EncodingKey::from_ec_pem(private.as_bytes())?,
            Algorithm::EdDsa => EncodingKey::from_ed_pem(private.as_bytes())?,
            _ => EncodingKey::from_rsa_pem(private.as_bytes())?,
        };
        Ok(Self { algorithm, key, public_pem: pem("PUBLIC KEY", &public) })
    }

    /// The public key, in PEM.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// The public key as a JWK with this id.
    ///
    /// # Errors
    ///
    /// If the library cannot encode the key.
    pub fn jwk(&self, kid: &str) -> Result<Value> {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm.library())?)?;
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        Ok(jwk)
    }

    /// Signs a token with these claims and this header. `alg` and `typ` are added if the header lacks them.
    ///
    /// # Errors
    ///
    /// If the token cannot be signed.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String> {
        let mut merged = json!({"typ": "JWT", "alg": self.algorithm.name()});
        for (name, value) in header.as_object().into_iter().flatten() {
            merged[name] = value.clone();
        }
        self.sign_text(&merged.to_string(), &claims.to_string())
    }

    /// Signs a token of these two texts, which need not be valid JSON.
    ///
    /// # Errors
    ///
    /// If the token cannot be signed.
    pub fn sign_text(&self, header: &str, claims: &str) -> Result<String> {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.algorithm.library())?;
        Ok(format!("{message}.{signature}"))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
