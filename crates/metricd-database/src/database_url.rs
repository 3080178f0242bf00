//! The address of a database. Its password is never shown.

mod address;
mod endpoints;
mod parameters;

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use self::address::{Address, has_port, without_port};
pub(crate) use self::address::{given_parameters, with_parameter, without_parameter};
pub(crate) use self::parameters::is_parameter;
use self::parameters::{Parameters, decoded, encoded_parameters, known_parameters, with_parameters};
use crate::defaults::{ConnectionDefaults, InvalidDefaults};
use crate::target::{self, TargetSession};
use crate::tls::{self, InvalidTls, TlsSettings};

/// The default parameters of each connection, with libpq's names: timeouts in seconds for connecting and for a silent
/// network, `tcp_user_timeout` in milliseconds. They do not detect a server whose process hangs, since its TCP stack
/// still acknowledges: each call has its own deadline.
const LIBPQ_DEFAULTS: &str = "application_name=metricd%20catalog&connect_timeout=3&keepalives=1&keepalives_idle=10&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=15000";

/// The parameters that only libpq interprets correctly: tokio-postgres knows fewer values of `target_session_attrs`,
/// has another name for the number of keepalives, and reads the timeout as seconds.
const LIBPQ_ONLY: [&str; 3] = [target::NAME, "keepalives_count", "tcp_user_timeout"];

/// The address of a database: `postgres://user:password@host:port/database`.
///
/// Neither `Debug` nor `Display` shows the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: SecretString,
    user: String,
    database: String,
    password: Option<SecretString>,
    has_own_password: bool,
    host: String,
    options: String,
    target: TargetSession,
    tls: Box<TlsSettings>,
}

