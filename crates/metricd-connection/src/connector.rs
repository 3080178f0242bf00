//! Tries the servers of a URL, and logs in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metricd_database::{ChannelBinding, DatabaseUrl, TargetSession, TlsMode, TlsSettings};
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_postgres::config::{self, Config, SslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Connection};

use crate::cancel::CancelRequest;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::login::{Established, LoginStream};
use crate::role::{check_target, check_timeline};
use crate::socket::{OpenSocket, Socket, TlsTarget, offers_tls};
use crate::staggered::first_success;
use crate::timeline::{LatestTimeline, ServerTimeline};

/// The class of the SQLSTATEs with which a server refuses a user, or a kind of connection. Other refusals concern any
/// kind.
const AUTHENTICATION_CLASS: &str = "28";

/// How long a server may take before the next one is tried as well, so that a host that hangs does not delay every
/// connection.
const ATTEMPT_DELAY: Duration = Duration::from_millis(500);

/// The driver of a client: a future that reads and writes its socket.
pub type Driver = Connection<LoginStream<Box<dyn Socket>>, LoginStream<Box<dyn Socket>>>;

/// Connects to the first server of a URL that accepts, in their order.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    tls: Arc<TlsSettings>,
    target: TargetSession,
    /// Only a primary of this timeline, or a later one, is accepted.
    timeline: LatestTimeline,
    /// The time limit for each server.
    limit: Duration,
}

/// A session that is logged in, for a caller that speaks the protocol itself.
pub struct LoggedIn {
    /// The socket. The server waits for a query.
    pub socket: Box<dyn Socket>,
    /// Cancels the running statement.
    pub cancel_request: CancelRequest,
    /// The process id that the login reported. A pooler invents it.
    pub process_id: Option<i32>,
    /// What the server has sent from the confirmation of the login to the first `ReadyForQuery`.
    pub(crate) greeting: Vec<u8>,
    /// The timeline of the server. That of a standby as long as no timeline is known.
    pub(crate) timeline: ServerTimeline,
}

