//! Sets the tenant of a transaction so that the statement itself cannot change it.
//!
//! The tenant is a setting of the transaction, which policies read through `tenancy.current_tenant()`. In an
//! unhardened database a statement that passes the guard may change settings. So the setting carries an HMAC over the
//! tenant and the backend's process id, with a key that the reader cannot read. It is sent as a parameter: other
//! sessions of the reader see the text of running statements, but not their parameters.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use metricd_domain::Tenant;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::session::PreludeStatement;

/// Sets the tenant.
pub(crate) const SET_TENANT_SQL: &str = "SELECT tenancy.enter($1)";

/// Reads the process id of the backend that runs the transaction. The value of `$1` does not matter.
pub(crate) const BACKEND_PID_SQL: &str = "SELECT pg_catalog.pg_backend_pid()::text WHERE $1::text IS NOT NULL";

/// The key that proves to the database that the server has set the tenant.
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

/// The tenant of a statement, and the key that signs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenancy<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) key: &'a TenantKey,
}

/// Discards cached plans; PostgreSQL resolves and plans each prepared statement again when it next runs. A cached plan
/// contains constants folded from immutable functions, or functions declared immutable, for the tenant that came first.
/// And its names mean what they meant when it was made.
pub(crate) const DISCARD_PLANS_SQL: &str = "DISCARD PLANS";

/// The statements that precede those of a run, in their transaction.
#[derive(Debug, Default)]
pub(crate) struct TransactionPrelude {
    /// Begins the transaction.
    pub(crate) begin: Option<&'static str>,
    /// Imports an exported snapshot.
    pub(crate) snapshot: Option<String>,
    /// The settings of the transaction, behind a pooler.
    pub(crate) settings: Option<Arc<[String]>>,
    /// Whether the cached plans may be those of another tenant, or too old.
    pub(crate) discards_plans: bool,
    /// The statement that sets the tenant, with its signed value.
    pub(crate) tenant: Option<(TenantStatement, String)>,
}

/// How [`SET_TENANT_SQL`] is sent.
#[derive(Debug)]
pub(crate) enum TenantStatement {
    /// By the name under which it is prepared.
    Prepared(String),
    Unprepared,
}

impl Tenancy<'_> {
    /// The value that sets the tenant in the session of this backend: an HMAC in hex, then the tenant.
    pub(crate) fn signed(self, pid: &str) -> String {
        let Self { tenant, key } = self;
        // HMAC takes keys of any length.
        let Ok(mut code) = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()) else {
            unreachable!("HMAC takes keys of any length")
        };
        code.update(format!("{pid}:{tenant}").as_bytes());
        let mut signed = String::with_capacity(64 + tenant.as_str().len());
        for byte in code.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(signed, "{byte:02x}");
        }
        signed.push_str(tenant.as_str());
        signed
    }
}

impl TransactionPrelude {
    /// The statements, in order.
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
