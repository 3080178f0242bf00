//! A session of the reader, with what is known about it.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use metricd_domain::Tenant;
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::types::{Oid, Type};

use super::plan::Plan;
use super::session::{Session, SessionError};
use super::tenancy::{ENTER, Entry, Tenancy};
use super::{CONNECT_TIMEOUT, WATCH_CLIENT};
use crate::hardening::harm_classes;

/// What the keys of statements that cast values begin with. No SQL has a NUL, so that nobody's own text is taken for one.
pub(super) const CASTING_KEY: char = '\0';

/// How many statements a connection keeps prepared. Past that it begins anew, which costs each one more round trip.
const MAX_PREPARED: usize = 256;

/// By how much the role's limit of time may be longer than a statement's to be taken for that: the server gives the role a
/// second more than statements have.
const LEEWAY: Duration = Duration::from_secs(1);

/// Whether the role can do nothing in a SELECT that outlives it: it may call none of the functions that hardening takes, and
/// no volatile function that is not PostgreSQL's own, such as an extension's that changes a setting. Not even one in a schema
/// that it may not use: a view may call it. Those of the schema `tenancy` are the runner's own. Then the session's limit of time,
/// and the process that it is with; and whether no function has other rights than the role, by which one that is called stable
/// could change a setting for the rest of the transaction.
const ABOUT: &str = "
    WITH harmful AS MATERIALIZED (SELECT string_to_array($1::text, E'\\n') AS names)
    SELECT (NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc p, harmful
        WHERE (p.pronamespace = 'pg_catalog'::regnamespace AND (
                   p.proname = ANY (names) OR format('%s(%s)', p.proname, oidvectortypes(p.proargtypes)) = ANY (names))
               OR p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
                  AND p.pronamespace IS DISTINCT FROM to_regnamespace('tenancy')
                  AND p.provolatile = 'v' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype))
        AND has_function_privilege(p.oid, 'EXECUTE')
    ) AND current_setting('transaction_read_only') = 'on')::text,
    (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint::text,
    pg_backend_pid()::text,
    (NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc p
        WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
          AND p.pronamespace IS DISTINCT FROM to_regnamespace('tenancy')
          AND p.prosecdef AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
          AND has_function_privilege(p.oid, 'EXECUTE')
    ))::text";

/// A session, with the statements that are prepared in it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    home: ThreadId,
    opened: Instant,
    is_harmless: bool,
    is_inert: bool,
    /// PostgreSQL's own limit of a statement's time in this session; zero is none.
    timeout: Duration,
    /// PostgreSQL's process.
    pid: String,
    /// The name under which the statement is prepared that names a tenant.
    entrance: Option<String>,
    planned_for: PlannedFor,
    plans: HashMap<String, Arc<Plan>, RandomState>,
    /// How many statements were ever prepared, each under a name of its own.
    prepared: u64,
    /// The last of those names, until its plan is kept.
    unkept: Option<String>,
    /// The types that are not built in, as they were looked up.
    pub(super) types: HashMap<Oid, Type>,
}

impl Connection {
    /// Connects. The connection belongs to this thread, whose runtime tells of what has come.
    pub(super) async fn open(config: &Config) -> Result<Self, SessionError> {
        let mut session = Session::open(config).await?;
        let asked = timeout(CONNECT_TIMEOUT, ask_about(&mut session)).await;
        let too_slow = |_| SessionError::Lost("PostgreSQL took too long to answer".to_owned());
        let About { is_harmless, is_inert, timeout, pid } = asked.map_err(too_slow)??;
        let home = thread::current().id();
        let (plans, types) = (HashMap::default(), HashMap::new());
        let opened = Instant::now();
        Ok(Self {
            session,
            home,
            opened,
            is_harmless,
            is_inert,
            timeout,
            pid,
            entrance: None,
            planned_for: PlannedFor::Nobody,
            plans,
            prepared: 0,
            unkept: None,
            types,
        })
    }

    /// Whether a statement can be sent alone, since nothing that it may do outlives it. Asked when the connection was opened:
    /// a right that is given later is seen by later connections.
    pub(super) fn is_harmless(&self) -> bool {
        self.is_harmless
    }

    /// Whether nothing that a statement may do reaches another one in its transaction. Asked when the connection was opened.
    pub(super) fn is_inert(&self) -> bool {
        self.is_inert
    }

    /// Whether PostgreSQL stops each statement after this time, or little more, without being told so.
    pub(super) fn limits_time_to(&self, time: Duration) -> bool {
        (time..=time.saturating_add(LEEWAY)).contains(&self.timeout) && !self.timeout.is_zero()
    }