impl Connector {
    /// A connector for the URL. Each server may take as long as the URL allows for connecting and logging in, otherwise
    /// this long.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`] if the driver does not understand the URL.
    pub fn new(url: &DatabaseUrl, limit: Duration) -> Result<Self, ConnectError> {
        let parsed = url.driver_url().expose_secret().parse();
        let mut config: Config =
            parsed.map_err(|error| ConnectError::failed(format!("the URL of {url} is not understood: {error}")))?;
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
        config.channel_binding(match url.tls().channel_binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        });
        let limit = config.get_connect_timeout().copied().unwrap_or(limit);
        let (tls, timeline) = (Arc::new(url.tls().clone()), LatestTimeline::default());
        Ok(Self { config, tls, target: url.target(), timeline, limit })
    }

    /// The same, for the primary of this timeline: a server that a fail-over has replaced is not accepted.
    #[must_use]
    pub fn following(self, timeline: &LatestTimeline) -> Self {
        Self { timeline: timeline.clone(), ..self }
    }

    /// The same, with this name of the program for PostgreSQL's views and logs.
    #[must_use]
    pub fn named(mut self, application: &str) -> Self {
        self.config.application_name(application);
        self
    }

    /// The same, with this name if the URL has none.
    #[must_use]
    pub fn named_by_default(self, application: &str) -> Self {
        if self.config.get_application_name().is_some() { self } else { self.named(application) }
    }

    /// The same, with these options after those of the URL.
    #[must_use]
    pub fn with_options(&self, options: &str) -> Self {
        let own = self.config.get_options().unwrap_or_default();
        let mut with_options = self.clone();
        with_options.config.options(format!("{own} {options}").trim());
        with_options
    }

    /// The same, with this time limit for each server, whatever the URL has.
    pub(crate) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether the URL has one server.
    #[must_use]
    pub fn has_one_server(&self) -> bool {
        self.config.get_hosts().len() <= 1 && self.config.get_hostaddrs().len() <= 1
    }

    /// Connects and logs in.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] of the last server.
    pub async fn connect(&self) -> Result<(Client, Driver), ConnectError> {
        self.connect_to_primary().await.map(|(client, driver, _)| (client, driver))
    }

    /// The same, with the timeline of the server. It is that of a standby as long as no timeline is known.
    ///
    /// # Errors
    ///
    /// As for [`Self::connect`].
    pub async fn connect_to_primary(&self) -> Result<(Client, Driver, ServerTimeline), ConnectError> {
        self.first(|open, wants_standby| async move {
            let config = self.config_for(&open);
            let stream = LoginStream::new(open.socket, open.end_point_hash, open.may_send_password);
            let (client, mut driver) = config.connect_raw(stream, Established).await?;
            check_target(&client, &mut driver, wants_standby).await?;
            let timeline = check_timeline(&client, &mut driver, &self.timeline).await?;
            Ok((client, driver, timeline))
        })
        .await
    }

    /// Connects, logs in, and returns the socket.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] of the last server.
    pub async fn log_in(&self) -> Result<LoggedIn, ConnectError> {
        self.first(|open, wants_standby| async move {
            let config = self.config_for(&open);
            let mut stream = LoginStream::new(open.socket, open.end_point_hash, open.may_send_password);
            let (client, mut driver) = config.connect_raw(&mut stream, Established).await?;
            check_target(&client, &mut driver, wants_standby).await?;
            let timeline = check_timeline(&client, &mut driver, &self.timeline).await?;
            let token = client.cancel_token();
            // Not polled any more, neither sends Terminate when dropped: the socket is ours again.
            drop((client, driver));
            let cancel_request = CancelRequest::new(open.peer, open.security, &token).await?;
            let process_id = cancel_request.process_id();
            let (socket, greeting) = stream.into_parts();
            Ok(LoggedIn { socket, cancel_request, process_id, greeting, timeline })
        })
        .await
    }

    /// Whether no connection may have TLS, or is refused for not having it.
    pub(crate) fn is_without_tls(&self) -> bool {
        self.tls.channel_binding != ChannelBinding::Require
            && Endpoint::candidates(&self.config).iter().all(|endpoint| self.mode_for(endpoint) == TlsMode::Disable)
    }

    /// Whether the connection may have TLS, or the login needs a look at what the server asks: libpq, which can do
    /// neither here, must not connect itself. Local servers are asked.
    pub(crate) async fn exceeds_libpq(&self) -> bool {
        if self.tls.channel_binding == ChannelBinding::Require {
            return true;
        }
        for endpoint in Endpoint::candidates(&self.config) {
            let exceeds = match self.mode_for(&endpoint) {
                TlsMode::Disable => false,
                TlsMode::Prefer if endpoint.is_local() => {
                    let offered = timeout(self.limit, offers_tls(&endpoint, &self.tls)).await;
                    matches!(offered, Ok(Ok(true)))
                }
                _ => true,
            };
            if exceeds {
                return true;
            }
        }
        false
    }

    /// The result of the first server that accepts the login.
    async fn first<T, F>(&self, log_in: impl Fn(OpenSocket, Option<bool>) -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let endpoints = Endpoint::candidates(&self.config);
        let mut outcome = Err(ConnectError::failed("the URL names no host"));
        let passes = self.target.in_order();
        for (number, wants_standby) in passes.iter().enumerate() {
            let log_in = |open| log_in(open, *wants_standby);
            let attempts: Vec<_> = endpoints
                .iter()
                .map(|endpoint| async move {
                    let attempt = timeout(self.limit, self.log_in_to(endpoint, log_in));
                    let too_slow = |_| Err(ConnectError::failed(format!("{endpoint}: connecting took too long")));
                    attempt.await.unwrap_or_else(too_slow)
                })
                .collect();
            let has_fallback = number + 1 < passes.len();
            outcome = first_success(attempts, ATTEMPT_DELAY, has_fallback).await.unwrap_or(outcome);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Logs in to a server. If it may be with TLS and without, the other kind of connection is tried if the handshake
    /// or the authentication of the first has failed.
    async fn log_in_to<T, F>(&self, endpoint: &Endpoint, log_in: impl Fn(OpenSocket) -> F) -> Result<T, ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let mode = self.mode_for(endpoint);
        let may_send_password = endpoint.is_local() || mode == TlsMode::Disable;
        let tls = || Some(TlsTarget::new(&self.tls, mode, endpoint));
        let kinds = match mode {
            TlsMode::Disable => [Some(None), None],
            TlsMode::Allow => [Some(None), Some(tls())],
            TlsMode::Prefer => [Some(tls()), Some(None)],
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => [Some(tls()), None],
        };
        let mut earlier: Option<ConnectError> = None;
        for tls in kinds.into_iter().flatten() {
            let asks_for_tls = tls.is_some();
            let opened = OpenSocket::connect(endpoint, &self.config, tls, may_send_password).await;
            let has_tls = opened.as_ref().ok().map(|open| open.security.is_some());
            let outcome = match opened {
                Ok(open) => log_in(open).await,
                Err(error) => Err(error),
            };
            let Err(error) = outcome else { return outcome };
            log::debug!("{endpoint}, {} TLS: {error}", if asks_for_tls { "with" } else { "without" });
            let is_final = match (&error, has_tls) {
                // The server has no TLS: this was the other kind already.
                (_, Some(false)) if asks_for_tls => true,
                (ConnectError::Refused(refusal), _) => !refusal.code().code().starts_with(AUTHENTICATION_CLASS),
                (ConnectError::Unreachable(_) | ConnectError::OtherRole(_), _) => true,
                (ConnectError::Failed(_), has_tls) => has_tls == Some(true),
            };
            let error = earlier.take().filter(|earlier| is_more_specific(earlier, &error)).unwrap_or(error);
            if is_final {
                return Err(error);
            }
            earlier = Some(error);
        }
        Err(earlier.unwrap_or_else(|| ConnectError::failed("the URL names no host")))
    }

    fn mode_for(&self, endpoint: &Endpoint) -> TlsMode {
        match endpoint {
            Endpoint::Unix(_) => TlsMode::Disable,
            Endpoint::Tcp { .. } => self.tls.mode_for(endpoint.is_local()),
        }
    }

    /// The driver's configuration for a socket whose TLS is settled.
    fn config_for(&self, open: &OpenSocket) -> Config {
        let mut config = self.config.clone();
        config.ssl_negotiation(SslNegotiation::Direct);
        config.ssl_mode(if open.security.is_some() { SslMode::Require } else { SslMode::Disable });
        config
    }
}

