//! Decides whether the server requires tokens, and which keys verify them.

mod issuer;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use metricd_access::{Access, Keys, Rules, Secret, Verifier};
use tokio::sync::Notify;

use self::issuer::Issuer;
use crate::arguments::{AccessArguments, usage_error};

/// The environment variable that holds the secret itself. It has no flag: every user of the machine can see flags.
pub(crate) const SECRET: &str = "METRICD_JWT_SECRET";

/// The facts that decide whether the server may run without tokens: it may only with a private database, and only on loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exposure {
    /// Whether the database is the operator's own, not a private one.
    pub(crate) is_external_database: bool,
    /// The address that the server listens on.
    pub(crate) address: SocketAddr,
}

/// Returns whether callers need tokens, and the verifier for them. Fails without a key, unless the operator or the exposure
/// allows access without tokens.
pub(crate) fn access(arguments: &AccessArguments, exposure: Exposure) -> Result<Access> {
    let secret = find_secret(arguments.jwt_secret_file.as_deref())?;
    if !arguments.shared_tables.is_empty() && arguments.tenant_claim.is_none() {
        return Err(usage_error("--shared-table requires --tenant-claim"));
    }
    let has_key = secret.is_some() || arguments.jwt_keys.is_some();
    let has_rules = !arguments.jwt_algorithms.is_empty()
        || !arguments.jwt_issuers.is_empty()
        || !arguments.jwt_audiences.is_empty()
        || arguments.tenant_claim.is_some();
    match (has_key, arguments.insecure_allow_anonymous) {
        (true, true) => Err(usage_error(
            "--insecure-allow-anonymous serves without tokens, but a key to verify tokens is given: give one of the two",
        )),
        (true, false) => verifier(arguments, secret.as_ref()).map(Access::Tokens),
        (false, _) if has_rules => Err(usage_error(format!(
            "--jwt-algorithm, --jwt-issuer, --jwt-audience and --tenant-claim are rules for tokens, and there is no key to verify \
             them: set {SECRET}, or give --jwt-secret-file or --jwt-keys"
        ))),
        (false, true) => {
            log::warn!(
                "anyone who reaches {} may read, write and ingest without a token (--insecure-allow-anonymous)",
                exposure.address
            );
            Ok(Access::Anonymous)
        }
        (false, false) => {
            let Exposure { is_external_database, address } = exposure;
            let what = if is_external_database { "your own database".to_owned() } else { format!("on {address}") };
            ensure!(
                !is_external_database && address.ip().is_loopback(),
                "serving {what} requires a key that verifies tokens: set {SECRET} to at least 32 random bytes, or give \
                 --jwt-secret-file or --jwt-keys; or serve without tokens with --insecure-allow-anonymous"
            );
            Ok(Access::Anonymous)
        }
    }
}

/// Reads the secret from the environment or a file.
pub(crate) fn find_secret(file: Option<&Path>) -> Result<Option<Secret>> {
    match (env::var_os(SECRET), file) {
        (Some(_), Some(file)) => {
            let file = file.display();
            let message = format!("{SECRET} is set, and the file {file} is given for the secret: give one of the two");
            Err(usage_error(message))
        }
        (Some(text), None) => {
            let text = text.into_string().map_err(|_| usage_error(format!("{SECRET} is not UTF-8")))?;
            let secret = Secret::parse(text);
            secret.map(Some).map_err(|error| usage_error(format!("{SECRET} has no secret: {error}")))
        }
        (None, Some(file)) => {
            warn_if_world_readable(file);
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            Secret::parse(text).map(Some).with_context(|| format!("{} has no secret", file.display()))
        }
        (None, None) => Ok(None),
    }
}

/// Warns if every user of the machine may read the secret, and can therefore sign tokens.
fn warn_if_world_readable(file: &Path) {
    let mode = fs::metadata(file).map(|found| found.permissions().mode()).unwrap_or_default();
    if mode & 0o004 != 0 {
        let file = file.display();
        log::warn!(
            "every user of this machine may read the secret in {file} and sign tokens with it: `chmod 600 {file}`"
        );
    }
}

/// Returns the verifier. If the keys are at a URL, starts to fetch them in the background.
fn verifier(arguments: &AccessArguments, secret: Option<&Secret>) -> Result<Arc<Verifier>> {
    let AccessArguments { jwt_keys, jwt_algorithms, jwt_issuers, jwt_audiences, tenant_claim, .. } = arguments.clone();
    let rules = Rules {
        algorithms: jwt_algorithms,
        issuers: jwt_issuers,
        audiences: jwt_audiences,
        tenant_claim,
        ..Rules::default()
    };
    let mut keys = Keys::default();
    if let Some(secret) = secret {
        keys = keys.with_secret(secret);
    }
    match jwt_keys {
        Some(url) if url.contains("://") => verifier_with_issuer(&url, keys, rules),
        Some(file) => {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
            let public = Keys::parse(&text).with_context(|| format!("{file} has no public keys"))?;
            verifier_with_keys(public.merged_with(keys), rules)
        }
        None => verifier_with_keys(keys, rules),
    }
}

fn verifier_with_keys(keys: Keys, rules: Rules) -> Result<Arc<Verifier>> {
    let verifier = Verifier::new(keys, rules)?;
    let names: Vec<_> = verifier.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    log::info!("tokens are required, signed by {}", names.join(", "));
    Ok(Arc::new(verifier))
}

fn verifier_with_issuer(url: &str, local_keys: Keys, rules: Rules) -> Result<Arc<Verifier>> {
    let issuer = Issuer::new(url, local_keys.clone())?;
    let unknown_key = Arc::new(Notify::new());
    // `notify_waiters` stores no permit: a notification during a fetch is dropped, because that fetch answers it.
    let notify = Arc::clone(&unknown_key);
    let verifier = Verifier::without_keys(rules).on_unknown_key(move || notify.notify_waiters());
    // Fails without a local key. Then every token is refused until the first fetch succeeds.
    let _ = verifier.replace_keys(local_keys);
    let verifier = Arc::new(verifier);
    actix_web::rt::spawn(issuer.keep_up_to_date(Arc::clone(&verifier), unknown_key));
    log::info!("tokens are required, signed by a key of the issuer");
    Ok(verifier)
}
