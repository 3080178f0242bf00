//! The properties of a session, read when it begins.

use std::sync::Arc;
use std::time::Duration;

use metricd_database::{DataSchemas, harm_classes, harmless_functions};
use metricd_domain::TimeZone;
use uuid::Uuid;

use super::settings::{CLIENT_CHECK_SETTING, SETTINGS, set_time_zone};
use crate::session::{Session, SessionError};
use crate::transaction::{BEGIN_SQL, CLEANUP_SQL};

/// Reads, in this order:
///
/// 1. Whether the role is side-effect free in a SELECT: it may call none of the functions that hardening revokes, and no
///    volatile function but the harmless ones of PostgreSQL: not one of a newer version, nor one of an extension that
///    changes a setting. Functions in schemas without USAGE count as well, since a view may call them; those of the
///    schema `tenancy` are the runner's own. SQL cannot call functions of triggers and those with internal arguments.
/// 2. The statement timeout.
/// 3. The process id of the backend.
/// 4. Whether no callable function is SECURITY DEFINER. One that is declared stable could change a setting for the
///    rest of the transaction.
/// 5. The token with which the session began.
pub(super) const SESSION_PROPERTIES_SQL: &str = "
    WITH listed AS MATERIALIZED (
        SELECT pg_catalog.string_to_array(pg_catalog.split_part($1::text, E'\\n\\n', 1), E'\\n') AS harmful,
            pg_catalog.string_to_array(pg_catalog.split_part($1::text, E'\\n\\n', 2), E'\\n') AS harmless
    )
    SELECT (NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc p, listed
        WHERE (p.pronamespace = 'pg_catalog'::regnamespace::oid AND (
                   p.proname = ANY (harmful) OR pg_catalog.format('%s(%s)', p.proname, pg_catalog.oidvectortypes(p.proargtypes)) = ANY (harmful))
               OR p.provolatile = 'v' AND p.prorettype NOT IN ('trigger'::regtype::oid, 'event_trigger'::regtype::oid)
                  AND NOT (p.pronamespace = 'pg_catalog'::regnamespace::oid AND (
                      p.proname = ANY (harmless) OR 'internal'::regtype::oid = ANY (p.proargtypes)
                      OR p.proname ~ '^binary_upgrade_'::text))
                  AND p.pronamespace <> 'information_schema'::regnamespace::oid
                  AND p.pronamespace IS DISTINCT FROM pg_catalog.to_regnamespace('tenancy')::oid)
        AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
    ) AND pg_catalog.current_setting('transaction_read_only') = 'on')::text,
    (extract(epoch FROM pg_catalog.current_setting('statement_timeout')::interval) * 1000::numeric)::bigint::text,
    pg_catalog.pg_backend_pid()::text,
    (NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc p
        WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace::oid, 'information_schema'::regnamespace::oid)
          AND p.pronamespace IS DISTINCT FROM pg_catalog.to_regnamespace('tenancy')::oid
          AND p.prosecdef AND p.prorettype NOT IN ('trigger'::regtype::oid, 'event_trigger'::regtype::oid)
          AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
    ))::text,
    pg_catalog.current_setting('metricd.session', true)";

/// The properties of a session.
#[derive(Debug)]
pub(crate) struct SessionProperties {
    /// Whether no statement can have an effect that outlives it.
    pub(crate) side_effect_free: bool,
    /// Whether no statement can affect a later one of its transaction.
    pub(crate) batching_safe: bool,
    /// PostgreSQL's statement timeout; zero means none.
    pub(crate) timeout: Duration,
    /// The backend's process id.
    pub(crate) pid: String,
    /// The settings of each transaction, if two transactions may run in two different backends.
    pub(crate) pooler_settings: Option<Arc<[String]>>,
}

impl SessionProperties {
    /// Reads the properties of a session that began with this token.
    pub(crate) async fn read(
        session: &mut Session,
        token: Uuid,
        (schemas, time_zone): (&DataSchemas, &TimeZone),
    ) -> Result<Self, SessionError> {
        let harmful: Vec<_> = harm_classes().iter().flat_map(|class| &class.functions).copied().collect();
        let harmless: Vec<_> = harmless_functions().collect();
        let listed = format!("{}\n\n{}", harmful.join("\n"), harmless.join("\n"));
        let row = session.row(&[], SESSION_PROPERTIES_SQL, &listed).await?;
        let column = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
        // A pooler invents the process id of the login, and drops the options or forwards those of another client.
        // One sign suffices.
        let is_direct =
            session.login_pid().is_some_and(|pid| pid.to_string() == column(2)) && token.to_string() == column(4);
        if !is_direct {
            let settings = Some(transaction_settings(session, schemas, time_zone).await?);
            let pid = column(2).to_owned();
            return Ok(Self {
                side_effect_free: false,
                batching_safe: false,
                timeout: Duration::ZERO,
                pid,
                pooler_settings: settings,
            });
        }
        let timeout = Duration::from_millis(column(1).parse().unwrap_or_default());
        let side_effect_free = column(0) == "true";
        let batching_safe = side_effect_free && column(3) == "true";
        let pid = column(2).to_owned();
        if let Err(error) = run(session, &format!("SET {CLIENT_CHECK_SETTING}")).await? {
            log::debug!("PostgreSQL does not check for its client: {error:?}");
        }
        Ok(Self { side_effect_free, batching_safe, timeout, pid, pooler_settings: None })
    }
}

/// The settings of each transaction behind a pooler: other clients may have changed settings in the same backend, or
/// created temporary tables there.
async fn transaction_settings(
    session: &mut Session,
    schemas: &DataSchemas,
    time_zone: &TimeZone,
) -> Result<Arc<[String]>, SessionError> {
    // The rollback undoes it.
    let mut settings = vec!["RESET ALL".to_owned()];
    let local = |setting: &str| format!("SET LOCAL {setting}");
    settings.extend(SETTINGS.map(|(name, value)| local(&format!("{name} = {value}"))));
    settings.push(set_time_zone(time_zone));
    settings.extend(["client_encoding = 'UTF8'", "row_security = on"].map(local));
    // Here the search path also names `pg_temp`, as the last schema.
    settings.push(local(&format!("search_path = {}, pg_temp", schemas.search_path())));
    settings.extend(["SET LOCAL ROLE NONE".to_owned()]);
    let check = local(CLIENT_CHECK_SETTING);
    let checked = run(session, &format!("{BEGIN_SQL}; {check}; {CLEANUP_SQL}")).await?;
    if checked.is_ok() {
        settings.push(check);
    }
    // The next transaction must not begin inside this one.
    if session.is_in_transaction() {
        run(session, CLEANUP_SQL).await?.ok();
    }
    Ok(settings.into())
}

/// Runs statements that PostgreSQL may refuse.
async fn run(session: &mut Session, sql: &str) -> Result<Result<(), SessionError>, SessionError> {
    session.send_simple(sql)?;
    match session.drain().await {
        Err(error @ SessionError::Lost(_)) => Err(error),
        response => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use metricd_database::SESSION_TOKEN;

    use super::*;

    #[test]
    fn asks_for_the_token_by_its_name() {
        assert!(SESSION_PROPERTIES_SQL.contains(&format!("current_setting('{SESSION_TOKEN}', true)")));
    }
}
