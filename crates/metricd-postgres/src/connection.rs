//! Single connections, for one-time tasks.

use diesel::connection::SimpleConnection;
use diesel::r2d2::R2D2Connection;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, QueryableByName, RunQueryDsl};
use secrecy::ExposeSecret;
use uuid::Uuid;

use metricd_connection::LatestTimeline;
use metricd_database::{DatabaseUrl, OWNER_SETTINGS_SQL, SESSION_TOKEN, session_token_option};

/// Why a database could not be connected to.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {database}: {message}")]
pub struct ConnectError {
    database: String,
    message: String,
}

impl ConnectError {
    pub(crate) fn new(url: &DatabaseUrl, message: impl Into<String>) -> Self {
        Self { database: url.to_string(), message: message.into() }
    }
}

/// When a server was started. It identifies a run of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct ServerStart {
    #[diesel(sql_type = BigInt)]
    microseconds: i64,
}

/// The start of the server that responds now.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable or does not report it.
pub fn server_start(url: &DatabaseUrl) -> Result<ServerStart, ConnectError> {
    let mut connection = connect_as_owner(url)?;
    let started = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS microseconds";
    diesel::sql_query(started)
        .get_result(&mut connection)
        .map_err(|error| ConnectError { database: url.to_string(), message: error.to_string() })
}

/// Opens a session of the owner and applies its settings.
pub(crate) fn connect_as_owner(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let mut connection = connect(url)?;
    connection.batch_execute(OWNER_SETTINGS_SQL).map_err(|error| ConnectError {
        database: url.to_string(),
        message: format!("the session's settings cannot be set: {error}"),
    })?;
    Ok(connection)
}

/// Refuses a URL of the owner that leads through a connection pooler: the owner needs one session across
/// transactions, for example to listen for changes.
///
/// # Errors
///
/// [`ConnectError`] if it does, or if the server is unreachable.
pub fn refuse_pooler(owner: &DatabaseUrl) -> Result<(), ConnectError> {
    if !leads_through_pooler(owner)? {
        return Ok(());
    }
    let message = "the URL leads through a connection pooler, and the owner's sessions have to be with PostgreSQL itself: \
                   set DATABASE_URL to PostgreSQL's own address (READER_DATABASE_URL may lead through the pooler)";
    Err(ConnectError::new(owner, message))
}

/// Whether a URL leads through a connection pooler, which does not forward the options of a session.
///
/// # Errors
///
/// [`ConnectError`] if the server is unreachable.
pub fn leads_through_pooler(url: &DatabaseUrl) -> Result<bool, ConnectError> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        is_own: bool,
    }
    let token = Uuid::new_v4();
    let mut connection = match connect(&url.with_options(&session_token_option(token))) {
        Ok(connection) => connection,
        // A pooler may refuse options that it does not forward.
        Err(error) => return connect(url).map_or(Err(error), |_| Ok(true)),
    };
    let query = diesel::sql_query(format!(
        "SELECT pg_catalog.current_setting('{SESSION_TOKEN}', true) IS NOT DISTINCT FROM $1 AS is_own"
    ));
    let answer: QueryResult<Answer> =
        connection.transaction(|connection| query.bind::<Text, _>(token.to_string()).get_result(connection));
    Ok(!answer.is_ok_and(|answer| answer.is_own))
}

/// Opens a session of the reader in a transaction, which is one session even behind a pooler. Its search path has
/// PostgreSQL's own schema alone.
pub(crate) fn connect_as_reader(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let mut connection = connect(&url.of_reader())?;
    // A function of a data schema must not answer instead of PostgreSQL's own.
    connection.batch_execute("BEGIN READ ONLY; SET LOCAL search_path = pg_catalog").map_err(|error| {
        let message = if refuses_transactions(url) {
            "the URL leads through a connection pooler in statement mode, and metricd runs each statement in a \
             transaction: set `pool_mode = transaction` in the pooler (see docs/poolers.md)"
                .to_owned()
        } else {
            format!("no transaction can be begun: {}", first_line(&error.to_string()))
        };
        ConnectError { database: url.to_string(), message }
    })?;
    Ok(connection)
}

/// Whether statements run but no transaction can be begun, as behind a pooler in statement mode. Such a pooler gives the
/// reason and closes the connection, and libpq reports only that it was closed.
fn refuses_transactions(url: &DatabaseUrl) -> bool {
    connect(&url.of_reader()).is_ok_and(|mut connection| {
        connection.batch_execute("SELECT 1").is_ok() && connection.batch_execute("BEGIN").is_err()
    })
}

/// Opens a session with the settings of its role, to check the settings of the reader.
pub(crate) fn connect(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let any = LatestTimeline::default();
    establish(url, None, &any).map_err(|message| ConnectError { database: url.to_string(), message })
}

/// Connects. Returns when the server has accepted or refused, or after this many seconds.
pub(crate) fn ping(url: &DatabaseUrl, seconds: u32) {
    drop(establish(url, Some(seconds), &LatestTimeline::default()));
}

/// Opens a session, or says why there is none. libpq has no TLS: `metricd-connection` gives it sessions that have it.
fn establish(
    url: &DatabaseUrl,
    timeout_seconds: Option<u32>,
    timeline: &LatestTimeline,
) -> Result<PgConnection, String> {
    let libpq_url = metricd_connection::libpq_url(url, timeout_seconds, timeline).map_err(|error| error.to_string())?;
    PgConnection::establish(libpq_url.expose_secret()).map_err(|error| match error {
        ConnectionError::BadConnection(message) => first_line(&message),
        // libpq may quote the URL, and with it the password.
        _ => "the URL or the session's settings were refused".to_owned(),
    })
}

/// Opens the sessions of a pool.
#[derive(Debug)]
pub(crate) struct SessionManager {
    pub(crate) owner: DatabaseUrl,
    /// A session ends when a fail-over has replaced its server.
    pub(crate) timeline: LatestTimeline,
}

impl r2d2::ManageConnection for SessionManager {
    type Connection = PgConnection;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<PgConnection, Self::Error> {
        establish(&self.owner, None, &self.timeline)
            .map_err(|message| diesel::r2d2::Error::ConnectionError(ConnectionError::BadConnection(message)))
    }

    fn is_valid(&self, connection: &mut PgConnection) -> Result<(), Self::Error> {
        connection.ping().map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, connection: &mut PgConnection) -> bool {
        std::thread::panicking() || connection.is_broken()
    }
}

/// The first line of a message. libpq reports each address that it has tried on a line of its own, with hints
/// between.
pub(crate) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}
