//! The address of a database, with the password in it kept to itself.

mod target;

use std::fmt::{self, Write as _};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Config, Host, SslMode};

pub(crate) use self::target::TargetSession;

/// The settings of each connection that libpq makes, unless the URL has its own: how long connecting may take, and after how
/// long a silence of the network a connection is lost, in seconds; `tcp_user_timeout` is in milliseconds. A server whose process
/// hangs still answers TCP, so these do not notice it: each call has a deadline of its own.
const LIBPQ_BOUNDS: &str = "application_name=metricd%20catalog&connect_timeout=3&keepalives=1&keepalives_idle=10&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=15000";

/// The address of a database: `postgres://user:password@host:port/database`.
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: SecretString,
    config: Box<Config>,
    target: TargetSession,
}

/// Why a text is no [`DatabaseUrl`]. The text itself is never shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// The text does not have the form of a URL for PostgreSQL.
    #[error("expected `postgres://user:password@host:port/database`")]
    Syntax,
    /// A part of the URL, such as the password, has a character that must be written as `%` and two digits.
    #[error("a special character in the URL is not percent-encoded: write `@` as %40, `/` as %2F, `%` as %25")]
    Encoding,
    /// The URL names no user.
    #[error("the URL names no user: expected `postgres://user:password@host:port/database`")]
    NoUser,
    /// The URL names no database.
    #[error("the URL names no database: expected `postgres://user:password@host:port/database`")]
    NoDatabase,
    /// The URL asks for a kind of server that libpq does not know.
    #[error(
        "expected `target_session_attrs` to be `any`, `read-write`, `read-only`, `primary`, `standby` or `prefer-standby`"
    )]
    TargetSession,
    /// The URL asks for TLS, which is not built in.
    #[error(
        "the URL asks for TLS (`sslmode`), which is not supported yet: use `sslmode=disable`, or a local proxy that adds TLS"
    )]
    Tls,
}

impl DatabaseUrl {
    /// Takes a URL that libpq and tokio-postgres understand alike.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] says what the URL lacks.
    pub fn parse(text: impl Into<SecretString>) -> Result<Self, InvalidDatabaseUrl> {
        let url = text.into();
        let text = url.expose_secret();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(InvalidDatabaseUrl::Syntax);
        }
        if !is_well_encoded(text) {
            return Err(InvalidDatabaseUrl::Encoding);
        }
        // tokio-postgres does not know the modes that verify certificates, so they are found in the text.
        if ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"].iter().any(|mode| text.contains(mode)) {
            return Err(InvalidDatabaseUrl::Tls);
        }
        // Nor does it know all that libpq can be asked for.
        let targets = parameters(text).filter_map(|(name, value)| (name == target::NAME).then_some(value));
        let target = targets.last().map(str::parse).transpose().map_err(|()| InvalidDatabaseUrl::TargetSession)?;
        let target: TargetSession = target.unwrap_or_default();
        let without = with_parameters(text, |name, _| (name != target::NAME).then_some(None));
        let mut config: Box<Config> = Box::new(without.parse().map_err(|_| InvalidDatabaseUrl::Syntax)?);
        config.target_session_attrs(target.for_driver());
        if config.get_ssl_mode() == SslMode::Require {
            return Err(InvalidDatabaseUrl::Tls);
        }
        config.get_user().filter(|user| !user.is_empty()).ok_or(InvalidDatabaseUrl::NoUser)?;
        config.get_dbname().filter(|database| !database.is_empty()).ok_or(InvalidDatabaseUrl::NoDatabase)?;
        Ok(Self { url, config, target })
    }

    /// The role that the URL connects as.
    #[must_use]
    pub fn user(&self) -> &str {
        self.config.get_user().unwrap_or_default()
    }

    /// The database that the URL names.
    #[must_use]
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }

    /// Whether the URL holds a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    pub(crate) fn password(&self) -> Option<&[u8]> {
        self.config.get_password()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn target(&self) -> TargetSession {
        self.target
    }

    /// The URL for libpq, where its role is the reader.
    pub(crate) fn of_reader(&self) -> Self {
        let mut of_reader = self.clone();
        if let Some(value) = self.target.for_reader() {
            let replaced = |name: &str, _: &str| Some((name == target::NAME).then(|| value.to_owned()));
            of_reader.url = with_parameters(self.url.expose_secret(), replaced).into();
        }
        of_reader
    }

    /// The URL with these options beside its own.
    pub(crate) fn with_options(&self, options: &str) -> Self {
        let own = self.config.get_options().unwrap_or_default();
        let options = format!("{own} {options}");
        let mut url = with_parameters(self.url.expose_secret(), |name, _| (name != "options").then_some(None));
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("options=");
        for byte in options.trim().bytes() {
            if byte.is_ascii_alphanumeric() {
                url.push(char::from(byte));
            } else {
                // Nothing can fail that is written to a text.
                let _ = write!(url, "%{byte:02X}");
            }
        }
        let mut config = self.config.clone();
        config.options(options.trim());
        Self { url: url.into(), config, target: self.target }
    }

    /// The URL as libpq takes it, with bounds for a server that is unreachable or has gone silent. What the URL itself
    /// says counts: of two values libpq takes the last one.
    pub(crate) fn libpq_url(&self) -> SecretString {
        let text = self.url.expose_secret();
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let separator = if query.is_empty() { "" } else { "&" };
        format!("{address}?{LIBPQ_BOUNDS}{separator}{query}").into()
    }

    /// The URL of another database of the same server, for the same role.
    pub(crate) fn with_database(&self, database: &str) -> Self {
        let text = self.url.expose_secret();
        let query = text.find('?').unwrap_or(text.len());
        let authority = text.find("://").map_or(0, |scheme| scheme + 3);
        let path = text[authority..query].find('/').map_or(query, |slash| authority + slash);
        let url = format!("{}/{database}{}", &text[..path], &text[query..]);
        let mut config = self.config.clone();
        config.dbname(database);
        Self { url: url.into(), config, target: self.target }
    }
}

