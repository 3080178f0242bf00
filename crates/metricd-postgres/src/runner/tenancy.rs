//! How PostgreSQL is told on whose behalf a statement runs, so that the statement cannot say otherwise.
//!
//! The tenant is a setting of the one transaction, which the policies read by `tenancy.current_tenant()`. A statement that
//! gets past the guard may change settings where the database is not hardened; so the setting carries a code over the tenant
//! and the session's process, made with a key that the reader cannot read. It is sent as a value, which other sessions of the
//! reader do not see as they see the text of what runs.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use diesel::sql_types::Binary;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use hmac::{Hmac, KeyInit, Mac};
use metricd_domain::Tenant;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use super::session::Ahead;
use crate::DatabaseUrl;
use crate::connection::connect_as_owner;
use crate::reader::ReaderError;

/// The statement that names a tenant.
pub(super) const ENTER: &str = "SELECT tenancy.enter($1)";

/// The database's key, by which it knows that it was the server that has named a tenant.
#[derive(Clone)]
pub struct TenantKey(Arc<SecretSlice<u8>>);

impl fmt::Debug for TenantKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TenantKey")
    }
}

/// Reads the database's key, as its owner.
///
/// # Errors
///
/// [`ReaderError::Connect`] where the database cannot be reached, [`ReaderError::Refused`] where it has no key.
pub fn tenant_key(owner: &DatabaseUrl) -> Result<TenantKey, ReaderError> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Binary)]
        key: Vec<u8>,
    }
    let mut connection = connect_as_owner(owner)?;
    let key: Key = sql_query("SELECT key FROM catalog.tenant_key").get_result(&mut connection).map_err(|error| {
        ReaderError::Refused {
            role: owner.user().to_owned(),
            message: error.to_string(),
            advice: "Run `metricd migrate` first".to_owned(),
        }
    })?;
    Ok(TenantKey(Arc::new(key.key.into())))
}

/// On whose behalf a statement runs, and the key to say so with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenancy<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) key: &'a TenantKey,
}

/// Forgets the plans of prepared statements. One that is kept has everything worked out that is immutable, or is said to be, for
/// the tenant that came first.
const FORGET_PLANS: &str = "DISCARD PLANS";

/// What is asked ahead of statements that are run on somebody's behalf, or on nobody's.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whether the plans are those of somebody else.
    pub(super) forgets_plans: bool,
    /// The name of the statement that is prepared to name a tenant, and what it is given.
    pub(super) named: Option<(String, String)>,
}

impl Tenancy<'_> {
    /// What names the tenant in the session that is with this process.
    pub(super) fn sealed(self, pid: &str) -> String {
        let Self { tenant, key } = self;
        // A key of any length will do.
        let Ok(mut code) = Hmac::<Sha256>::new_from_slice(key.0.expose_secret()) else {
            unreachable!("HMAC takes keys of any length")
        };
        code.update(format!("{pid}:{tenant}").as_bytes());
        let mut sealed = String::with_capacity(64 + tenant.as_str().len());
        for byte in code.finalize().into_bytes() {
            // Nothing can fail that is written to a text.
            let _ = write!(sealed, "{byte:02x}");
        }
        sealed.push_str(tenant.as_str());
        sealed
    }
}

impl Entry {
    /// The statements that are asked ahead, in the same transaction.
    pub(super) fn ahead(&self) -> impl Iterator<Item = Ahead<'_>> {
        let forget = self.forgets_plans.then_some(Ahead::Sql(FORGET_PLANS));
        forget.into_iter().chain(self.named.as_ref().map(|(statement, sealed)| Ahead::Prepared(statement, sealed)))
    }
}
