//! A session of the reader with its prepared-statement cache, properties and types.

pub(crate) mod prepared_statement;
mod properties;
pub(crate) mod settings;
mod type_lookup;
mod types;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use lru::LruCache;
use metricd_connection::Connector;
use metricd_database::{DataSchemas, session_token_option};
use metricd_domain::{Tenant, TimeZone};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Oid, Type};
use uuid::Uuid;

use self::prepared_statement::PreparedStatement;
use self::properties::SessionProperties;
use self::settings::{options, set_time_zone};
use crate::session::CONNECT_TIMEOUT;
use crate::session::{DescribedStatement, PreludeStatement, Session, SessionError};
use crate::tenancy::{BACKEND_PID_SQL, SET_TENANT_SQL, Tenancy, TenantStatement, TransactionPrelude};
use crate::transaction::BEGIN_SQL;
use crate::transaction::clean_up;

/// The size of the prepared-statement cache. The least recently used statement is evicted.
const MAX_CACHED_STATEMENTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// By how much the role's statement timeout may exceed a statement's limit and still count as that limit: the server
/// sets the role's timeout one second above the limit of statements.
pub(crate) const TIMEOUT_LEEWAY: Duration = Duration::from_secs(1);

/// How old plans may be if there are several data schemas. A table that appears in an earlier schema takes the name of
/// one in a later schema, and PostgreSQL does not notice that a prepared statement means another table now.
const MAX_PLAN_AGE: Duration = Duration::from_secs(1);

/// How long a statement may run by what its names meant before. `None` means for ever: with a single data schema, no
/// name can change its meaning unnoticed.
pub(crate) fn max_plan_age(schemas: &DataSchemas) -> Option<Duration> {
    (schemas.names().len() > 1).then_some(MAX_PLAN_AGE)
}

/// A session with its prepared-statement cache.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    owner_thread: ThreadId,
    opened_at: Instant,
    properties: SessionProperties,
    is_retired: bool,
    /// The name of the prepared [`SET_TENANT_SQL`].
    prelude_statement: Option<String>,
    planned_for: PlannedFor,
    /// No plan is older.
    planned_since: Instant,
    /// See [`max_plan_age`].
    max_plan_age: Option<Duration>,
    /// By [`cache_key`](prepared_statement::cache_key).
    statement_cache: LruCache<String, Arc<PreparedStatement>>,
    /// The number of statements prepared so far. Each gets a new name.
    prepared_count: u64,
    /// The latest name, until its statement is cached.
    uncached_name: Option<String>,
    /// The types that are not built in, as far as they were looked up.
    pub(crate) types: HashMap<Oid, Type>,
    /// Their names, as `format_type` prints them.
    pub(crate) type_names: HashMap<Oid, String>,
    /// The array delimiters of those types that do not use a comma.
    pub(crate) delimiters: HashMap<Oid, u8>,
}

