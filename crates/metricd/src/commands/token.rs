//! `metricd token`

use std::process::ExitCode;

use anyhow::{Context, Result};
use metricd_access::NewToken;

use crate::access::find_secret;
use crate::arguments::TokenArguments;
use crate::output;

/// Prints a token.
pub(crate) fn token(arguments: &TokenArguments) -> Result<ExitCode> {
    let secret = find_secret(arguments.jwt_secret_file.as_deref())?.context(
        "a token is signed with the server's secret: set METRICD_JWT_SECRET to it, or give --jwt-secret-file",
    )?;
    let mut new = NewToken::new(arguments.scopes.iter().copied(), arguments.ttl).of(&arguments.subject);
    if let Some(issuer) = &arguments.issuer {
        new = new.by(issuer);
    }
    if let Some(audience) = &arguments.audience {
        new = new.meant_for(audience);
    }
    output::print(&format!("{}\n", secret.sign(&new)?));
    Ok(ExitCode::SUCCESS)
}
