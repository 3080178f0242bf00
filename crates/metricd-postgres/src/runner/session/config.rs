//! What a session is opened with.

use tokio_postgres::Config;

use crate::DatabaseUrl;
use crate::database_url::TargetSession;

/// What a session is opened with.
#[derive(Debug, Clone)]
pub(in crate::runner) struct SessionConfig {
    pub(in crate::runner) config: Config,
    pub(super) target: TargetSession,
}

impl SessionConfig {
    pub(in crate::runner) fn new(url: &DatabaseUrl) -> Self {
        Self { config: url.config().clone(), target: url.target() }
    }

    /// The same, with these options beside those of the URL.
    pub(in crate::runner) fn with_options(&self, options: &str) -> Self {
        let mut with = self.clone();
        let own = self.config.get_options().unwrap_or_default();
        with.config.options(format!("{own} {options}").trim());
        with
    }
}
