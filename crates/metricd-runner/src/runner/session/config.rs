//! What a session is opened with.

use metricd_database::{DatabaseUrl, TargetSession};
use secrecy::ExposeSecret;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

/// What a session is opened with.
#[derive(Debug, Clone)]
pub(in crate::runner) struct SessionConfig {
    pub(in crate::runner) config: Config,
    pub(super) target: TargetSession,
}

impl SessionConfig {
    pub(in crate::runner) fn new(url: &DatabaseUrl) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { config: driver_config(url)?, target: url.target() })
    }

    /// The same, with these options beside those of the URL.
    pub(in crate::runner) fn with_options(&self, options: &str) -> Self {
        let mut with = self.clone();
        let own = self.config.get_options().unwrap_or_default();
        with.config.options(format!("{own} {options}").trim());
        with
    }
}

/// The URL as the driver reads it.
pub(crate) fn driver_config(url: &DatabaseUrl) -> Result<Config, tokio_postgres::Error> {
    let mut config: Config = url.without_target().expose_secret().parse()?;
    // The driver has fewer words for this.
    config.target_session_attrs(match url.target() {
        TargetSession::ReadWrite | TargetSession::Primary => TargetSessionAttrs::ReadWrite,
        TargetSession::ReadOnly | TargetSession::Standby => TargetSessionAttrs::ReadOnly,
        _ => TargetSessionAttrs::Any,
    });
    Ok(config)
}
