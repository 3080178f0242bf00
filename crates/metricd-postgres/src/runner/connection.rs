//! A session of the reader.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use metricd_execution::RunError;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use super::error::connect_error;
use super::plan::Plan;
use super::{CONNECT_TIMEOUT, WATCH_CLIENT};
use crate::hardening::harm_classes;

/// How many statements a connection keeps prepared. Past that it begins anew, which costs each one more round trip.
const MAX_PREPARED: usize = 256;

/// Whether the role can do nothing in a SELECT that outlives it: it may call none of the functions that hardening takes, and
/// no volatile function that is not PostgreSQL's own, such as an extension's that changes a setting.
const IS_HARMLESS: &str = "
    SELECT NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc p
        WHERE (p.pronamespace = 'pg_catalog'::regnamespace AND (
                   p.proname = ANY ($1) OR format('%s(%s)', p.proname, oidvectortypes(p.proargtypes)) = ANY ($1))
               OR p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                  AND p.provolatile = 'v' AND has_schema_privilege(p.pronamespace, 'USAGE'))
        AND has_function_privilege(p.oid, 'EXECUTE')
    ) AND current_setting('transaction_read_only') = 'on'";

/// A session, with the statements that are prepared in it.
pub(super) struct Connection {
    client: Client,
    home: ThreadId,
    is_harmless: bool,
    plans: Mutex<HashMap<String, Arc<Plan>>>,
}

impl Connection {
    /// Connects. The connection belongs to this thread, whose runtime drives it.
    pub(super) async fn open(session: &Config, waited: Duration) -> Result<Self, RunError> {
        let connected = timeout(CONNECT_TIMEOUT, session.connect(NoTls)).await;
        let too_slow = |_| RunError::Unavailable("connecting took too long".to_owned());
        let (client, driver) = connected.map_err(too_slow)?.map_err(|error| connect_error(&error, waited))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                log::debug!("a connection has ended: {error}");
            }
        });
        if let Err(error) = client.batch_execute(WATCH_CLIENT).await {
            log::debug!("PostgreSQL does not look whether its client is there: {error}");
        }
        let harmful: Vec<_> = harm_classes().iter().flat_map(|class| &class.functions).copied().collect();
        let answer = timeout(CONNECT_TIMEOUT, client.query_one(IS_HARMLESS, &[&harmful])).await;
        let answer = answer.map_err(too_slow)?.map_err(|error| connect_error(&error, waited))?;
        let is_harmless = answer.try_get(0).unwrap_or_default();
        Ok(Self { client, home: thread::current().id(), is_harmless, plans: Mutex::default() })
    }

    /// Whether a statement can be sent alone, since nothing that it may do outlives it. Asked when the connection was opened:
    /// a right that is given later is seen by later connections.
    pub(super) fn is_harmless(&self) -> bool {
        self.is_harmless
    }

    /// The thread that has opened the connection.
    pub(super) fn home(&self) -> ThreadId {
        self.home
    }

    /// What is prepared for this text.
    pub(super) fn plan(&self, text: &str) -> Option<Arc<Plan>> {
        self.plans().get(text).cloned()
    }

    pub(super) fn keep_plan(&self, text: &str, plan: &Arc<Plan>) {
        let mut plans = self.plans();
        if plans.len() >= MAX_PREPARED {
            plans.clear();
        }
        plans.insert(text.to_owned(), Arc::clone(plan));
    }

    pub(super) fn forget_plans(&self) {
        self.plans().clear();
    }

    fn plans(&self) -> MutexGuard<'_, HashMap<String, Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("home", &self.home).finish_non_exhaustive()
    }
}