/// The parameters behind the `?`, as they stand there.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let (_, parameters) = url.split_once('?').unwrap_or_default();
    parameters.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The URL with those of its parameters that are kept, with another value where there is one.
fn with_parameters(url: &str, keep: impl Fn(&str, &str) -> Option<Option<String>>) -> String {
    let kept = parameters(url).filter_map(|(name, value)| {
        let value = keep(name, value)?.unwrap_or_else(|| value.to_owned());
        Some(format!("{name}={value}"))
    });
    let kept: Vec<_> = kept.collect();
    let (address, _) = url.split_once('?').unwrap_or((url, ""));
    if kept.is_empty() { address.to_owned() } else { format!("{address}?{}", kept.join("&")) }
}

/// Whether the URL can be taken apart in one way only. Otherwise a piece of the password could pass for the host, the port or
/// the database, which messages show.
fn is_well_encoded(text: &str) -> bool {
    let (_, rest) = text.split_once("://").unwrap_or_default();
    let address = rest.split('?').next().unwrap_or_default();
    let authority = address.split('/').next().unwrap_or_default();
    let has_one_at =
        address.matches('@').count() == authority.matches('@').count() && authority.matches('@').count() <= 1;
    let mut escapes = text.split('%').skip(1);
    has_one_at && escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for DatabaseUrl {
    /// Role, host and database.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(_)) => "a local socket".to_owned(),
            None => "localhost".to_owned(),
        };
        write!(formatter, "`{}` on {host} as `{}`", self.database(), self.user())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        DatabaseUrl::parse(text.to_owned())
    }

    #[test]
    fn shows_everything_but_the_password() {
        let url = parse("postgres://ann:s3cret@db.example:5433/metricd?connect_timeout=3").unwrap();
        assert_eq!((url.user(), url.database()), ("ann", "metricd"));
        assert_eq!(format!("{url} {url:?}").matches("s3cret").count(), 0);
        assert_eq!(url.to_string(), "`metricd` on db.example as `ann`");
    }

    #[test]
    fn refuses_what_does_not_name_a_database() {
        assert_eq!(parse("s3cret").unwrap_err(), InvalidDatabaseUrl::Syntax);
        assert_eq!(parse("postgres://ann:s3cret@db.example:port/metricd").unwrap_err(), InvalidDatabaseUrl::Syntax);
        assert_eq!(parse("postgres://db.example/metricd").unwrap_err(), InvalidDatabaseUrl::NoUser);
        assert_eq!(parse("postgres://ann@db.example").unwrap_err(), InvalidDatabaseUrl::NoDatabase);
        assert_eq!(parse("postgres://ann@db.example/m?sslmode=verify-full").unwrap_err(), InvalidDatabaseUrl::Tls);
        assert_eq!(parse("postgres://ann@db.example/m?sslmode=require").unwrap_err(), InvalidDatabaseUrl::Tls);
    }

    #[test]
    fn refuses_a_url_whose_password_could_pass_for_another_part() {
        for url in [
            "postgres://ann:Hunter2%zz@127.0.0.1:5432/m",
            "postgres://ann:p@ssHunter2@127.0.0.1:5432/m",
            "postgres://ann:Hunter2/x@127.0.0.1:5432/m",
            "postgres://ann:Hunter2%4@127.0.0.1/m",
            "postgres://ann:Hunter2%",
        ] {
            assert_eq!(parse(url).unwrap_err(), InvalidDatabaseUrl::Encoding, "{url}");
        }
        let encoded = parse("postgres://ann:p%40ss%2F%25@127.0.0.1/m").unwrap();
        assert_eq!(encoded.password(), Some(b"p@ss/%".as_slice()));
        assert!(!encoded.to_string().contains("ss"));
    }

    #[test]
    fn libpq_waits_no_longer_than_it_is_told_unless_the_url_says_so() {
        let text = |url: &str| parse(url).unwrap().libpq_url().expose_secret().to_owned();
        let plain = text("postgres://ann@h/m");
        assert!(
            plain.starts_with("postgres://ann@h/m?application_name=metricd%20catalog&connect_timeout=3&")
                && !plain.ends_with('&'),
            "{plain}"
        );
        let own = text("postgres://ann@h/m?connect_timeout=9");
        assert!(own.ends_with("&tcp_user_timeout=15000&connect_timeout=9"), "{own}");
    }

    #[test]
    fn knows_every_kind_of_server_that_libpq_knows() {
        let of = |word: &str| parse(&format!("postgres://ann@a,b/m?target_session_attrs={word}&port=5"));
        for (word, in_order, for_reader) in [
            ("any", [None].as_slice(), "any"),
            ("read-write", &[Some(false)], "primary"),
            ("primary", &[Some(false)], "primary"),
            ("read-only", &[Some(true)], "standby"),
            ("standby", &[Some(true)], "standby"),
            ("prefer-standby", &[Some(true), None], "prefer-standby"),
        ] {
            let url = of(word).unwrap();
            assert_eq!(url.target().in_order(), in_order, "{word}");
            assert_eq!(url.url.expose_secret(), &format!("postgres://ann@a,b/m?target_session_attrs={word}&port=5"));
            let expected = format!("postgres://ann@a,b/m?target_session_attrs={for_reader}&port=5");
            assert_eq!(url.of_reader().url.expose_secret(), &expected);
        }
        assert_eq!(of("master").unwrap_err(), InvalidDatabaseUrl::TargetSession);
        assert_eq!(parse("postgres://ann@a/m").unwrap().target(), TargetSession::Any);
    }

    #[test]
    fn options_are_added_to_those_of_the_url() {
        let with = |url: &str| parse(url).unwrap().with_options("-c a.b=1").url.expose_secret().to_owned();
        assert_eq!(with("postgres://ann@a/m"), "postgres://ann@a/m?options=%2Dc%20a%2Eb%3D1");
        assert_eq!(
            with("postgres://ann@a/m?options=endpoint%3Dx&port=5"),
            "postgres://ann@a/m?port=5&options=endpoint%3Dx%20%2Dc%20a%2Eb%3D1"
        );
    }

    #[test]
    fn another_database_keeps_everything_else() {
        let text = |url: &str| parse(url).unwrap().with_database("other").url.expose_secret().to_owned();
        assert_eq!(
            text("postgres://ann:pw@h:1/m?host=%2Frun&port=5"),
            "postgres://ann:pw@h:1/other?host=%2Frun&port=5"
        );
        assert_eq!(text("postgres://ann@/m?host=%2Frun"), "postgres://ann@/other?host=%2Frun");
    }
}
