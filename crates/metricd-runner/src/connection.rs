//! A session of the reader, with what is known about it.

pub(crate) mod prepared_statement;
mod properties;
mod settings;
mod type_lookup;
mod types;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use lru::LruCache;
use metricd_database::session_token_option;
use metricd_domain::Tenant;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Oid, Type};
use uuid::Uuid;

use self::prepared_statement::PreparedStatement;
use self::properties::SessionProperties;
use self::settings::{ISOLATION_OPTION, SETTINGS};
use crate::session::CONNECT_TIMEOUT;
use crate::session::{DescribedStatement, PreludeStatement, Session, SessionConfig, SessionError};
use crate::tenancy::{BACKEND_PID_SQL, SET_TENANT_SQL, Tenancy, TenantStatement, TransactionPrelude};
use crate::transaction::BEGIN_SQL;
use crate::transaction::clean_up;

/// How many statements a connection keeps prepared. Past that, the one that was used least recently is closed.
const MAX_CACHED_STATEMENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// By how much the role's limit of time may be longer than a statement's to be taken for that: the server gives the role a
/// second more than statements have.
pub(crate) const TIMEOUT_LEEWAY: Duration = Duration::from_secs(1);

/// A session, with the statements that are prepared in it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    owner_thread: ThreadId,
    opened_at: Instant,
    properties: SessionProperties,
    is_retired: bool,
    /// The name under which the statement is prepared that names a tenant.
    prelude_statement: Option<String>,
    planned_for: PlannedFor,
    statement_cache: LruCache<String, Arc<PreparedStatement>, RandomState>,
    /// How many statements were ever prepared, each under a name of its own.
    prepared_count: u64,
    /// The last of those names, until its plan is kept.
    uncached_name: Option<String>,
    /// The types that are not built in, as they were looked up.
    pub(crate) types: HashMap<Oid, Type>,
    /// What `format_type` calls them.
    pub(crate) type_names: HashMap<Oid, String>,
    /// Of those, what stands between the elements of an array, if it is no comma.
    pub(crate) delimiters: HashMap<Oid, u8>,
}

impl Connection {
    /// Connects. The connection belongs to this thread, whose runtime tells of what has come.
    pub(crate) async fn open(config: &SessionConfig) -> Result<Self, SessionError> {
        let token = Uuid::new_v4();
        let settings = SETTINGS.iter().map(|(name, value)| format!("-c {name}={value} "));
        let options = format!("{}{ISOLATION_OPTION} {}", settings.collect::<String>(), session_token_option(token));
        let mut session = match Session::open(&config.with_options(&options)).await {
            // A pooler may refuse what it does not pass on. Behind one, each transaction has its settings.
            Err(SessionError::Refused { sqlstate, .. }) if sqlstate == *SqlState::PROTOCOL_VIOLATION.code() => {
                Session::open(config).await?
            }
            opened => opened?,
        };
        let properties = timeout(CONNECT_TIMEOUT, SessionProperties::read(&mut session, token)).await;
        let too_slow = |_| SessionError::Lost("PostgreSQL took too long to answer".to_owned());
        let properties = properties.map_err(too_slow)??;
        Ok(Self {
            session,
            owner_thread: thread::current().id(),
            opened_at: Instant::now(),
            properties,
            is_retired: false,
            prelude_statement: None,
            planned_for: PlannedFor::NoTenant,
            statement_cache: LruCache::with_hasher(MAX_CACHED_STATEMENTS, RandomState::default()),
            prepared_count: 0,
            uncached_name: None,
            types: HashMap::new(),
            type_names: HashMap::new(),
            delimiters: HashMap::new(),
        })
    }

    /// Whether two transactions may meet two of PostgreSQL's processes, as behind a pooler. Nothing is left to the session
    /// then: each transaction is settled anew, and no statement is kept prepared.
    pub(crate) fn is_behind_pooler(&self) -> bool {
        self.properties.pooler_settings.is_some()
    }

    /// Whether a statement can be sent alone, since nothing that it may do outlives it. Asked when the connection was opened:
    /// a right that is given later is seen by later connections.
    pub(crate) fn side_effect_free(&self) -> bool {
        self.properties.side_effect_free
    }

    /// Whether nothing that a statement may do reaches another one in its transaction. Asked when the connection was opened.
    pub(crate) fn batching_safe(&self) -> bool {
        self.properties.batching_safe
    }

    /// Whether PostgreSQL stops each statement after this time, or little more, without being told so.
    pub(crate) fn enforces_timeout(&self, time: Duration) -> bool {
        let timeout = self.properties.timeout;
        (time..=time.saturating_add(TIMEOUT_LEEWAY)).contains(&timeout) && !timeout.is_zero()
    }

    /// The thread that has opened the connection.
    pub(crate) fn owner_thread(&self) -> ThreadId {
        self.owner_thread
    }

    /// PostgreSQL's process; behind a pooler, one of those that have been met.
    pub(crate) fn pid(&self) -> &str {
        &self.properties.pid
    }

    /// Has the connection closed when it is given back, since its session holds more memory than one is to keep.
    pub(crate) fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Whether it is closed when it is given back.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// When it was open at the latest.
    pub(crate) fn opened(&self) -> Instant {
        self.opened_at
    }