impl Connection {
    /// Connects, for SQL that reads these schemas and runs in this time zone unless it says otherwise. The connection
    /// belongs to this thread, whose runtime polls its socket.
    pub(crate) async fn open(
        config: &Connector,
        schemas: &DataSchemas,
        time_zone: &TimeZone,
    ) -> Result<Self, SessionError> {
        let token = Uuid::new_v4();
        let options = format!("{} {}", options(schemas, time_zone), session_token_option(token));
        let mut session = match Session::open(&config.with_options(&options)).await {
            // A pooler may refuse options that it does not forward. Behind one, each transaction sets its own.
            Err(SessionError::Refused { sqlstate, .. }) if sqlstate == *SqlState::PROTOCOL_VIOLATION.code() => {
                Session::open(config).await?
            }
            opened => opened?,
        };
        let properties =
            timeout(CONNECT_TIMEOUT, SessionProperties::read(&mut session, token, (schemas, time_zone))).await;
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
            planned_since: Instant::now(),
            max_plan_age: max_plan_age(schemas),
            statement_cache: LruCache::new(MAX_CACHED_STATEMENTS),
            prepared_count: 0,
            uncached_name: None,
            types: HashMap::new(),
            type_names: HashMap::new(),
            delimiters: HashMap::new(),
        })
    }

    /// Whether two transactions may run in two different backends. If so, nothing is kept in the session: each
    /// transaction sets its settings again, and no statement stays prepared.
    pub(crate) fn is_behind_pooler(&self) -> bool {
        self.properties.pooler_settings.is_some()
    }

    /// Whether no statement can have an effect that outlives it, so that a statement needs no transaction around it.
    /// Read once, at connect: a privilege granted later affects later connections.
    pub(crate) fn side_effect_free(&self) -> bool {
        self.properties.side_effect_free
    }

    /// Whether no statement can affect a later one of the same transaction. Read once, at connect.
    pub(crate) fn batching_safe(&self) -> bool {
        self.properties.batching_safe
    }

    /// Whether PostgreSQL itself cancels each statement after this time, or up to [`TIMEOUT_LEEWAY`] later.
    pub(crate) fn enforces_timeout(&self, time: Duration) -> bool {
        let timeout = self.properties.timeout;
        (time..=time.saturating_add(TIMEOUT_LEEWAY)).contains(&timeout) && !timeout.is_zero()
    }

    /// The thread that opened the connection.
    pub(crate) fn owner_thread(&self) -> ThreadId {
        self.owner_thread
    }

    /// The backend's process id; behind a pooler, that of one of the backends.
    pub(crate) fn pid(&self) -> &str {
        &self.properties.pid
    }

    /// Makes the pool close the connection on release, because its session holds too much memory.
    pub(crate) fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Whether the pool closes it on release.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired
    }

    /// The time by which it was open.
    pub(crate) fn opened(&self) -> Instant {
        self.opened_at
    }

    /// The statements to send before those of a run: the beginning of the transaction, if it needs one, and the
    /// tenant. When they have run, call [`Self::tenant_set`].
    ///
    /// Behind a pooler the backend is known only within the transaction. For a tenant, this therefore begins the
    /// transaction and reads the backend's process id.
    pub(crate) async fn prelude(
        &mut self,
        begin: Option<&'static str>,
        snapshot: Option<String>,
        tenancy: Option<Tenancy<'_>>,
    ) -> Result<TransactionPrelude, SessionError> {
        if let Some(settings) = self.properties.pooler_settings.clone() {
            // The backend may hold plans made for another tenant, such as those of functions.
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
        let is_outdated = self.max_plan_age.is_some_and(|age| self.planned_since.elapsed() >= age);
        let discards_plans = is_outdated || !self.planned_for.is(tenant);
        if discards_plans {
            // The run may be dropped before the plans are discarded.
            self.planned_for = PlannedFor::Unknown;
            self.planned_since = Instant::now();
        }
        let prelude = TransactionPrelude { begin, snapshot, discards_plans, ..TransactionPrelude::default() };
        let Some(tenancy) = tenancy else { return Ok(prelude) };
        let name = if let Some(name) = &self.prelude_statement {
            name.clone()
        } else {
            // A future dropped here may leave the statement prepared: the next one gets a new name.
            let name = self.new_name()?;
            self.session.prepare(&[], Some(name.clone()), SET_TENANT_SQL).await?;
            self.uncached_name = None;
            self.prelude_statement.insert(name).clone()
        };
        let tenant = Some((TenantStatement::Prepared(name), tenancy.signed(&self.properties.pid)));
        Ok(TransactionPrelude { tenant, ..prelude })
    }

    /// The statements to send before one of the runner's own statements, which may already be in a transaction.
    pub(crate) async fn internal_prelude(&mut self) -> Result<TransactionPrelude, SessionError> {
        if self.is_behind_pooler() && !self.session.is_in_transaction() {
            self.prelude(Some(BEGIN_SQL), None, None).await
        } else {
            Ok(TransactionPrelude::default())
        }
    }

    /// Makes the next [`Self::prelude`] discard the plans. A plan of a function has the time zone in which it was made.
    pub(crate) fn forget_plans(&mut self) {
        self.planned_for = PlannedFor::Unknown;
    }

    /// Records that the statements of [`Self::prelude`] have run.
    pub(crate) fn tenant_set(&mut self, tenancy: Option<Tenancy<'_>>) {
        if matches!(self.planned_for, PlannedFor::Unknown) {
            let tenant = tenancy.map(|tenancy| tenancy.tenant.clone());
            self.planned_for = tenant.map_or(PlannedFor::NoTenant, PlannedFor::Tenant);
        }
    }

    /// Prepares a statement; behind a pooler, only describes it. In a transaction, the time zone stays set.
    pub(crate) async fn prepare(
        &mut self,
        sql: &str,
        time_zone: Option<&TimeZone>,
    ) -> Result<DescribedStatement, SessionError> {
        let prelude = self.internal_prelude().await?;
        let mut before: Vec<_> = prelude.statements().collect();
        // PostgreSQL converts literals, such as those of instants, when it parses a statement.
        let set = time_zone.map(set_time_zone);
        if set.is_some() && before.is_empty() && !self.session.is_in_transaction() {
            before.push(PreludeStatement::Sql(BEGIN_SQL));
        }
        let has_begun = !before.is_empty();
        before.extend(set.as_deref().map(PreludeStatement::Sql));
        let name = if self.is_behind_pooler() { None } else { Some(self.new_name()?) };
        let prepared = self.session.prepare(&before, name, sql).await;
        self.end_internal(has_begun).await?;
        prepared
    }

    /// The only row of one of the runner's own statements, with its values as text.
    pub(crate) async fn row(&mut self, sql: &str, argument: &str) -> Result<Vec<Option<String>>, SessionError> {
        let prelude = self.internal_prelude().await?;
        let before: Vec<_> = prelude.statements().collect();
        let row = self.session.row(&before, sql, argument).await;
        self.end_internal(!before.is_empty()).await?;
        row
    }

    /// Ends the transaction of one of the runner's own statements, if one has begun for it.
    async fn end_internal(&mut self, has_begun: bool) -> Result<(), SessionError> {
        if !has_begun || self.session.is_lost() {
            return Ok(());
        }
        clean_up(&mut self.session).await
    }

    /// A name that no prepared statement has had. The statement of the previous name is closed unless it was cached.
    fn new_name(&mut self) -> Result<String, SessionError> {
        if let Some(name) = self.uncached_name.take() {
            self.session.close_statement(&name)?;
        }
        self.prepared_count += 1;
        let name = format!("metricd_{}", self.prepared_count);
        self.uncached_name = Some(name.clone());
        Ok(name)
    }

    /// The prepared statement for this key.
    pub(crate) fn cached_statement(&mut self, key: &str) -> Option<Arc<PreparedStatement>> {
        self.statement_cache.get(key).cloned()
    }

    /// Caches the statement that was prepared last, and closes the evicted one.
    pub(crate) fn cache_statement(
        &mut self,
        key: &str,
        statement: &Arc<PreparedStatement>,
    ) -> Result<(), SessionError> {
        self.uncached_name = None;
        let evicted = self.statement_cache.push(key.to_owned(), Arc::clone(statement));
        evicted.map_or(Ok(()), |(_, evicted)| self.close(&evicted))
    }

    /// Evicts the statement for this key, and all types: one of them may have changed.
    pub(crate) fn evict_statement(&mut self, key: &str) -> Result<(), SessionError> {
        self.forget_types();
        self.statement_cache.pop(key).map_or(Ok(()), |statement| self.close(&statement))
    }

    fn close(&mut self, statement: &PreparedStatement) -> Result<(), SessionError> {
        statement.described.name().map_or(Ok(()), |name| self.session.close_statement(name))
    }
}

/// The statements that read a session's properties and types, with `NULL` for their parameters.
pub(crate) fn own_statements() -> Vec<String> {
    [properties::SESSION_PROPERTIES_SQL, type_lookup::TYPE_SQL].map(|sql| sql.replace("$1", "NULL")).to_vec()
}

/// The tenant for which the plans of the prepared statements were made.
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
