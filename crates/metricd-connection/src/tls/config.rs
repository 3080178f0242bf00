//! Configurations of rustls, made of the files of a URL.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metricd_database::{TlsMode, TlsSettings};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;

use super::files::{RootFile, StampedFile, TlsFiles};
use super::verifier::{Authorities, Check, Verifier};
use crate::error::ConnectError;

/// PostgreSQL's protocol, as TLS names it.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// How long the authorities of the operating system are kept: reading its files takes milliseconds.
const SYSTEM_ROOTS_AGE: Duration = Duration::from_secs(600);

/// The number of configurations that are kept. A program needs one for each URL and host.
const MAX_CONFIGS: usize = 64;

/// The configurations that were made. A file that has changed makes another key.
static CONFIGS: LazyLock<Mutex<HashMap<Key, Arc<ClientConfig>>>> = LazyLock::new(Mutex::default);

/// When the first configuration was looked up.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What a configuration depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    check: Check,
    files: TlsFiles,
    sends_host: bool,
    /// Changes when the authorities of the operating system are to be read again.
    age: u64,
}

/// The configuration for a connection to the host. A file that has changed since is read again.
pub(crate) async fn tls_config(
    settings: &Arc<TlsSettings>,
    mode: TlsMode,
    host: Option<&str>,
) -> Result<Arc<ClientConfig>, ConnectError> {
    let (settings, host) = (Arc::clone(settings), host.map(str::to_owned));
    let found = tokio::task::spawn_blocking(move || find(&settings, mode, host)).await;
    found.map_err(|error| ConnectError::failed(format!("the files about TLS cannot be read: {error}")))?
}

fn find(settings: &TlsSettings, mode: TlsMode, host: Option<String>) -> Result<Arc<ClientConfig>, ConnectError> {
    let files = TlsFiles::find(settings, mode)?;
    let check = match mode {
        TlsMode::VerifyFull => Check::Host(host),
        TlsMode::VerifyCa => Check::Authority,
        // As with libpq, authorities that are given are not ignored.
        _ if files.roots.is_some() => Check::Authority,
        _ => Check::Key,
    };
    let age = match files.roots {
        Some(RootFile::System) => START.elapsed().as_secs() / SYSTEM_ROOTS_AGE.as_secs(),
        _ => 0,
    };
    let key = Key { check, files, sends_host: !settings.hides_host, age };
    if let Some(config) = configs().get(&key) {
        return Ok(Arc::clone(config));
    }
    let config = Arc::new(make(&key)?);
    let mut configs = configs();
    if configs.len() >= MAX_CONFIGS {
        configs.clear();
    }
    configs.insert(key, Arc::clone(&config));
    Ok(config)
}

fn configs() -> std::sync::MutexGuard<'static, HashMap<Key, Arc<ClientConfig>>> {
    CONFIGS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make(key: &Key) -> Result<ClientConfig, ConnectError> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let authorities = match &key.files.roots {
        None => Authorities::default(),
        Some(RootFile::File(file)) => Authorities::of_file(file.certificates()?),
        Some(RootFile::System) => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err(ConnectError::failed(NO_SYSTEM_ROOTS));
            }
            Authorities::of_system(&found.certs)
        }
    };
    let verifier = Verifier {
        check: key.check.clone(),
        authorities: Arc::new(authorities),
        revocations: key.files.revocations.as_ref().map(StampedFile::revocations).transpose()?.unwrap_or_default(),
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| ConnectError::failed(format!("TLS cannot be set up: {error}")))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &key.files.client {
        None => builder.with_no_client_auth(),
        Some((certificate, private_key)) => {
            let with_certificate = builder.with_client_auth_cert(certificate.certificates()?, private_key.key()?);
            with_certificate.map_err(|error| {
                ConnectError::failed(format!("the client's certificate and its key do not fit together: {error}"))
            })?
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = key.sends_host;
    // PostgreSQL resumes no sessions.
    config.resumption = Resumption::disabled();
    Ok(config)
}

const NO_SYSTEM_ROOTS: &str = "the operating system has no certificates of authorities: install them (Debian's package is `ca-certificates`), or give the server's authority with `sslrootcert=FILE`";

/// The host as TLS sends it. The verifier knows the host itself, so that any name will do for one that TLS cannot send.
pub(crate) fn server_name(host: Option<&str>) -> ServerName<'static> {
    let name = host.and_then(|host| ServerName::try_from(host.to_owned()).ok());
    name.unwrap_or_else(|| ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into()))
}
