//! Options for tokens: the keys that verify them, and the rules that they must meet.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use metricd_access::{Algorithm, Scope};
use metricd_domain::{MetricPattern, Tenant};

use super::values::{boolean, duration};

/// How the server verifies tokens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub(crate) struct AccessArguments {
    /// A file with the secret of HS256: at least 32 random bytes, such as `openssl rand -base64 48` prints. Or set
    /// `METRICD_JWT_SECRET` to the secret itself.
    #[arg(long, env = "METRICD_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,

    /// The public keys that verify tokens: a PEM or JWKS file with RSA (RS256, PS256), P-256 (ES256) or Ed25519 (`EdDSA`)
    /// keys, or the URL of a JWKS. A URL is fetched every 15 minutes, and if a token names an unknown key, at most once a
    /// minute.
    #[arg(long, env = "METRICD_JWT_KEYS", value_name = "FILE|URL")]
    pub(crate) jwt_keys: Option<String>,

    /// An accepted algorithm: HS256, RS256, PS256, ES256 or `EdDSA`; by default, each that has a key. May be repeated, or
    /// separated by commas.
    #[arg(
        long = "jwt-algorithm",
        env = "METRICD_JWT_ALGORITHMS",
        value_name = "NAME",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) jwt_algorithms: Vec<Algorithm>,

    /// An accepted issuer: a token's `iss` must be one of these. May be repeated, or separated by commas.
    #[arg(long = "jwt-issuer", env = "METRICD_JWT_ISSUERS", value_name = "ISSUER", value_delimiter = ',')]
    pub(crate) jwt_issuers: Vec<String>,

    /// An accepted audience: a token's `aud` must name one of these. May be repeated, or separated by commas.
    #[arg(long = "jwt-audience", env = "METRICD_JWT_AUDIENCES", value_name = "AUDIENCE", value_delimiter = ',')]
    pub(crate) jwt_audiences: Vec<String>,

    /// The claim that names the tenant that SQL runs for, such as `tenant`. Row-level security decides by
    /// `tenancy.current_tenant()` which rows the tenant sees. The server does not start if a relation that the reader may
    /// read does not isolate tenants. A token without the claim gets no rows.
    #[arg(long, env = "METRICD_TENANT_CLAIM", value_name = "CLAIM", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tenant_claim: Option<String>,

    /// A relation that does not have to isolate tenants, because every tenant may see its rows or because you are
    /// responsible for its policies: `name` if stored SQL finds it without a schema, `schema.name` otherwise, and
    /// `schema.function()` for a SECURITY DEFINER function. May be repeated, or separated by commas.
    #[arg(long = "shared-table", env = "METRICD_SHARED_TABLES", value_name = "NAME", value_delimiter = ',')]
    pub(crate) shared_tables: Vec<String>,

    /// Serve without tokens: anyone who reaches the address may read, write and ingest. Without a key, the server starts
    /// only with this flag, or with the private PostgreSQL on loopback. Requests must name a loopback host, the address of
    /// --listen or one of --allowed-host; others get 421.
    #[arg(long, env = "METRICD_INSECURE_ALLOW_ANONYMOUS", value_parser = boolean)]
    pub(crate) insecure_allow_anonymous: bool,
}

/// The token to issue.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArguments {
    /// What the token allows: `metrics:read`, `metrics:write` or `metrics:ingest`; none includes another. May be repeated,
    /// or separated by commas.
    #[arg(long = "scope", required = true, value_name = "SCOPE", value_delimiter = ',')]
    pub(crate) scopes: Vec<Scope>,

    /// The token's lifetime: `15m`, `1h`, `30d`. It cannot be revoked earlier.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) ttl: Duration,

    /// The token's subject, which history records.
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: String,

    /// A metric that the token may read: an id, or a pattern in which `*` matches any characters; by default all. May be
    /// repeated, or separated by commas.
    #[arg(long = "metric", value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) metrics: Vec<MetricPattern>,

    /// The token's tenant, if the server requires one.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Tenant::parse(text), requires = "tenant_claim")]
    pub(crate) tenant: Option<Tenant>,

    /// The claim that names the tenant, as for the server.
    #[arg(long, env = "METRICD_TENANT_CLAIM", value_name = "CLAIM", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) tenant_claim: Option<String>,

    /// The token's issuer (`iss`), if the server requires one.
    #[arg(long, value_name = "ISSUER")]
    pub(crate) issuer: Option<String>,

    /// The token's audience (`aud`), if the server requires one.
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Option<String>,

    /// A file with the server's secret. Or set `METRICD_JWT_SECRET` to the secret itself.
    #[arg(long, env = "METRICD_JWT_SECRET_FILE", value_name = "FILE")]
    pub(crate) jwt_secret_file: Option<PathBuf>,
}
