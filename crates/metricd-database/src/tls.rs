//! What a URL asks of TLS, with libpq's names and values.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The parameters of a URL that concern TLS. No driver interprets them: `metricd-connection` does.
pub(crate) const PARAMETERS: [&str; 9] =
    ["gssencmode", "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "sslsni"];

/// Whether connections have TLS, and what is verified: libpq's `sslmode`, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsMode {
    /// Without TLS.
    Disable,
    /// Without TLS if the server accepts that, otherwise with TLS.
    Allow,
    /// With TLS if the server accepts that, otherwise without TLS.
    Prefer,
    /// With TLS. The server's certificate is verified only if a root certificate is given.
    Require,
    /// With TLS. The server's certificate must be issued by a trusted authority.
    VerifyCa,
    /// With TLS. The certificate must be issued by a trusted authority, for the host of the URL.
    VerifyFull,
}

impl TlsMode {
    /// Whether a connection without TLS is never made.
    #[must_use]
    pub fn requires_tls(self) -> bool {
        self >= Self::Require
    }

    const ALL: [(&'static str, Self); 6] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];
}

impl FromStr for TlsMode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, mode)| *mode).ok_or(())
    }
}

impl fmt::Display for TlsMode {
    /// The value of `sslmode`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, mode)| mode == self).map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

/// The authorities that may issue the server's certificate: libpq's `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TlsRoots {
    /// Those of the operating system: `system`.
    System,
    /// The certificates of a file in PEM format.
    File(PathBuf),
}

/// Whether the login is bound to the server's certificate: libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server offers it.
    #[default]
    Prefer,
    /// Always: a login without it is refused.
    Require,
}

/// What a URL asks of TLS. The default is what a URL without any parameter asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The mode, if the URL has one: see [`Self::mode_for`].
    pub mode: Option<TlsMode>,
    /// The authorities, if the URL has them.
    pub roots: Option<TlsRoots>,
    /// The client's certificate and its chain, in PEM format.
    pub certificate: Option<PathBuf>,
    /// The private key of the client's certificate.
    pub key: Option<PathBuf>,
    /// The certificates that authorities have revoked, in PEM format.
    pub revocations: Option<PathBuf>,
    /// Whether the handshake begins at once, without asking the server first: `sslnegotiation=direct`.
    pub is_direct: bool,
    /// Whether the login is bound to the server's certificate.
    pub channel_binding: ChannelBinding,
    /// Whether the server is not told the host's name: `sslsni=0`.
    pub hides_host: bool,
    /// The folder of the files that are used if the URL names none: `root.crt`, `root.crl`, `postgresql.crt` and
    /// `postgresql.key`. libpq's is `~/.postgresql`.
    pub default_folder: Option<PathBuf>,
}

/// Why parameters about TLS cannot be used together, or at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTls {
    /// Anybody can get a certificate of the system's authorities for a host of theirs.
    #[error(
        "`sslmode={0}` is too weak for `sslrootcert=system`, since anybody can get such a certificate: use `sslmode=verify-full`, or leave `sslmode` out"
    )]
    WeakForSystemRoots(TlsMode),
    /// A server cannot be asked whether it has TLS by a handshake.
    #[error(
        "`sslmode={0}` is too weak for `sslnegotiation=direct`, which never connects without TLS: use `sslmode=verify-full`, or leave `sslnegotiation` out"
    )]
    WeakForDirect(TlsMode),
    /// Keys are read unencrypted.
    #[error(
        "`sslpassword` is not supported: write the key without a password, `openssl pkey -in KEY -out NEW_KEY`, and make the new file readable by its owner only"
    )]
    KeyPassword,
    /// There is no GSSAPI.
    #[error("`gssencmode=require` is not supported: use TLS instead, with `sslmode=verify-full`")]
    Gss,
}

impl TlsSettings {
    /// The mode for a server that is reached over TCP. Without one in the URL it is `verify-full`, except that a server
    /// on the loopback interface is only preferred to have TLS. A URL that names authorities, or a handshake without a
    /// question, means `verify-full` there too.
    #[must_use]
    pub fn mode_for(&self, is_loopback: bool) -> TlsMode {
        let may_do_without = is_loopback && self.roots.is_none() && !self.is_direct;
        self.mode.unwrap_or(if may_do_without { TlsMode::Prefer } else { TlsMode::VerifyFull })
    }

