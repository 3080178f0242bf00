//! Parses public keys in PEM (RFC 7468).

use jsonwebtoken::DecodingKey;

use super::small_order::is_weak;
use super::{InvalidKeys, VerificationKey};
use crate::Algorithm;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";

/// The accepted length of an RSA public key in DER, in bytes: its modulus has 2048 to 8192 bits.
const RSA_PUBLIC_KEY_BYTES: std::ops::RangeInclusive<usize> = 260..=1060;

pub(super) fn parse(text: &str) -> Result<Vec<VerificationKey>, InvalidKeys> {
    if text.contains("PRIVATE KEY-----") {
        return Err(InvalidKeys::Private);
    }
    if text.contains("CERTIFICATE-----") {
        return Err(InvalidKeys::Certificate);
    }
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        let block = rest.get(begin..).unwrap_or_default();
        // The END line belongs to the block.
        let end = block.find(END).ok_or(InvalidKeys::Unknown)?;
        let end = block.get(end..).and_then(|line| line.find('\n')).map_or(block.len(), |line| end + line + 1);
        let (block, after) = block.split_at_checked(end).ok_or(InvalidKeys::Unknown)?;
        keys.push(key(block.as_bytes()).ok_or(InvalidKeys::Unusable { number: keys.len() + 1 })?);
        rest = after;
    }
    if keys.is_empty() { Err(InvalidKeys::Unknown) } else { Ok(keys) }
}

fn key(block: &[u8]) -> Option<VerificationKey> {
    let of_length = |key: &DecodingKey, lengths: std::ops::RangeInclusive<usize>| {
        key.try_get_as_bytes().is_ok_and(|bytes| lengths.contains(&bytes.len()))
    };
    let rsa = || DecodingKey::from_rsa_pem(block).ok().filter(|key| of_length(key, RSA_PUBLIC_KEY_BYTES));
    let ec = || DecodingKey::from_ec_pem(block).ok().filter(|key| of_length(key, 65..=65));
    let ed =
        || DecodingKey::from_ed_pem(block).ok().filter(|key| key.try_get_as_bytes().is_ok_and(|key| !is_weak(key)));
    let found = rsa().map(|key| (key, vec![Algorithm::Rs256, Algorithm::Ps256]));
    let found = found.or_else(|| ec().map(|key| (key, vec![Algorithm::Es256])));
    let (key, algorithms) = found.or_else(|| ed().map(|key| (key, vec![Algorithm::EdDsa])))?;
    Some(VerificationKey { kid: None, algorithms, key })
}
