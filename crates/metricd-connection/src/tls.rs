//! TLS with libpq's meaning, on rustls.

mod certificate;
mod config;
mod der;
mod files;
mod names;
mod problem;
mod verifier;

pub(crate) use self::certificate::end_point_hash;
pub(crate) use self::config::{ALPN, server_name, tls_config};
pub(crate) use self::problem::CertificateProblem;
