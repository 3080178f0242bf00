//! Whether tokens are asked for at all.

use std::sync::Arc;

use crate::Verifier;

/// Whom a server answers.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// Anybody, without a token, everything. Tokens that are sent all the same are not looked at.
    #[default]
    Anonymous,
    /// Those whose token is good, what its scopes say.
    Tokens(Arc<Verifier>),
}
