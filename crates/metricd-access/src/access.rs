//! Whether a server requires tokens.

use std::sync::Arc;

use crate::Verifier;

/// Who may use a server.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Everybody may do everything without a token. Tokens that a client sends are ignored.
    #[default]
    Anonymous,
    /// Only callers with a valid token, within the token's scopes.
    Tokens(Arc<Verifier>),
}
