//! What libpq's rules need of a certificate, and webpki does not tell: its names, its dates, how it is signed. Reads
//! every version of X.509; webpki reads version 3 only.

use aws_lc_rs::digest;
use chrono::{DateTime, NaiveDateTime, Utc};

use super::der::{BOOLEAN, Der, UTC_TIME};

/// Object identifiers, as DER encodes them.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const RSA_SIGNATURES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const ECDSA_WITH_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
const SHA2: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// Tags that depend on their place.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const PSS_DIGEST: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

/// A certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Whether it has no extensions, because X.509 had none then.
    pub(super) is_version_1: bool,
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// The algorithm of the signature, with its parameters.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: DateTime<Utc>,
    pub(super) not_after: DateTime<Utc>,
    /// The algorithm of the public key, with its parameters, and the key.
    pub(super) key: (&'a [u8], &'a [u8]),
    /// Whether it says that it may issue certificates. Version 1 cannot say so.
    pub(super) is_authority: bool,
    pub(super) names: SubjectNames,
}

/// The names that a certificate is issued for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SubjectNames {
    /// The first common name of the subject.
    pub(super) common: Option<String>,
    pub(super) dns: Vec<String>,
    /// IP addresses, of 4 or 16 bytes.
    pub(super) ip: Vec<Vec<u8>>,
}

impl<'a> Certificate<'a> {
    /// Parses DER; `None` if the bytes are no certificate.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der).inner()?;
        let signed = outer.whole()?;
        let mut body = Der(signed).inner()?;
        let signature_algorithm = outer.value()?;
        let signature = outer.bits()?;

        let is_version_1 = body.optional(VERSION).is_none();
        // The serial number and, once more, the algorithm of the signature.
        body.value()?;
        body.value()?;
        let issuer = body.value()?;
        let mut validity = body.inner()?;
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = body.value()?;
        let mut key = body.inner()?;
        let key = (key.value()?, key.bits()?);

        let mut names = SubjectNames { common: first_common_name(subject), ..SubjectNames::default() };
        let mut is_authority = false;
        for (tag, value) in body {
            if tag == EXTENSIONS {
                for (_, extension) in Der(value).inner()? {
                    let mut extension = Der(extension);
                    let id = extension.value()?;
                    extension.optional(BOOLEAN);
                    let mut content = Der(extension.value()?);
                    match id {
                        SUBJECT_ALTERNATIVE_NAME => names.add(content.inner()?),
                        BASIC_CONSTRAINTS => is_authority = content.inner()?.optional(BOOLEAN) == Some(&[0xff]),
                        _ => {}
                    }
                }
            }
        }
        Some(Self {
            is_version_1,
            signed,
            signature_algorithm,
            signature,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            is_authority,
            names,
        })
    }

    /// Whether it is its own issuer.
    pub(super) fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// The name of its issuer, for messages.
    pub(super) fn issuer_name(&self) -> Option<String> {
        first_common_name(self.issuer)
    }
}

impl SubjectNames {
    fn add(&mut self, alternatives: Der<'_>) {
        for (tag, name) in alternatives {
            match tag {
                DNS_NAME => self.dns.push(String::from_utf8_lossy(name).into_owned()),
                IP_ADDRESS => self.ip.push(name.to_vec()),
                _ => {}
            }
        }
    }
}

/// The first common name of a distinguished name: sets of pairs of a type and a value.
fn first_common_name(name: &[u8]) -> Option<String> {
    let pairs = Der(name).flat_map(|(_, set)| Der(set));
    pairs.map(|(_, pair)| Der(pair)).find_map(|mut pair| {
        let is_common = pair.value()? == COMMON_NAME;
        let value = pair.value()?;
        is_common.then(|| String::from_utf8_lossy(value).into_owned())
    })
}

/// A time, which certificates have in two forms: with two digits for the year, from 1950, and with four.
fn time((tag, text): (u8, &[u8])) -> Option<DateTime<Utc>> {
    let text = str::from_utf8(text).ok()?;
    let century = match tag {
        UTC_TIME if text < "5" => "20",
        UTC_TIME => "19",
        _ => "",
    };
    NaiveDateTime::parse_from_str(&format!("{century}{text}"), "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc())
}

/// The hash of a certificate to which a login is bound (RFC 5929, `tls-server-end-point`): by the digest of its
/// signature, or SHA-256 if that is MD5 or SHA-1. `None` for a signature without a digest of its own, such as Ed25519.
pub(crate) fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let mut algorithm = Der(Certificate::parse(certificate)?.signature_algorithm);
    let id = algorithm.value()?;
    let (kind, number) = id.split_at_checked(id.len().checked_sub(1)?)?;
    let digest = match (kind, *number.first()?) {
        (RSA_SIGNATURES, 4 | 5 | 11) | (ECDSA_WITH_SHA2, 2) => &digest::SHA256,
        (RSA_SIGNATURES, 10) => digest_of_pss(algorithm)?,
        (RSA_SIGNATURES, 12) | (ECDSA_WITH_SHA2, 3) => &digest::SHA384,
        (RSA_SIGNATURES, 13) | (ECDSA_WITH_SHA2, 4) => &digest::SHA512,
        (RSA_SIGNATURES, 14) | (ECDSA_WITH_SHA2, 1) => &digest::SHA224,
        _ if id == ECDSA_WITH_SHA1 => &digest::SHA256,
        _ => return None,
    };
    Some(digest::digest(digest, certificate).as_ref().to_vec())
}