    /// What is asked ahead of what is run on the tenant's behalf: the beginning of the transaction, unless it needs none, and
    /// what names the tenant. Where it has been done, [`Self::entered`] is to be told.
    ///
    /// Behind a pooler, the process that the tenant is named to is known only once the transaction has begun, so that this
    /// begins it.
    pub(crate) async fn prelude(
        &mut self,
        begin: Option<&'static str>,
        snapshot: Option<String>,
        tenancy: Option<Tenancy<'_>>,
    ) -> Result<TransactionPrelude, SessionError> {
        if let Some(settings) = self.properties.pooler_settings.clone() {
            // Somebody else's plans may be kept there, as those of functions are.
            let prelude = TransactionPrelude {
                begin,
                snapshot,
                settings: Some(settings),
                discards_plans: true,
                ..TransactionPrelude::default()
            };
            let Some(tenancy) = tenancy else { return Ok(prelude) };
            let before: Vec<_> = prelude.statements().collect();
            let row = self.session.row(&before, BACKEND_PID_SQL, "").await?;
            let pid = row.first().and_then(Option::as_deref).unwrap_or_default();
            let tenant = Some((TenantStatement::Unprepared, tenancy.signed(pid)));
            return Ok(TransactionPrelude { tenant, ..TransactionPrelude::default() });
        }
        let tenant = tenancy.map(|tenancy| tenancy.tenant);
        let discards_plans = !self.planned_for.is(tenant);
        if discards_plans {
            // It may be given up on the way.
            self.planned_for = PlannedFor::Unknown;
        }
        let prelude = TransactionPrelude { begin, snapshot, discards_plans, ..TransactionPrelude::default() };
        let Some(tenancy) = tenancy else { return Ok(prelude) };
        let name = if let Some(name) = &self.prelude_statement {
            name.clone()
        } else {
            // One that is given up on the way may be prepared all the same: the next one has another name.
            let name = self.new_name()?;
            self.session.prepare(&[], Some(name.clone()), SET_TENANT_SQL).await?;
            self.uncached_name = None;
            self.prelude_statement.insert(name).clone()
        };
        let tenant = Some((TenantStatement::Prepared(name), tenancy.signed(&self.properties.pid)));
        Ok(TransactionPrelude { tenant, ..prelude })
    }

    /// What is asked ahead of what the runner asks for itself, be it within a transaction already.
    pub(crate) async fn internal_prelude(&mut self) -> Result<TransactionPrelude, SessionError> {
        if self.is_behind_pooler() && !self.session.is_in_transaction() {
            self.prelude(Some(BEGIN_SQL), None, None).await
        } else {
            Ok(TransactionPrelude::default())
        }
    }

    /// Says that what [`Self::prelude`] has asked ahead was done.
    pub(crate) fn tenant_set(&mut self, tenancy: Option<Tenancy<'_>>) {
        if matches!(self.planned_for, PlannedFor::Unknown) {
            let tenant = tenancy.map(|tenancy| tenancy.tenant.clone());
            self.planned_for = tenant.map_or(PlannedFor::NoTenant, PlannedFor::Tenant);
        }
    }

    /// Prepares a statement; behind a pooler, has it described.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<DescribedStatement, SessionError> {
        let prelude = self.internal_prelude().await?;
        let before: Vec<_> = prelude.statements().collect();
        let name = if self.is_behind_pooler() { None } else { Some(self.new_name()?) };
        let prepared = self.session.prepare(&before, name, sql).await;
        self.end_internal(&before).await?;
        prepared
    }

    /// The only row of a statement of the runner's own, with its values as text.
    pub(crate) async fn row(&mut self, sql: &str, argument: &str) -> Result<Vec<Option<String>>, SessionError> {
        let prelude = self.internal_prelude().await?;
        let before: Vec<_> = prelude.statements().collect();
        let row = self.session.row(&before, sql, argument).await;
        self.end_internal(&before).await?;
        row
    }

    /// Ends the transaction that [`Self::own_prelude`] has begun.
    async fn end_internal(&mut self, before: &[PreludeStatement<'_>]) -> Result<(), SessionError> {
        if before.is_empty() || self.session.is_lost() {
            return Ok(());
        }
        clean_up(&mut self.session).await
    }

    /// A name that no prepared statement has had. What was prepared under the one before, and not kept, is forgotten.
    fn new_name(&mut self) -> Result<String, SessionError> {
        if let Some(name) = self.uncached_name.take() {
            self.session.close_statement(&name)?;
        }
        self.prepared_count += 1;
        let name = format!("metricd_{}", self.prepared_count);
        self.uncached_name = Some(name.clone());
        Ok(name)
    }

    /// What is prepared for this text.
    pub(crate) fn cached_statement(&mut self, text: &str) -> Option<Arc<PreparedStatement>> {
        self.statement_cache.get(text).cloned()
    }

    /// Keeps what was prepared last.
    pub(crate) fn cache_statement(
        &mut self,
        text: &str,
        statement: &Arc<PreparedStatement>,
    ) -> Result<(), SessionError> {
        self.uncached_name = None;
        let evicted = self.statement_cache.push(text.to_owned(), Arc::clone(statement));
        evicted.map_or(Ok(()), |(_, evicted)| self.close(&evicted))
    }

    /// Forgets what is prepared for this text, and the types that were looked up: one of them may have changed.
    pub(crate) fn evict_statement(&mut self, text: &str) -> Result<(), SessionError> {
        self.forget_types();
        self.statement_cache.pop(text).map_or(Ok(()), |statement| self.close(&statement))
    }

    fn close(&mut self, statement: &PreparedStatement) -> Result<(), SessionError> {
        statement.described.name().map_or(Ok(()), |name| self.session.close_statement(name))
    }
}

/// For whom the plans of the prepared statements were made.
#[derive(Debug)]
enum PlannedFor {
    Unknown,
    NoTenant,
    Tenant(Tenant),
}

impl PlannedFor {
    fn is(&self, tenant: Option<&Tenant>) -> bool {
        match self {
            Self::Unknown => false,
            Self::NoTenant => tenant.is_none(),
            Self::Tenant(planned_for) => tenant == Some(planned_for),
        }
    }
}