/// Why a text is not a [`DatabaseUrl`]. The text is never shown, since it may contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDatabaseUrl {
    /// The text is not a URL for PostgreSQL.
    #[error("expected `postgres://user:password@host:port/database`")]
    Syntax,
    /// The port is not a number.
    #[error("expected a port from 0 to 65535 after the host, as in `postgres://user:password@host:5432/database`")]
    Port,
    /// A part of the URL, such as the password, has a character that must be percent-encoded.
    #[error("a special character in the URL is not percent-encoded: write `@` as %40, `/` as %2F, `%` as %25")]
    Encoding,
    /// The URL names no user.
    #[error("the URL names no user: expected `postgres://user:password@host:port/database`")]
    NoUser,
    /// The URL names no database.
    #[error("the URL names no database: expected `postgres://user:password@host:port/database`")]
    NoDatabase,
    /// The URL has an unknown parameter.
    #[error("the URL has a parameter that is not known: expected one of {}", known_parameters())]
    Parameter,
    /// A parameter of the URL has an invalid value.
    #[error("the URL's parameter `{0}` has a value that it cannot have: expected {1}")]
    Value(&'static str, &'static str),
    /// The URL's parameters about TLS cannot be used together, or at all.
    #[error(transparent)]
    Tls(#[from] InvalidTls),
    /// What the URL leaves out cannot be completed.
    #[error(transparent)]
    Defaults(#[from] InvalidDefaults),
}

impl DatabaseUrl {
    /// Parses a URL that libpq and tokio-postgres interpret alike.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`].
    pub fn parse(text: impl Into<SecretString>) -> Result<Self, InvalidDatabaseUrl> {
        let url = text.into();
        let text = url.expose_secret();
        let Address { user, password, hosts, path } = Address::of(text)?;
        if hosts.split(',').any(|host| !has_port(host)) {
            return Err(InvalidDatabaseUrl::Port);
        }
        let parameters = Parameters::parse(text)?;
        let decoded = |text: &str| decoded(text).ok_or(InvalidDatabaseUrl::Encoding);
        // If a parameter has two values, both drivers take the last.
        let user = parameters.last("user").map_or_else(|| decoded(user), |user| Ok(user.to_owned()))?;
        let database = parameters.last("dbname").map_or_else(|| decoded(path), |name| Ok(name.to_owned()))?;
        let password = match parameters.last("password") {
            Some(password) => Some(password.to_owned()),
            None => password.map(decoded).transpose()?,
        };
        let host = match hosts.split(',').next().map(without_port).filter(|host| !host.is_empty()) {
            Some(host) => decoded(host)?,
            None => parameters.first("host").or_else(|| parameters.first("hostaddr")).unwrap_or("localhost").to_owned(),
        };
        Ok(Self {
            user: Some(user).filter(|user| !user.is_empty()).ok_or(InvalidDatabaseUrl::NoUser)?,
            database: Some(database).filter(|database| !database.is_empty()).ok_or(InvalidDatabaseUrl::NoDatabase)?,
            has_own_password: password.is_some(),
            password: password.map(SecretString::from),
            host,
            options: parameters.last("options").unwrap_or_default().to_owned(),
            target: parameters.target(),
            tls: Box::new(TlsSettings::parse(|name| parameters.last(name))?),
            url,
        })
    }

    /// Parses a URL that leaves out what libpq would take from these defaults.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`].
    pub fn parse_with(url: &SecretString, defaults: &ConnectionDefaults) -> Result<Self, InvalidDatabaseUrl> {
        let has_own_password = given_parameters(url.expose_secret())?.iter().any(|(name, _)| name == "password");
        Ok(Self { has_own_password, ..Self::parse(defaults.complete(url)?)? })
    }

    /// The role.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether the text of the URL has a password, as opposed to what has completed it.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_own_password
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// Which server to connect to, if the URL has several.
    #[must_use]
    pub fn target(&self) -> TargetSession {
        self.target
    }

    /// What the URL asks of TLS.
    #[must_use]
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// The URL with this folder for the files about TLS that it does not name: see [`TlsSettings::default_folder`].
    #[must_use]
    pub fn with_default_tls_folder(mut self, folder: PathBuf) -> Self {
        self.tls.default_folder = Some(folder);
        self
    }

    /// The URL for tokio-postgres: without the parameters that only libpq interprets correctly, which are
    /// [`Self::target`] and some [bounds](Self::bound), and without those of [`Self::tls`].
    #[must_use]
    pub fn driver_url(&self) -> SecretString {
        let is_left_out = |name: &str| LIBPQ_ONLY.contains(&name) || tls::PARAMETERS.contains(&name);
        with_parameters(self.url.expose_secret(), |name, _| (!is_left_out(name)).then_some(None)).into()
    }

    /// One of the timeouts and counts that end a connection to an unreachable or silent server, by libpq's name and in
    /// its unit: that of the URL, or metricd's default. `None` is the default of the system, for which the URL has 0.
    #[must_use]
    pub fn bound(&self, name: &str) -> Option<u32> {
        let url = self.libpq_url();
        let value = encoded_parameters(url.expose_secret()).filter(|(known, _)| *known == name).last()?.1;
        decoded(value)?.parse().ok().filter(|value| *value > 0)
    }

    /// The URL for libpq, if its role is the reader.
    #[must_use]
    pub fn of_reader(&self) -> Self {
        let mut of_reader = self.clone();
        if let Some(value) = self.target.for_reader() {
            let replaced = |name: &str, _: &str| Some((name == target::NAME).then(|| value.to_owned()));
            of_reader.url = with_parameters(self.url.expose_secret(), replaced).into();
        }
        of_reader
    }

    /// The URL with these options in addition to its own.
    #[must_use]
    pub fn with_options(&self, options: &str) -> Self {
        let options = format!("{} {options}", self.options).trim().to_owned();
        let url = without_parameter(self.url.expose_secret(), "options");
        let url = with_parameter(&url, "options", &options);
        Self { url: url.into(), options, ..self.clone() }
    }

    /// The URL for libpq without TLS, with timeouts for a server that is unreachable or silent. Parameters of the URL
    /// have precedence: libpq takes the last value.
    #[must_use]
    pub fn libpq_url(&self) -> SecretString {
        let text =
            with_parameters(self.url.expose_secret(), |name, _| (!tls::PARAMETERS.contains(&name)).then_some(None));
        let (address, query) = text.split_once('?').unwrap_or((&text, ""));
        let separator = if query.is_empty() { "" } else { "&" };
        format!("{address}?{LIBPQ_DEFAULTS}&sslmode=disable{separator}{query}").into()
    }

    /// The same, with this timeout in seconds for connecting to each address, whatever the URL has.
    #[must_use]
    pub fn libpq_url_with_timeout(&self, seconds: u32) -> SecretString {
        format!("{}&connect_timeout={seconds}", self.libpq_url().expose_secret()).into()
    }

    /// The URL of another database of the same server, for the same role.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        let text = without_parameter(self.url.expose_secret(), "dbname");
        let query = text.find('?').unwrap_or(text.len());
        let authority = text.find("://").map_or(0, |scheme| scheme + 3);
        let path = text[authority..query].find('/').map_or(query, |slash| authority + slash);
        let url = format!("{}/{database}{}", &text[..path], &text[query..]);
        Self { url: url.into(), database: database.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for DatabaseUrl {
    /// Role, host and database.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.starts_with('/') { "a local socket" } else { &self.host };
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
        for port in ["port", "99999", "-1"] {
            let url = format!("postgres://ann:s3cret@db.example:{port}/metricd");
            assert_eq!(parse(&url).unwrap_err(), InvalidDatabaseUrl::Port, "{port}");
        }
        assert_eq!(parse("postgres://db.example/metricd").unwrap_err(), InvalidDatabaseUrl::NoUser);
        assert_eq!(parse("postgres://ann@db.example").unwrap_err(), InvalidDatabaseUrl::NoDatabase);
    }

    #[test]
    fn neither_driver_sees_what_the_url_asks_of_tls() {
        let url = parse(
            "postgres://ann@db/m?sslmode=verify-full&sslrootcert=%2Fca%20x.crt&sslcert=c&sslkey=k&sslcrl=r&sslsni=0\
             &sslnegotiation=direct&channel_binding=require&gssencmode=disable",
        );
        let url = url.unwrap().with_default_tls_folder("/home/ann/.postgresql".into());
        assert_eq!(url.driver_url().expose_secret(), "postgres://ann@db/m?channel_binding=require");
        assert!(url.libpq_url().expose_secret().ends_with("&sslmode=disable&channel_binding=require"));
        assert_eq!(url.tls().roots, Some(crate::TlsRoots::File("/ca x.crt".into())));
        assert!(url.tls().is_direct && url.tls().hides_host);
        let with_options = url.with_options("-c a=b").with_database("n").of_reader();
        assert_eq!(with_options.tls(), url.tls());
        let weak = parse("postgres://ann@db/m?sslmode=require&sslrootcert=system").unwrap_err();
        assert_eq!(weak, InvalidDatabaseUrl::Tls(InvalidTls::WeakForSystemRoots(crate::TlsMode::Require)));
        let sentence = parse("postgres://ann@db/m?sslmode=yes").unwrap_err().to_string();
        assert!(sentence.ends_with("expected `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`"));
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
        assert_eq!(encoded.password().map(ExposeSecret::expose_secret), Some("p@ss/%"));
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
        assert!(own.ends_with("&tcp_user_timeout=15000&sslmode=disable&connect_timeout=9"), "{own}");
    }

    #[test]
    fn the_bounds_of_the_url_win() {
        let url = parse("postgres://ann@h/m?keepalives_count=2&keepalives_idle=0&tcp_user_timeout=2500").unwrap();
        let bounds = ["keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"];
        assert_eq!(bounds.map(|name| url.bound(name)), [None, Some(5), Some(2), Some(2_500)]);
        assert_eq!(url.driver_url().expose_secret(), "postgres://ann@h/m?keepalives_idle=0");
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
            assert_eq!(url.driver_url().expose_secret(), "postgres://ann@a,b/m?port=5");
            assert_eq!(url.url.expose_secret(), &format!("postgres://ann@a,b/m?target_session_attrs={word}&port=5"));
            let expected = format!("postgres://ann@a,b/m?target_session_attrs={for_reader}&port=5");
            assert_eq!(url.of_reader().url.expose_secret(), &expected);
        }
        assert_eq!(of("master").unwrap_err(), InvalidDatabaseUrl::Value(target::NAME, target::EXPECTED));
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