/// RSASSA-PSS has its digest in its parameters; the default is SHA-1.
fn digest_of_pss(mut parameters: Der<'_>) -> Option<&'static digest::Algorithm> {
    let mut parameters = parameters.inner()?;
    let Some(digest) = parameters.optional(PSS_DIGEST) else { return Some(&digest::SHA256) };
    let id = Der(digest).inner()?.value()?;
    match id.split_at_checked(SHA2.len()) {
        Some((SHA2, [1])) => Some(&digest::SHA256),
        Some((SHA2, [2])) => Some(&digest::SHA384),
        Some((SHA2, [3])) => Some(&digest::SHA512),
        Some((SHA2, [4])) => Some(&digest::SHA224),
        _ => (id == SHA1).then_some(&digest::SHA256),
    }
}

#[cfg(test)]
mod tests {
    use metricd_test_support::tls::{Authority, Subject};

    use super::*;

    fn issued(subject: &Subject<'_>) -> Vec<u8> {
        let mut chain = Authority::new("the root").unwrap().issue(subject).unwrap().chain;
        chain.remove(0)
    }

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    }

    #[test]
    fn reads_what_a_certificate_says() {
        let bytes = issued(&Subject { is_expired: true, ..Subject::default() });
        let certificate = Certificate::parse(&bytes).unwrap();
        assert_eq!(certificate.names.common.as_deref(), Some("localhost"));
        assert_eq!(certificate.names.dns, ["localhost"]);
        assert_eq!(certificate.names.ip, [vec![127, 0, 0, 1]]);
        assert_eq!(certificate.issuer_name().as_deref(), Some("the root"));
        assert_eq!(certificate.not_after.to_string(), "2021-01-01 00:00:00 UTC");
        assert!(!certificate.is_self_signed() && !certificate.is_authority && !certificate.is_version_1);
        let root = Authority::new("the root").unwrap().der();
        let root = Certificate::parse(&root).unwrap();
        assert!(root.is_self_signed() && root.is_authority);
        // Its dates have two digits for the year, and four.
        assert!(root.not_before < root.not_after);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let bytes = issued(&Subject::default());
        for end in 0..bytes.len() {
            assert!(Certificate::parse(&bytes[..end]).is_none(), "{end}");
        }
        for position in 0..bytes.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xff, bytes[position] ^ 1] {
                let mut changed = bytes.clone();
                changed[position] = value;
                drop(Certificate::parse(&changed));
                drop(end_point_hash(&changed));
            }
        }
    }

    /// RFC 5929, section 4.1, and for RSASSA-PSS the digest of its parameters.
    #[test]
    fn a_login_is_bound_by_the_digest_of_the_signature() {
        let bytes = issued(&Subject::default());
        let mut outer = Der(&bytes).inner().unwrap();
        let signed = outer.whole().unwrap();
        let size_bytes = |id: &[u8], parameters: &[u8]| {
            let algorithm = der(0x30, &[der(0x06, id), parameters.to_vec()].concat());
            let signature = der(0x03, &[0, 1, 2, 3]);
            let certificate = der(0x30, &[signed, &algorithm, &signature].concat());
            end_point_hash(&certificate).map(|hash| hash.len())
        };
        let rsa = |number| size_bytes(&[RSA_SIGNATURES, &[number]].concat(), &[5, 0]);
        assert_eq!(
            [4, 5, 11, 12, 13, 14, 15].map(rsa),
            [Some(32), Some(32), Some(32), Some(48), Some(64), Some(28), None]
        );
        let ecdsa = |number| size_bytes(&[ECDSA_WITH_SHA2, &[number]].concat(), &[]);
        assert_eq!([1, 2, 3, 4, 5].map(ecdsa), [Some(28), Some(32), Some(48), Some(64), None]);
        assert_eq!(size_bytes(ECDSA_WITH_SHA1, &[]), Some(32));
        let pss = |digest: &[u8]| {
            let digest = der(PSS_DIGEST, &der(0x30, &der(0x06, digest)));
            size_bytes(&[RSA_SIGNATURES, &[10]].concat(), &der(0x30, &digest))
        };
        let sha2 = |number| pss(&[SHA2, &[number]].concat());
        assert_eq!([1, 2, 3, 4, 8].map(sha2), [Some(32), Some(48), Some(64), Some(28), None]);
        assert_eq!(pss(SHA1), Some(32));
        assert_eq!(size_bytes(&[RSA_SIGNATURES, &[10]].concat(), &der(0x30, &[])), Some(32), "the default is SHA-1");
        let ed25519 = [0x2b, 0x65, 0x70];
        assert_eq!(size_bytes(&ed25519, &[]), None);
    }
}
