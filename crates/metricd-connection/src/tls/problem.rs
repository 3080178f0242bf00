//! Why the certificate of a server is not accepted.

use chrono::{DateTime, Utc};
use rustls::pki_types::UnixTime;

/// Why the certificate of a server is not accepted, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateProblem {
    #[error(
        "the server's certificate is issued by an unknown authority{}: give the authority's certificate with `sslrootcert=FILE`", by(.0.as_deref())
    )]
    UnknownAuthority(Option<String>),
    #[error("the server's certificate is self-signed: if it is the right one, give it with `sslrootcert=FILE`")]
    SelfSigned,
    #[error("the server's certificate is for {}, not for `{host}`: use a host that it names, or get one for `{host}`", listed(.names))]
    WrongHost { names: Vec<String>, host: String },
    #[error(
        "the URL has an address without a host, which `sslmode=verify-full` compares with the certificate: add `host`"
    )]
    NoHost,
    #[error("the server's certificate, or one that it depends on, has expired on {}: renew it", shown(.0))]
    Expired(DateTime<Utc>),
    #[error("the server's certificate, or one that it depends on, is not valid before {}: check the clocks of both machines", shown(.0))]
    NotYetValid(DateTime<Utc>),
    #[error("the server's certificate is revoked by the list of `sslcrl`: install a new one")]
    Revoked,
    #[error("the lists of `sslcrl` do not cover all authorities of the server's certificate: add theirs to the file")]
    UnknownRevocation,
    #[error("a list of `sslcrl` has expired: get the current one of the authority")]
    ExpiredRevocations,
    #[error(
        "the server's certificate is that of a certification authority: have the authority issue one for the server"
    )]
    AuthorityAsServer,
    #[error("the server's certificate is not for servers: its extended key usage lacks `serverAuth`")]
    NotForServers,
    #[error(
        "the server's certificate is signed by an algorithm that is too old or unknown: have it signed with SHA-256 or better"
    )]
    UnsupportedSignature,
    #[error("the server's certificate is no valid X.509 certificate")]
    Malformed,
    #[error("the server does not prove that the certificate is its own: its signature of the handshake is wrong")]
    WrongSignature,
    #[error("the server's certificate is not accepted: {0}")]
    Other(webpki::Error),
}

impl From<webpki::Error> for CertificateProblem {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error;
        match error {
            Error::CertExpired { not_after, .. } => Self::Expired(utc(not_after)),
            Error::CertNotValidYet { not_before, .. } => Self::NotYetValid(utc(not_before)),
            Error::UnknownIssuer => Self::UnknownAuthority(None),
            Error::CertRevoked => Self::Revoked,
            Error::UnknownRevocationStatus => Self::UnknownRevocation,
            Error::CrlExpired { .. } => Self::ExpiredRevocations,
            Error::CaUsedAsEndEntity => Self::AuthorityAsServer,
            Error::RequiredEkuNotFoundContext(_) => Self::NotForServers,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Self::UnsupportedSignature,
            Error::BadDer | Error::BadDerTime => Self::Malformed,
            error => Self::Other(error),
        }
    }
}

pub(super) fn utc(time: UnixTime) -> DateTime<Utc> {
    i64::try_from(time.as_secs()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_default()
}

fn shown(time: &DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}

fn by(name: Option<&str>) -> String {
    name.map(|name| format!(", `{name}`")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no host".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
