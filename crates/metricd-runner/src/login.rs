//! Whether a role can log in.

use metricd_connection::{ConnectError, Connector};
use metricd_database::DatabaseUrl;

use crate::session::CONNECT_TIMEOUT;

/// The class of SQLSTATEs of a refused login: a role that does not exist, a wrong password, or no permission.
const INVALID_AUTHORIZATION: &str = "28";

/// Whether the server refuses to log the role of the URL in, as it does if there is no such role.
pub async fn refuses_login(url: &DatabaseUrl) -> bool {
    let Ok(connector) = Connector::new(url, CONNECT_TIMEOUT) else { return false };
    match connector.connect().await {
        Err(ConnectError::Refused(error)) => error.code().code().starts_with(INVALID_AUTHORIZATION),
        _ => false,
    }
}
