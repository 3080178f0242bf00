//! `metricd token`

use std::process::ExitCode;

use anyhow::{Context, Result};
use metricd_access::{IssueError, NewToken};
use metricd_domain::MetricPatterns;

use crate::access::find_secret;
use crate::arguments::{TokenArguments, usage_error};
use crate::output;

/// Issues a token and prints it.
pub(crate) fn token(arguments: &TokenArguments) -> Result<ExitCode> {
    let secret = find_secret(arguments.jwt_secret_file.as_deref())?.context(
        "a token is signed with the server's secret: set METRICD_JWT_SECRET to it, or give --jwt-secret-file",
    )?;
    let mut new = NewToken::new(arguments.scopes.iter().copied(), arguments.ttl).with_subject(&arguments.subject);
    if let Some(issuer) = &arguments.issuer {
        new = new.with_issuer(issuer);
    }
    if let Some(audience) = &arguments.audience {
        new = new.with_audience(audience);
    }
    if !arguments.metrics.is_empty() {
        new = new.with_metrics(MetricPatterns::new(arguments.metrics.clone()).map_err(usage_error)?);
    }
    if let (Some(claim), Some(tenant)) = (&arguments.tenant_claim, &arguments.tenant) {
        new = new.with_tenant(claim, tenant.clone());
    }
    let signed = secret.sign(&new).map_err(|error| match error {
        IssueError::Lifetime => usage_error("--ttl must be between 1 second and 10 years"),
        IssueError::Subject | IssueError::TenantClaim => usage_error(error),
        IssueError::Unsigned(_) => error.into(),
    });
    output::print(&format!("{}\n", signed?));
    Ok(ExitCode::SUCCESS)
}
