//! Fetches the keys of an issuer that publishes them, in the background and periodically.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use metricd_access::{Keys, Verifier};
use rustls::crypto::aws_lc_rs;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};
use url::Url;

use crate::arguments::usage_error;

/// The interval between fetches if no token names an unknown key.
const INTERVAL: Duration = Duration::from_secs(15 * 60);

/// The pause between a failed fetch and the next one.
const RETRY: Duration = Duration::from_secs(10);

/// The minimum interval between fetches for tokens that name unknown keys. Any client can send such tokens.
const MIN_PAUSE: Duration = Duration::from_secs(60);

/// The time limit of one fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The size limit of a key set.
const MAX_BYTES: u64 = 1 << 20;

/// An issuer that publishes its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    url: Url,
    /// The URL for the log: without its query string, which may be a secret.
    shown: Url,
    agent: Agent,
    /// Keys that are used in addition to the issuer's.
    local_keys: Keys,
}

impl Issuer {
    /// Checks the URL and sets up the HTTP client.
    pub(super) fn new(url: &str, local_keys: Keys) -> Result<Self> {
        let url = Url::parse(url).map_err(|error| usage_error(format!("expected a URL of keys: {error}")))?;
        // The log shows the URL.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage_error("the URL of keys has a user or a password: remove it"));
        }
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(usage_error("keys fetched without TLS could be replaced in transit: give an https URL"));
        }
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(RootCerts::PlatformVerifier);
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(FETCH_TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut shown = url.clone();
        shown.set_query(None);
        Ok(Self { url, shown, agent, local_keys })
    }

    /// Keeps the verifier's keys up to date, and never returns. If a fetch fails, the previous keys stay.
    pub(super) async fn keep_up_to_date(self, verifier: Arc<Verifier>, unknown_key: Arc<Notify>) {
        let mut not_before = Instant::now();
        loop {
            let pause = match self.fetch().await.and_then(|keys| Ok(verifier.replace_keys(keys)?)) {
                Ok(()) => {
                    log::info!("fetched the keys of {}", self.shown);
                    INTERVAL
                }
                Err(error) => {
                    log::error!("cannot fetch the keys of {}; the previous keys stay: {error:#}", self.shown);
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = async {
                    unknown_key.notified().await;
                    sleep_until(not_before).await;
                } => not_before = Instant::now() + MIN_PAUSE,
            }
        }
    }

    async fn fetch(&self) -> Result<Keys> {
        let (agent, url) = (self.agent.clone(), self.url.clone());
        let fetched = spawn_blocking(move || -> Result<String> {
            let mut response = agent.get(url.as_str()).call()?;
            ensure!(response.status() == 200, "the response is {}", response.status());
            Ok(response.body_mut().with_config().limit(MAX_BYTES).read_to_string()?)
        });
        Ok(Keys::parse(&fetched.await??)?.merged_with(self.local_keys.clone()))
    }
}

/// Whether the host is this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback()),
        None => false,
    }
}
