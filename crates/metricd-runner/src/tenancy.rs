//! How PostgreSQL is told on whose behalf a statement runs, so that the statement cannot say otherwise.
//!
//! The tenant is a setting of the one transaction, which the policies read by `tenancy.current_tenant()`. A statement that
//! gets past the guard may change settings where the database is not hardened; so the setting carries a code over the tenant
//! and the session's process, made with a key that the reader cannot read. It is sent as a value, which other sessions of the
//! reader do not see as they see the text of what runs.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use metricd_domain::Tenant;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::session::PreludeStatement;

/// The statement that names a tenant.
pub(crate) const SET_TENANT_SQL: &str = "SELECT tenancy.enter($1)";

/// The statement that tells which process runs the transaction; its value is of no meaning.
pub(crate) const BACKEND_PID_SQL: &str = "SELECT pg_catalog.pg_backend_pid()::text WHERE $1::text IS NOT NULL";

/// The database's key, by which it knows that it was the server that has named a tenant.
#[derive(Clone)]
pub struct TenantKey(Arc<SecretSlice<u8>>);

impl fmt::Debug for TenantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TenantKey")
    }
}

impl From<SecretSlice<u8>> for TenantKey {
    fn from(key: SecretSlice<u8>) -> Self {
        Self(Arc::new(key))
    }
}

/// On whose behalf a statement runs, and the key to say so with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenancy<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) key: &'a TenantKey,
}

/// Forgets the plans of prepared statements. One that is kept has everything worked out that is immutable, or is said to be, for
/// the tenant that came first.
const DISCARD_PLANS_SQL: &str = "DISCARD PLANS";

/// What is asked ahead of statements, in their transaction.
#[derive(Debug, Default)]
pub(crate) struct TransactionPrelude {
    /// What begins the transaction.
    pub(crate) begin: Option<&'static str>,
    /// What has it see somebody else's snapshot.
    pub(crate) snapshot: Option<String>,
    /// What is set in it, if nothing is left to the session.
    pub(crate) settings: Option<Arc<[String]>>,
    /// Whether the plans are those of somebody else.
    pub(crate) discards_plans: bool,
    /// The statement that names a tenant, and what it is given.
    pub(crate) tenant: Option<(TenantStatement, String)>,
}

/// How [`ENTER`] is sent.
#[derive(Debug)]
pub(crate) enum TenantStatement {
    /// By the name under which it is prepared.
    Prepared(String),
    Unprepared,
}

impl Tenancy<'_> {
    /// What names the tenant in the session that is with this process.
    pub(crate) fn signed(self, pid: &str) -> String {
        let Self { tenant, key } = self;
        // A key of any length will do.
        let Ok(mut code) = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()) else {
            unreachable!("HMAC takes keys of any length")
        };
        code.update(format!("{pid}:{tenant}").as_bytes());
        let mut signed = String::with_capacity(64 + tenant.as_str().len());
        for byte in code.finalize().into_bytes() {
            // Nothing can fail that is written to a text.
            let _ = write!(signed, "{byte:02x}");
        }
        signed.push_str(tenant.as_str());
        signed
    }
}

impl TransactionPrelude {
    /// The statements that are asked ahead.
    pub(crate) fn statements(&self) -> impl Iterator<Item = PreludeStatement<'_>> {
        let begin = self.begin.into_iter().chain(self.snapshot.as_deref());
        let settings = self.settings.iter().flat_map(|settings| settings.iter().map(String::as_str));
        let forget = self.discards_plans.then_some(DISCARD_PLANS_SQL);
        let tenant = self.tenant.as_ref().map(|(statement, signed)| match statement {
            TenantStatement::Prepared(name) => PreludeStatement::Prepared(name, signed),
            TenantStatement::Unprepared => PreludeStatement::Unnamed(SET_TENANT_SQL, signed),
        });
        begin.chain(settings).chain(forget).map(PreludeStatement::Sql).chain(tenant)
    }
}
