//! Verifies the certificate of a server as libpq does.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use super::certificate::Certificate;
use super::der::Der;
use super::problem::{CertificateProblem, utc};

/// What is verified of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Check {
    /// Only that the server has its key.
    Key,
    /// Also that a trusted authority has issued it.
    Authority,
    /// Also that it is for this host. Without a host nothing is accepted.
    Host(Option<String>),
}

/// The authorities that are trusted.
#[derive(Debug, Default)]
pub(super) struct Authorities {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// Other certificates of their file: intermediate ones, and self-signed ones that a server may have itself.
    pub(super) others: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// The authorities of a file. As with libpq, only self-signed certificates are trusted by themselves.
    pub(super) fn of_file(certificates: Vec<CertificateDer<'static>>) -> Self {
        let anchor = |der: &CertificateDer<'static>| {
            let certificate = Certificate::parse(der)?;
            let may_issue = certificate.is_authority || certificate.is_version_1;
            let is_root = may_issue && certificate.is_self_signed();
            is_root.then(|| webpki::anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned())).flatten()
        };
        let anchors = certificates.iter().filter_map(anchor).collect();
        Self { anchors, others: certificates }
    }

    /// The authorities of the operating system. Each is trusted.
    pub(super) fn of_system(certificates: &[CertificateDer<'static>]) -> Self {
        let anchor = |der| webpki::anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned());
        Self { anchors: certificates.iter().filter_map(anchor).collect(), others: Vec::new() }
    }
}

/// Verifies the certificate of a server.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) check: Check,
    pub(super) authorities: Arc<Authorities>,
    /// Lists of revoked certificates. If there is one, each authority needs one.
    pub(super) revocations: Vec<CertRevocationList<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn verify(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        if self.check == Check::Key {
            return Ok(());
        }
        let certificate = Certificate::parse(der).ok_or(CertificateProblem::Malformed)?;
        self.verify_issuer(der, &certificate, intermediates, now)?;
        match &self.check {
            Check::Host(None) => Err(CertificateProblem::NoHost),
            Check::Host(Some(host)) if !certificate.names.include(host) => {
                Err(CertificateProblem::WrongHost { names: certificate.names.list(), host: host.clone() })
            }
            _ => Ok(()),
        }
    }

    fn verify_issuer(
        &self,
        der: &CertificateDer<'_>,
        certificate: &Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), CertificateProblem> {
        // Two cases that webpki does not know. Neither kind of certificate can be revoked by a list here.
        if self.revocations.is_empty() {
            if certificate.is_self_signed() && self.authorities.others.iter().any(|trusted| trusted == der) {
                return verify_dates(certificate, now);
            }
            if certificate.is_version_1 && self.is_signed_by_root(certificate) {
                return verify_dates(certificate, now);
            }
        }
        let unknown = || {
            if certificate.is_self_signed() {
                CertificateProblem::SelfSigned
            } else {
                CertificateProblem::UnknownAuthority(certificate.issuer_name())
            }
        };
        if certificate.is_version_1 {
            return Err(unknown());
        }
        let server = EndEntityCert::try_from(der)?;
        let revocations: Vec<_> = self.revocations.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&revocations).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let intermediates: Vec<_> = intermediates.iter().chain(&self.authorities.others).cloned().collect();
        let (anchors, usage) = (&self.authorities.anchors, KeyUsage::server_auth());
        let verified =
            server.verify_for_usage(self.algorithms.all, anchors, &intermediates, now, usage, revocation, None);
        verified.map(drop).map_err(|error| match error.into() {
            CertificateProblem::UnknownAuthority(_) => unknown(),
            CertificateProblem::AuthorityAsServer if certificate.is_self_signed() => unknown(),
            problem => problem,
        })
    }

    /// Whether one of the roots has signed the certificate: all that can be verified of version 1, which PostgreSQL's
    /// own documentation makes with OpenSSL 3.0.
    fn is_signed_by_root(&self, certificate: &Certificate<'_>) -> bool {
        self.authorities.anchors.iter().filter(|root| root.subject.as_ref() == certificate.issuer).any(|root| {
            let mut key = Der(root.subject_public_key_info.as_ref());
            let (Some(key_algorithm), Some(key)) = (key.value(), key.bits()) else { return false };
            self.algorithms.all.iter().any(|algorithm| {
                algorithm.public_key_alg_id().as_ref() == key_algorithm
                    && algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm
                    && algorithm.verify_signature(key, certificate.signed, certificate.signature).is_ok()
            })
        })
    }

    /// Verifies the signature of the handshake by a certificate of version 1, which rustls does not parse.
    fn verify_by_key(
        &self,
        message: &[u8],
        der: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = Certificate::parse(der).ok_or_else(|| refused(CertificateProblem::Malformed))?;
        let (key_algorithm, key) = certificate.key;
        let schemes = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
        let is_valid = schemes.flat_map(|(_, algorithms)| algorithms.iter()).any(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == key_algorithm
                && algorithm.verify_signature(key, message, signature.signature()).is_ok()
        });
        if is_valid {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(refused(CertificateProblem::WrongSignature))
        }
    }
}

fn verify_dates(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), CertificateProblem> {
    let now = utc(now);
    if now < certificate.not_before {
        Err(CertificateProblem::NotYetValid(certificate.not_before))
    } else if now > certificate.not_after {
        Err(CertificateProblem::Expired(certificate.not_after))
    } else {
        Ok(())
    }
}

fn refused(problem: CertificateProblem) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(problem))))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(end_entity, intermediates, now).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    // Signatures are verified in every mode: otherwise anybody could present the certificate of another server, and
    // channel binding would bind to nothing.

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
            .or_else(|_| self.verify_by_key(message, certificate, signature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
            .or_else(|_| self.verify_by_key(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
