//! A token that identifies a session.

use uuid::Uuid;

/// The setting with the token. Only metricd reads it. A session without the expected token belongs to another client: a
/// connection pooler is in between.
pub const SESSION_TOKEN: &str = "metricd.session";

/// The connection option that gives a session its token.
#[must_use]
pub fn session_token_option(token: Uuid) -> String {
    format!("-c {SESSION_TOKEN}={token}")
}