/// Whether the error of the first kind of connection is more specific than that of the second: a refused password, or a
/// failed handshake, and the second only says that connections of its kind are not accepted.
fn is_more_specific(first: &ConnectError, second: &ConnectError) -> bool {
    let sqlstate = |error: &ConnectError| match error {
        ConnectError::Refused(refusal) => Some(refusal.code().clone()),
        _ => None,
    };
    let not_accepted = Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    sqlstate(second) == not_accepted && sqlstate(first) != not_accepted
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoggedIn").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_has_the_bounds_of_libpq() {
        let bounds = |query: &str| {
            let url = DatabaseUrl::parse(format!("postgres://ann@a,b/m{query}")).unwrap();
            let Connector { config, limit, .. } = Connector::new(&url, Duration::from_secs(2)).unwrap();
            let interval = config.get_keepalives_interval();
            let times =
                [Some(config.get_keepalives_idle()), interval, config.get_tcp_user_timeout().copied(), Some(limit)];
            (
                times.map(|time| time.map(|time| time.as_millis())),
                config.get_keepalives_retries(),
                config.get_keepalives(),
            )
        };
        assert_eq!(bounds(""), ([Some(10_000), Some(5_000), Some(15_000), Some(2_000)], Some(3), true));
        assert_eq!(
            bounds(
                "?keepalives_idle=60&keepalives_interval=9&keepalives_count=2&tcp_user_timeout=2500&connect_timeout=7"
            ),
            ([Some(60_000), Some(9_000), Some(2_500), Some(7_000)], Some(2), true)
        );
        // Zero means the system's default: two hours for the first.
        assert_eq!(
            bounds(
                "?keepalives=0&keepalives_idle=0&keepalives_interval=0&keepalives_count=0&tcp_user_timeout=0&connect_timeout=0"
            ),
            ([Some(7_200_000), None, None, Some(2_000)], None, false)
        );
    }
}
