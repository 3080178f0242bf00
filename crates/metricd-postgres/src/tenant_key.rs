//! The database's key for signing tenants.

use diesel::sql_types::Binary;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use metricd_database::DatabaseUrl;
use secrecy::SecretSlice;

use crate::connection::connect_as_owner;
use crate::reader::ReaderError;

/// Reads, as the database's owner, the key with which the server signs tenants.
///
/// # Errors
///
/// [`ReaderError::Connect`] if the database is unreachable, [`ReaderError::Refused`] if it has no key.
pub fn tenant_key(owner: &DatabaseUrl) -> Result<SecretSlice<u8>, ReaderError> {
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
    Ok(key.key.into())
}