    /// A file of the default folder. It need not exist.
    #[must_use]
    pub fn default_file(&self, name: &str) -> Option<PathBuf> {
        self.default_folder.as_deref().map(|folder: &Path| folder.join(name))
    }

    /// Settings of these decoded parameters, whose values are valid. Of two with the same name the last counts.
    pub(crate) fn parse<'a>(last: impl Fn(&str) -> Option<&'a str>) -> Result<Self, InvalidTls> {
        let path = |name: &str| last(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        if last("sslpassword").is_some_and(|password| !password.is_empty()) {
            return Err(InvalidTls::KeyPassword);
        }
        if last("gssencmode") == Some("require") {
            return Err(InvalidTls::Gss);
        }
        let roots = path("sslrootcert").map(|path| match path.to_str() {
            Some("system") => TlsRoots::System,
            _ => TlsRoots::File(path),
        });
        let settings = Self {
            mode: last("sslmode").and_then(|mode| mode.parse().ok()),
            roots,
            certificate: path("sslcert"),
            key: path("sslkey"),
            revocations: path("sslcrl"),
            is_direct: last("sslnegotiation") == Some("direct"),
            channel_binding: match last("channel_binding") {
                Some("disable") => ChannelBinding::Disable,
                Some("require") => ChannelBinding::Require,
                _ => ChannelBinding::Prefer,
            },
            hides_host: last("sslsni") == Some("0"),
            default_folder: None,
        };
        match settings.mode {
            Some(mode) if settings.roots == Some(TlsRoots::System) && mode != TlsMode::VerifyFull => {
                Err(InvalidTls::WeakForSystemRoots(mode))
            }
            Some(mode) if settings.is_direct && !mode.requires_tls() => Err(InvalidTls::WeakForDirect(mode)),
            _ => Ok(settings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(parameters: &[(&str, &'static str)]) -> Result<TlsSettings, InvalidTls> {
        TlsSettings::parse(|name| parameters.iter().rfind(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise() {
        let modes = |parameters: &[(&str, &'static str)]| {
            let settings = parse(parameters).unwrap();
            [true, false].map(|is_loopback| settings.mode_for(is_loopback))
        };
        assert_eq!(modes(&[]), [TlsMode::Prefer, TlsMode::VerifyFull]);
        assert_eq!(modes(&[("sslcert", "me.crt")]), [TlsMode::Prefer, TlsMode::VerifyFull]);
        for parameter in [("sslrootcert", "ca.crt"), ("sslrootcert", "system"), ("sslnegotiation", "direct")] {
            assert_eq!(modes(&[parameter]), [TlsMode::VerifyFull; 2], "{parameter:?}");
        }
        for (name, mode) in TlsMode::ALL {
            assert_eq!((modes(&[("sslmode", name)]), mode.to_string().as_str()), ([mode; 2], name));
        }
    }

    #[test]
    fn weak_combinations_are_refused_as_libpq_refuses_them() {
        for (name, mode) in TlsMode::ALL {
            let system = parse(&[("sslmode", name), ("sslrootcert", "system")]);
            let direct = parse(&[("sslmode", name), ("sslnegotiation", "direct")]);
            let is_full = mode == TlsMode::VerifyFull;
            assert_eq!(system.err(), (!is_full).then_some(InvalidTls::WeakForSystemRoots(mode)));
            assert_eq!(direct.err(), (mode < TlsMode::Require).then_some(InvalidTls::WeakForDirect(mode)));
        }
        assert_eq!(parse(&[("sslpassword", "x")]).unwrap_err(), InvalidTls::KeyPassword);
        assert_eq!(parse(&[("gssencmode", "require")]).unwrap_err(), InvalidTls::Gss);
        assert!(parse(&[("gssencmode", "prefer"), ("sslpassword", "")]).is_ok());
    }
}