    /// The thread that has opened the connection.
    pub(super) fn home(&self) -> ThreadId {
        self.home
    }

    /// When it was open at the latest.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// What is asked ahead of what is run on the tenant's behalf. Where it has been done, [`Self::entered`] is to be told.
    pub(super) async fn entry(&mut self, tenancy: Option<Tenancy<'_>>) -> Result<Entry, SessionError> {
        let tenant = tenancy.map(|tenancy| tenancy.tenant);
        let forgets_plans = !self.planned_for.is(tenant);
        if forgets_plans {
            // It may be given up on the way.
            self.planned_for = PlannedFor::Unknown;
        }
        let Some(tenancy) = tenancy else { return Ok(Entry { forgets_plans, named: None }) };
        let name = if let Some(name) = &self.entrance {
            name.clone()
        } else {
            // One that is given up on the way may be prepared all the same: the next one has another name.
            let name = self.new_name()?;
            self.session.prepare(&name, ENTER).await?;
            self.unkept = None;
            self.entrance.insert(name).clone()
        };
        Ok(Entry { forgets_plans, named: Some((name, tenancy.sealed(&self.pid))) })
    }

    /// Says that what [`Self::entry`] has asked ahead was done.
    pub(super) fn entered(&mut self, tenancy: Option<Tenancy<'_>>) {
        if matches!(self.planned_for, PlannedFor::Unknown) {
            let tenant = tenancy.map(|tenancy| tenancy.tenant.clone());
            self.planned_for = tenant.map_or(PlannedFor::Nobody, PlannedFor::Tenant);
        }
    }

    /// A name that no prepared statement has had. What was prepared under the one before, and not kept, is forgotten.
    pub(super) fn new_name(&mut self) -> Result<String, SessionError> {
        if let Some(name) = self.unkept.take() {
            self.session.forget(&name)?;
        }
        self.prepared += 1;
        let name = format!("metricd_{}", self.prepared);
        self.unkept = Some(name.clone());
        Ok(name)
    }

    /// What is prepared for this text.
    pub(super) fn plan(&self, text: &str) -> Option<Arc<Plan>> {
        self.plans.get(text).cloned()
    }

    /// Whether the statement can be prepared, or is, without that others are forgotten.
    pub(super) fn has_room_for(&self, text: &str) -> bool {
        self.plans.len() < MAX_PREPARED || self.plans.contains_key(text)
    }

    pub(super) fn keep_plan(&mut self, text: &str, plan: &Arc<Plan>) -> Result<(), SessionError> {
        if self.plans.len() >= MAX_PREPARED {
            self.forget_plans()?;
        }
        self.unkept = None;
        self.plans.insert(text.to_owned(), Arc::clone(plan));
        Ok(())
    }

    /// Forgets what is prepared for this text, and all statements that cast values: which of those are of this text is not
    /// known.
    pub(super) fn forget_plans_of(&mut self, text: &str) -> Result<(), SessionError> {
        let of_text = |key: &String, _: &mut Arc<Plan>| key == text || key.starts_with(CASTING_KEY);
        self.plans.extract_if(of_text).try_for_each(|(_, plan)| self.session.forget(&plan.name))
    }

    fn forget_plans(&mut self) -> Result<(), SessionError> {
        self.plans.drain().try_for_each(|(_, plan)| self.session.forget(&plan.name))
    }
}

/// For whom the plans of the prepared statements were made.
#[derive(Debug)]
enum PlannedFor {
    Unknown,
    Nobody,
    Tenant(Tenant),
}

impl PlannedFor {
    fn is(&self, tenant: Option<&Tenant>) -> bool {
        match self {
            Self::Unknown => false,
            Self::Nobody => tenant.is_none(),
            Self::Tenant(planned_for) => tenant == Some(planned_for),
        }
    }
}

/// What [`ABOUT`] asks.
struct About {
    is_harmless: bool,
    is_inert: bool,
    timeout: Duration,
    pid: String,
}

async fn ask_about(session: &mut Session) -> Result<About, SessionError> {
    session.ask(WATCH_CLIENT)?;
    if let Err(SessionError::Refused { message, .. }) = session.finish().await {
        log::debug!("PostgreSQL does not look whether its client is there: {message}");
    }
    let harmful: Vec<_> = harm_classes().iter().flat_map(|class| &class.functions).copied().collect();
    let row = session.row(ABOUT, &harmful.join("\n")).await?;
    let told = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
    let timeout = Duration::from_millis(told(1).parse().unwrap_or_default());
    let is_harmless = told(0) == "true";
    Ok(About { is_harmless, is_inert: is_harmless && told(3) == "true", timeout, pid: told(2).to_owned() })
}
