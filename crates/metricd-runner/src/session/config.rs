//! The configuration of a session.

use std::time::Duration;

use metricd_database::{DatabaseUrl, TargetSession};
use secrecy::ExposeSecret;
use tokio_postgres::Config;
use tokio_postgres::config::TargetSessionAttrs;

/// The configuration of a session.
#[derive(Debug, Clone)]
pub(crate) struct SessionConfig {
    pub(crate) config: Config,
    pub(super) target: TargetSession,
}

impl SessionConfig {
    pub(crate) fn new(url: &DatabaseUrl) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { config: driver_config(url)?, target: url.target() })
    }

    /// The same, with these options after those of the URL.
    pub(crate) fn with_options(&self, options: &str) -> Self {
        let mut with = self.clone();
        let own = self.config.get_options().unwrap_or_default();
        with.config.options(format!("{own} {options}").trim());
        with
    }
}

/// The URL as a configuration of the driver.
pub(crate) fn driver_config(url: &DatabaseUrl) -> Result<Config, tokio_postgres::Error> {
    let mut config: Config = url.driver_url().expose_secret().parse()?;
    let seconds = |name| url.bound(name).map(|seconds| Duration::from_secs(seconds.into()));
    // Without keepalives, a connection to an unreachable machine would hold its slot for hours.
    if let Some(idle) = seconds("keepalives_idle") {
        config.keepalives_idle(idle);
    }
    if let Some(interval) = seconds("keepalives_interval") {
        config.keepalives_interval(interval);
    }
    if let Some(count) = url.bound("keepalives_count") {
        config.keepalives_retries(count);
    }
    if let Some(milliseconds) = url.bound("tcp_user_timeout") {
        config.tcp_user_timeout(Duration::from_millis(milliseconds.into()));
    }
    // The driver distinguishes fewer values.
    config.target_session_attrs(match url.target() {
        TargetSession::ReadWrite | TargetSession::Primary => TargetSessionAttrs::ReadWrite,
        TargetSession::ReadOnly | TargetSession::Standby => TargetSessionAttrs::ReadOnly,
        _ => TargetSessionAttrs::Any,
    });
    Ok(config)
}

/// The configuration and the time limit for connecting to all hosts of the URL: for each host the timeout of the URL,
/// otherwise this one.
pub(crate) fn driver_config_within(
    url: &DatabaseUrl,
    per_host: Duration,
) -> Result<(Config, Duration), tokio_postgres::Error> {
    let mut config = driver_config(url)?;
    let per_host = *config.get_connect_timeout().unwrap_or(&per_host);
    config.connect_timeout(per_host);
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    Ok((config, per_host.saturating_mul(u32::try_from(hosts).unwrap_or(u32::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_has_the_bounds_of_libpq() {
        let bounds = |query: &str| {
            let url = DatabaseUrl::parse(format!("postgres://ann@a,b/m{query}")).unwrap();
            let (config, limit) = driver_config_within(&url, Duration::from_secs(2)).unwrap();
            let interval = config.get_keepalives_interval();
            let times =
                [Some(config.get_keepalives_idle()), interval, config.get_tcp_user_timeout().copied(), Some(limit)];
            (
                times.map(|time| time.map(|time| time.as_millis())),
                config.get_keepalives_retries(),
                config.get_keepalives(),
            )
        };
        assert_eq!(bounds(""), ([Some(10_000), Some(5_000), Some(15_000), Some(4_000)], Some(3), true));
        assert_eq!(
            bounds(
                "?keepalives_idle=60&keepalives_interval=9&keepalives_count=2&tcp_user_timeout=2500&connect_timeout=7"
            ),
            ([Some(60_000), Some(9_000), Some(2_500), Some(14_000)], Some(2), true)
        );
        // Zero means the system's default: two hours for the first.
        assert_eq!(
            bounds(
                "?keepalives=0&keepalives_idle=0&keepalives_interval=0&keepalives_count=0&tcp_user_timeout=0&connect_timeout=0"
            ),
            ([Some(7_200_000), None, None, Some(4_000)], None, false)
        );
    }
}
