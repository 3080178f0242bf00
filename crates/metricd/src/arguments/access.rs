//! Who is served: the keys that tokens are verified with, and what tokens are held to.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use metricd_access::{Algorithm, Scope};
use metricd_domain::{MetricPattern, Tenant};

use super::values::{boolean, duration};

/// Whom to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct AccessArguments {
    /// A file with the secret of HS256: at least 32 random bytes, such as `openssl rand -base64 48` prints. Or set
    /// `METRICD_JWT_SECRET` to the secret itself.
    #[arg(long, env = "METRICD_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,

    /// A file with the public keys of those who issue tokens, as PEM or as a JWKS: of RSA for RS256 and PS256, of P-256 for
    /// ES256, of Ed25519 for `EdDSA`. Or the URL of a JWKS, such as an issuer's `/.well-known/jwks.json`, which is fetched
    /// every 15 minutes, and when a token names a key that is not known, then at most once a minute.
    #[arg(long, env = "METRICD_JWT_KEYS", value_name = "FILE|URL")]
    pub(crate) jwt_keys: Option<String>,

    /// An algorithm that is accepted, where it is not each one that there is a key for: HS256, RS256, PS256, ES256 or
    /// `EdDSA`. May be given several times, or with commas.
    #[arg(
        long = "jwt-algorithm",
        env = "METRICD_JWT_ALGORITHMS",
        value_name = "NAME",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) jwt_algorithms: Vec<Algorithm>,

    /// Who may have issued a token: its `iss` has to be one of these. May be given several times, or with commas.
    #[arg(long = "jwt-issuer", env = "METRICD_JWT_ISSUERS", value_name = "ISSUER", value_delimiter = ',')]
    pub(crate) jwt_issuers: Vec<String>,

    /// What tokens are for: their `aud` has to name one of these. May be given several times, or with commas.
    #[arg(long = "jwt-audience", env = "METRICD_JWT_AUDIENCES", value_name = "AUDIENCE", value_delimiter = ',')]
    pub(crate) jwt_audiences: Vec<String>,

    /// The claim that names the tenant on whose behalf SQL runs, such as `tenant`. Row security policies on the tables of
    /// `warehouse` say which rows that tenant sees, by `tenancy.current_tenant()`; the server does not start while a relation
    /// there has none that holds each row to the tenant. A token without the claim gets no rows.
    #[arg(long, env = "METRICD_TENANT_CLAIM", value_name = "CLAIM", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tenant_claim: Option<String>,

    /// A table, view or materialized view of `warehouse` of which every tenant may see every row, or whose policies have another
    /// form than docs/tenants.md says, so that you answer for them. May be given several times, or with commas.
    #[arg(long = "shared-table", env = "METRICD_SHARED_TABLES", value_name = "NAME", value_delimiter = ',')]
    pub(crate) shared_tables: Vec<String>,

    /// Serve anybody who reaches the address, without a token: read, write and ingest. Needed where there is no key, unless
    /// the private PostgreSQL is served on loopback. Requests have to name a loopback host, the address of --listen or one of
    /// --allowed-host; others get 421.
    #[arg(long, env = "METRICD_INSECURE_ALLOW_ANONYMOUS", value_parser = boolean)]
    pub(crate) insecure_allow_anonymous: bool,
}

/// Which token to make.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArguments {
    /// What the token allows: `metrics:read`, `metrics:write` or `metrics:ingest`. May be given several times, or with
    /// commas; none includes another.
    #[arg(long = "scope", required = true, value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) scopes: Vec<Scope>,

    /// How long the token is good: `15m`, `1h`, `30d`. It cannot be taken back before.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,

    /// Who the token is for, as history will name them.
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: String,

    /// A metric that the token may read, by its id or a pattern in which `*` stands for any characters; without one it may
    /// read all of them. May be given several times, or with commas.
    #[arg(long = "metric", value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) metrics: Vec<MetricPattern>,

    /// On whose behalf the token reads, where the server serves tenants.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Tenant::parse(text), requires = "tenant_claim")]
    pub(crate) tenant: Option<Tenant>,

    /// The claim that names the tenant, as for the server.
    #[arg(long, env = "METRICD_TENANT_CLAIM", value_name = "CLAIM", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tenant_claim: Option<String>,

    /// Who issues it, where the server wants an `iss`.
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,

    /// Which service it is for, where the server wants an `aud`.
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,

    /// A file with the server's secret. Or set `METRICD_JWT_SECRET` to the secret itself.
    #[arg(long, env = "METRICD_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,
}
