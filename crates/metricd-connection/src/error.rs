//! Why there is no connection, in sentences that say what to do.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};
use tokio_postgres::error::DbError;

use crate::tls::CertificateProblem;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server has answered, and refuses.
    #[error("{}", .0.message())]
    Refused(Box<DbError>),
    /// No server listens at the address.
    #[error("{0}")]
    Unreachable(String),
    /// The server is not the primary or the standby that is asked for, or a fail-over has replaced it.
    #[error("{0}")]
    OtherRole(String),
    /// The server's TLS is not that of the URL, the connection was lost, or the URL cannot be used.
    #[error("{0}")]
    Failed(String),
}

impl ConnectError {
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }
}

impl From<tokio_postgres::Error> for ConnectError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            return Self::Refused(Box::new(refusal.clone()));
        }
        // A server that rejects the client's certificate says so only when the first message is read.
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>()
                && let Some(sentence) = tls_sentence(io).or_else(|| own_sentence(io))
            {
                return Self::Failed(sentence);
            }
            cause = error.source();
        }
        // The driver's own message is short; its cause has the details.
        let cause = error.source().map(|cause| format!(": {}", first_line(&cause.to_string()))).unwrap_or_default();
        Self::Failed(format!("{error}{cause}"))
    }
}

/// An error that this crate has raised within a socket.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Sentence(pub(crate) &'static str);

fn own_sentence(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<Sentence>().map(ToString::to_string)
}

/// The sentence for an error of TLS.
pub(crate) fn tls_sentence(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<CertificateProblem>() {
                Some(problem) => problem.to_string(),
                None => format!("the server's certificate is not accepted: {error}"),
            }
        }
        rustls::Error::AlertReceived(alert) => alert_sentence(*alert),
        rustls::Error::PeerIncompatible(_) => NO_COMMON_VERSION.to_owned(),
        error => format!("the TLS handshake has failed: {error}"),
    })
}

const NO_COMMON_VERSION: &str =
    "the server's TLS is too old or has other ciphers: metricd needs TLS 1.3, or TLS 1.2 with ECDHE";

fn alert_sentence(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::DecryptError => format!(
            "the server rejects the client's certificate ({alert:?}): give one that the server's `ssl_ca_file` has issued, with `sslcert` and `sslkey`"
        ),
        Alert::CertificateRequired => {
            "the server requires a client certificate: give it with `sslcert` and `sslkey`".to_owned()
        }
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => NO_COMMON_VERSION.to_owned(),
        Alert::NoApplicationProtocol => {
            "the server does not speak PostgreSQL's protocol over TLS: leave `sslnegotiation=direct` out".to_owned()
        }
        alert => format!("the server has ended the TLS handshake: {alert:?}"),
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}
