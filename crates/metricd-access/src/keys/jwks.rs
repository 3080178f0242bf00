//! Parses a JSON Web Key Set (RFC 7517).

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde_json::Value;

use super::small_order::is_weak;
use super::{InvalidKeys, VerificationKey};
use crate::Algorithm;

/// The accepted length of an RSA modulus, in bytes.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

pub(super) fn parse(text: &str) -> Result<Vec<VerificationKey>, InvalidKeys> {
    let set: Value = serde_json::from_str(text).map_err(|_| InvalidKeys::Unknown)?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(InvalidKeys::Unknown)?;
    if keys.iter().any(|key| key.get("d").is_some()) {
        return Err(InvalidKeys::Private);
    }
    // A key that cannot be read is of an unsupported kind.
    Ok(keys.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).filter_map(|key| usable(&key)).collect())
}

fn usable(jwk: &Jwk) -> Option<VerificationKey> {
    let common = &jwk.common;
    let is_for_signatures = common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
    if !is_for_signatures {
        return None;
    }
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![Algorithm::Rs256, Algorithm::Ps256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::Es256],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDsa],
        _ => return None,
    };
    let named = |algorithm: &Algorithm| match common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => *algorithm == Algorithm::Rs256,
        Some(KeyAlgorithm::PS256) => *algorithm == Algorithm::Ps256,
        Some(KeyAlgorithm::ES256) => *algorithm == Algorithm::Es256,
        Some(KeyAlgorithm::EdDSA) => *algorithm == Algorithm::EdDsa,
        Some(_) => false,
    };
    let algorithms: Vec<_> = algorithms.into_iter().filter(named).collect();
    let key = DecodingKey::from_jwk(jwk).ok().filter(is_sound)?;
    (!algorithms.is_empty()).then(|| VerificationKey { kid: common.key_id.clone(), algorithms, key })
}

/// Whether the key has a valid length for its algorithm and is not weak.
fn is_sound(key: &DecodingKey) -> bool {
    use jsonwebtoken::{AlgorithmFamily, DecodingKeyKind};

    let bytes = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.as_slice(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.as_slice(),
    };
    match key.family() {
        AlgorithmFamily::Rsa => RSA_MODULUS_BYTES.contains(&bytes.len()),
        AlgorithmFamily::Ec => bytes.len() == 65,
        AlgorithmFamily::Ed => !is_weak(bytes),
        AlgorithmFamily::Hmac => false,
    }
}
