//! A token by which a session is recognised.

use uuid::Uuid;

/// The setting that holds the token. Only metricd reads it. A session that lacks its token belongs to another client: a
/// connection pooler stands between.
pub const SESSION_TOKEN: &str = "metricd.session";

/// The option that starts a session with its own token.
#[must_use]
pub fn session_token_option(token: Uuid) -> String {
    format!("-c {SESSION_TOKEN}={token}")
}
