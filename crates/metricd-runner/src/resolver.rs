//! Has PostgreSQL resolve a statement without running it, in a transaction that is rolled back: describing the
//! statement gives its columns and the types of its parameters, and its tree gives the resolved query. The tree is that
//! of a view, or the one that PostgreSQL prints.

mod client;
pub(crate) mod enums;
mod foreign_keys;
mod pending_tables;
mod printed_tree;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use metricd_connection::LatestTimeline;
use metricd_database::{DataSchemas, DatabaseUrl, Fault, Outage, Trouble, fault_of};
use metricd_domain::{ContractColumn, ContractTable, TableName, TimeZone};
use metricd_execution::{
    Allowed, AllowedSchema, PendingTable, PendingTableError, QueryTree, Resolution, Resolvable, ResolveError,
    ResolvedFunction, ResolvedType, Resolver,
};
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{Column, Statement};

use self::client::{CallError, ResolverClient};
use self::pending_tables::make_statements;
use self::rows::{ResolvedQuery, SchemaRow};
use crate::connection::settings::options;
use crate::introspection::{FINGERPRINT_SQL, FOREIGN_KEYS_SQL};

/// The statement timeout and the lock timeout of each step. The latter is shorter: a step that takes longer is itself
/// slow.
const STEP_TIMEOUT: &str = "3s";
const LOCK_TIMEOUT: &str = "2s";

/// How large the resolved statement may be, as PostgreSQL writes it down. Comparing it with another takes some 25 times
/// as much.
const MAX_TREE_BYTES: usize = 4 << 20;

/// The names that `format_type` prints for these oids.
const TYPE_NAMES_SQL: &str = "
    SELECT array(
        SELECT pg_catalog.format_type(t.oid, NULL)
        FROM pg_catalog.unnest(pg_catalog.string_to_array($1::text, ',')::oid[]) WITH ORDINALITY AS t (oid, number) ORDER BY t.number
    )";

const SAVEPOINT: &str = "SAVEPOINT statement";
const ROLLBACK_TO_SAVEPOINT: &str = "ROLLBACK TO SAVEPOINT statement; RELEASE SAVEPOINT statement";

const BACKEND_PID_SQL: &str = "SELECT pg_catalog.pg_backend_pid()";
const DATA_SCHEMAS_SQL: &str = include_str!("resolver/data_schemas.sql");
const RESOLVED_QUERY_SQL: &str = include_str!("resolver/resolved_query.sql");

/// The settings of each transaction besides the search path: those that stored SQL runs with, and planner settings for
/// reading the resolved query. A request may run in another time zone, which changes values, but no names and no types.
/// Reading the query looks up a few rows by their oid; PostgreSQL would otherwise scan all of `pg_proc`, or use JIT.
const SETTINGS: &str = "SET LOCAL timezone = 'UTC'; \
                        SET LOCAL standard_conforming_strings = on; SET LOCAL plan_cache_mode = force_generic_plan; \
                        SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";

/// Prints the tree of each statement that PostgreSQL parses, as the detail of a message to the client. Every role may
/// set this, also on a standby.
const PRINT_TREES: &str = "SET LOCAL client_min_messages = log; SET LOCAL debug_pretty_print = off; \
                           SET LOCAL debug_print_parse = on";
const PRINT_NO_TREES: &str = "SET LOCAL debug_print_parse = off; SET LOCAL client_min_messages = warning";

/// Resolves statements, on as many connections as there are concurrent calls. Each is opened when it is first needed.
pub struct PgResolver {
    url: DatabaseUrl,
    schemas: DataSchemas,
    role: Role,
    /// The sessions of the owner are with the primary of this timeline.
    timeline: LatestTimeline,
    /// The statements that make the tables which are not stored yet. They are made once, in a transaction that stays open
    /// until the resolver is dropped: a statement and its rewrite for a period are compared by the oids of tables.
    pending_tables: Vec<(TableName, Vec<String>)>,
    /// Held while a statement is resolved with pending tables, which only one transaction can make.
    turn: tokio::sync::Mutex<()>,
    /// The idle connections: at most as many as were ever in use at once.
    idle: Mutex<Vec<ResolverSession>>,
}

/// The role that resolves statements. It decides where their trees come from.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// From a view in the schema `catalog`, which is rolled back.
    Owner,
    /// From a message of PostgreSQL. By default, PostgreSQL writes it into its own log as well.
    Reader,
}

/// A connection. The statement that reads the resolved query stays prepared on it: planning that costs more than
/// everything else.
struct ResolverSession {
    client: ResolverClient,
    resolved_query: Option<Statement>,
    trees: Trees,
    /// Whether the transaction with the pending tables is open.
    has_tables: bool,
}

/// Why a transaction has not begun.
enum BeginError {
    Resolve(ResolveError),
    /// PostgreSQL refuses the pending table, with this message.
    Table(TableName, String),
}

impl From<ResolveError> for BeginError {
    fn from(error: ResolveError) -> Self {
        Self::Resolve(error)
    }
}

/// Where a session has the trees of statements from.
enum Trees {
    /// The view over the statement, by its name. Its transaction is always rolled back, so no other session sees it; but
    /// a session that creates one of the same name waits for that transaction.
    OfView(String),
    Printed,
}

impl fmt::Debug for PgResolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PgResolver").field("url", &self.url).field("role", &self.role).finish_non_exhaustive()
    }
}

impl PgResolver {
    /// A resolver as the owner role, of SQL that reads these schemas. Does not connect yet.
    #[must_use]
    pub fn new(owner: &DatabaseUrl, schemas: &DataSchemas) -> Self {
        let (url, schemas, timeline) = (owner.clone(), schemas.clone(), LatestTimeline::default());
        Self {
            url,
            schemas,
            role: Role::Owner,
            timeline,
            pending_tables: Vec::new(),
            turn: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
        }
    }

    /// A resolver as the reader role, for a database in which metricd has no other role, or which is a standby. Its URL
    /// must not lead through a connection pooler. Does not connect yet.
    ///
    /// PostgreSQL prints each resolved statement into its own log, unless `log_min_messages` is `fatal` or `panic` for
    /// the role.
    #[must_use]
    pub fn of_reader(reader: &DatabaseUrl, schemas: &DataSchemas) -> Self {
        Self { role: Role::Reader, ..Self::new(reader, schemas) }
    }

    /// The same, on the primary of this timeline: a server that a fail-over has replaced is not used any more.
    #[must_use]
    pub fn following(self, timeline: LatestTimeline) -> Self {
        Self { timeline, ..self }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ResolverSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the transaction with the pending tables.
    async fn make_tables(&self) -> Result<(), PendingTableError> {
        let unavailable = |error: ResolveError| {
            PendingTableError::Unavailable(match error {
                ResolveError::Unavailable(outage) => outage,
                error => Outage { fault: Fault::Cancelled, message: error.to_string() },
            })
        };
        let mut session = ResolverSession::open(self).await.map_err(unavailable)?;
        session.begin(&self.schemas, &self.pending_tables).await.map_err(|error| match error {
            BeginError::Resolve(error) => unavailable(error),
            BeginError::Table(table, message) => PendingTableError::Refused { table, message },
        })?;
        session.end().await.map_err(|error| unavailable(refused(error)))?;
        self.idle().push(session);
        Ok(())
    }

    /// Runs the operation in a transaction that is rolled back. The operation gives back the session that it takes.
    async fn in_transaction<T, F>(&self, operation: impl Fn(ResolverSession) -> F) -> Result<T, ResolveError>
    where
        F: Future<Output = (ResolverSession, Result<T, ResolveError>)>,
    {
        let _turn = if self.pending_tables.is_empty() { None } else { Some(self.turn.lock().await) };
        // The server may have closed the connection since its last use: try once more on a new one.
        for is_retry in [false, true] {
            let kept = if is_retry { None } else { self.idle().pop() };
            let mut session = match kept {
                Some(session) if self.timeline.accepts(session.client.timeline) => session,
                _ => ResolverSession::open(self).await?,
            };
            let (mut session, answer) = match session.begin(&self.schemas, &self.pending_tables).await {
                Ok(()) => operation(session).await,
                Err(BeginError::Resolve(error)) => (session, Err(error)),
                // It was made before.
                Err(BeginError::Table(_, message)) => (session, Err(unavailable(message))),
            };
            match session.end().await {
                Ok(()) => {
                    self.idle().push(session);
                    return answer;
                }
                // A server that hangs is not tried twice.
                Err(error @ CallError::TooSlow) => return answer.and(Err(refused(error))),
                Err(_) => {}
            }
        }
        Err(ResolveError::Unavailable(Outage::unreachable("the connection was lost")))
    }
}

impl ResolverSession {
    async fn open(PgResolver { url, schemas, role, timeline, .. }: &PgResolver) -> Result<Self, ResolveError> {
        let unavailable = |error: CallError| ResolveError::Unavailable(Outage::unreachable(error.to_string()));
        let (client, trees) = match role {
            Role::Owner => {
                let mut client = ResolverClient::connect(url, timeline).await.map_err(unavailable)?;
                let row = client.query_one(BACKEND_PID_SQL).await.map_err(unavailable)?;
                let backend: i32 = row.try_get(0).map_err(|error| unavailable(error.into()))?;
                (client, Trees::OfView(format!("catalog.metricd_resolved_{backend}")))
            }
            // The settings of the sessions that run stored SQL.
            Role::Reader => {
                let options = options(schemas, &TimeZone::default());
                (ResolverClient::open(url, &options, timeline).await.map_err(unavailable)?, Trees::Printed)
            }
        };
        Ok(Self { client, resolved_query: None, trees, has_tables: false })
    }

    /// Begins the transaction of a statement, or its part of the transaction with the pending tables.
    async fn begin(
        &mut self,
        schemas: &DataSchemas,
        pending_tables: &[(TableName, Vec<String>)],
    ) -> Result<(), BeginError> {
        if self.has_tables {
            return Ok(self.client.batch_execute(SAVEPOINT).await.map_err(refused)?);
        }
        let limits =
            format!("SET LOCAL statement_timeout = '{STEP_TIMEOUT}'; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'");
        let search_path = schemas.search_path();
        let begin = format!("BEGIN; {limits}; SET LOCAL search_path = {search_path}; {SETTINGS}");
        self.client.batch_execute(&begin).await.map_err(refused)?;
        if pending_tables.is_empty() {
            return Ok(());
        }
        for (table, make) in pending_tables {
            self.client.batch_execute(&make.join("; ")).await.map_err(|error| match refused(error) {
                ResolveError::Refused { message, .. } => BeginError::Table(table.clone(), message),
                error => error.into(),
            })?;
        }
        self.client.batch_execute(SAVEPOINT).await.map_err(refused)?;
        self.has_tables = true;
        Ok(())
    }

    /// Rolls back what the statement did. Prepared statements stay.
    async fn end(&mut self) -> Result<(), CallError> {
        self.client.batch_execute(if self.has_tables { ROLLBACK_TO_SAVEPOINT } else { "ROLLBACK" }).await
    }

    /// The columns of the statement, and the types of its parameters.
    async fn describe(&mut self, text: &str) -> Result<(Statement, Vec<String>), ResolveError> {
        let described = self.client.prepare(text).await.map_err(refused)?;
        let types: Vec<_> = described.params().iter().map(|data_type| data_type.oid().to_string()).collect();
        let names = self.client.query_one_with(TYPE_NAMES_SQL, &types.join(",")).await;
        let names = names.and_then(|row| Ok(row.try_get(0)?)).map_err(refused)?;
        Ok((described, names))
    }

    /// Reads the resolved query from its tree.
    async fn resolved_query(&mut self, tree: QueryTree, columns: &[Column]) -> Result<Resolution, ResolveError> {
        let statement = match &self.resolved_query {
            Some(statement) => statement.clone(),
            None => self.client.prepare(RESOLVED_QUERY_SQL).await.map_err(refused)?,
        };
        self.resolved_query = Some(statement.clone());
        let origin = |column: &Column| {
            let (table, number) = (column.table_oid().unwrap_or(0), column.column_id().unwrap_or(0));
            format!("[{},{table},{number}]", column.type_().oid())
        };
        let origins: Vec<_> = columns.iter().map(origin).collect();
        let origins = format!("[{}]", origins.join(","));
        let view = self.view_oid().await?;
        let row = self.client.query_prepared(&statement, &[&tree.text(), &origins, &view]).await;
        let document: String = row.and_then(|row| Ok(row.try_get(0)?)).map_err(refused)?;
        let mut resolved: ResolvedQuery = serde_json::from_str(&document).map_err(unexpected)?;
        foreign_keys::add(&mut self.client, &mut resolved.tables).await?;
        let named = columns.iter().zip(resolved.columns).map(|(column, row)| {
            let mut column = ContractColumn::new(column.name(), row.type_name);
            column.description = row.description;
            column.references = row.source.map(|source| source.references(&resolved.tables)).unwrap_or_default();
            column
        });
        let columns = named.collect();
        let fingerprint = if resolved.is_repeatable { self.fingerprint(&resolved.tables).await? } else { None };
        Ok(Resolution {
            fingerprint,
            columns,
            parameter_types: Vec::new(),
            tables: resolved.tables,
            functions: resolved.functions.into_iter().map(ResolvedFunction::from).collect(),
            types: resolved.types.into_iter().map(ResolvedType::from).collect(),
            has_time_constants: resolved.has_time_constants,
            forbidden_constructs: resolved.forbidden_constructs,
            unknown_nodes: resolved.unknown_nodes,
            tree,
            enums: BTreeMap::new(),
        })
    }

    /// The tree of a statement that selects from the only subquery `query`.
    async fn tree(&mut self, query: &str) -> Result<QueryTree, ResolveError> {
        let select = format!("SELECT 1 AS one FROM (\n{query}\n) AS statement");
        let text = match &self.trees {
            Trees::OfView(view) => {
                self.client.execute_one(&format!("CREATE VIEW {view} AS {select}")).await.map_err(wrapped_refused)?;
                self.client.simple_text(&tree_sql(view)).await.map_err(refused)?
            }
            Trees::Printed => {
                self.client.batch_execute(PRINT_TREES).await.map_err(refused)?;
                let details = self.client.details_of_preparing(&select).await.map_err(wrapped_refused)?;
                self.client.batch_execute(PRINT_NO_TREES).await.map_err(refused)?;
                Some(printed_tree::of(&details)?).filter(|tree| tree.len() <= MAX_TREE_BYTES)
            }
        };
        text.map(QueryTree::new).ok_or(ResolveError::TooComplex)
    }

    async fn view_oid(&mut self) -> Result<u32, ResolveError> {
        let Trees::OfView(view) = &self.trees else { return Ok(0) };
        let row = self.client.query_one(&view_oid_sql(view)).await;
        row.and_then(|row| Ok(row.try_get(0)?)).map_err(refused)
    }

    async fn fingerprint(&mut self, tables: &[ContractTable]) -> Result<Option<String>, ResolveError> {
        let tables = serde_json::to_string(tables).map_err(unexpected)?;
        let fingerprint = self.client.query_one_with(FINGERPRINT_SQL, &tables).await;
        fingerprint.and_then(|row| Ok(row.try_get(0)?)).map_err(refused)
    }

    async fn allowed(&mut self) -> Result<Allowed, ResolveError> {
        let row = self.client.query_one(DATA_SCHEMAS_SQL).await;
        let document: String = row.and_then(|row| Ok(row.try_get(0)?)).map_err(refused)?;
        let schemas: Vec<SchemaRow> = serde_json::from_str(&document).map_err(unexpected)?;
        Ok(Allowed { schemas: schemas.into_iter().map(AllowedSchema::from).collect(), ..Allowed::default() })
    }

    async fn resolve(&mut self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        let (described, parameter_types) = self.describe(&statement.text).await?;
        if let Some(repeated) = repeated(described.columns().iter().map(Column::name)) {
            return Err(ResolveError::ColumnRepeated(repeated.to_owned()));
        }
        let value = |index: usize| {
            let type_name = parameter_types.get(index).map_or("text", String::as_str);
            format!("CAST(NULL AS {type_name})")
        };
        let tree = self.tree(&statement.with_values(value)).await?;
        let resolution = self.resolved_query(tree, described.columns()).await?;
        let types = resolution.columns.iter().map(|column| &column.type_name).chain(&parameter_types);
        let enums = enums::labels(&mut self.client, types).await?;
        Ok(Resolution { parameter_types, enums, ..resolution })
    }
}

#[async_trait]
impl Resolver for PgResolver {
    async fn allowed(&self) -> Result<Allowed, ResolveError> {
        let operation = |mut session: ResolverSession| async {
            let answer = session.allowed().await;
            (session, answer)
        };
        self.in_transaction(operation).await
    }

    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        let operation = |mut session: ResolverSession| async {
            let answer = session.resolve(statement).await;
            (session, answer)
        };
        self.in_transaction(operation).await
    }

    /// Its statements run one after another.
    async fn with_tables(self: Arc<Self>, tables: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError> {
        let pending_tables = tables.iter().map(|table| (table.after.name().clone(), make_statements(table))).collect();
        let (url, schemas, timeline) = (self.url.clone(), self.schemas.clone(), self.timeline.clone());
        let turn = tokio::sync::Mutex::default();
        let resolver = Self { url, schemas, role: self.role, timeline, pending_tables, turn, idle: Mutex::default() };
        resolver.make_tables().await?;
        Ok(Arc::new(resolver))
    }
}

/// Reads the tree of the view's query, unless it is too large.
fn tree_sql(view: &str) -> String {
    format!(
        "SELECT CASE WHEN pg_catalog.octet_length(tree) <= {MAX_TREE_BYTES} THEN tree END FROM (
            SELECT ev_action::text FROM pg_catalog.pg_rewrite WHERE ev_class = '{view}'::regclass::oid
        ) AS rules (tree)"
    )
}

fn view_oid_sql(view: &str) -> String {
    format!("SELECT '{view}'::regclass::oid")
}

/// The statements of a session, with `NULL` for their parameters. Those of [`ENUM_LABELS_SQL`](enums::ENUM_LABELS_SQL),
/// [`FINGERPRINT_SQL`] and [`FOREIGN_KEYS_SQL`] are of type text here.
pub(crate) fn own_statements() -> Vec<String> {
    vec![
        BACKEND_PID_SQL.to_owned(),
        TYPE_NAMES_SQL.replace("$1", "NULL::text"),
        DATA_SCHEMAS_SQL.to_owned(),
        tree_sql("pg_catalog.pg_roles"),
        view_oid_sql("pg_catalog.pg_roles"),
        RESOLVED_QUERY_SQL.replace("$1", "NULL").replace("$2", "NULL").replace("$3", "NULL"),
        enums::ENUM_LABELS_SQL.replace("$1", "NULL::text"),
        FINGERPRINT_SQL.replace("$1", "NULL::text"),
        FOREIGN_KEYS_SQL.replace("$1", "NULL::text"),
    ]
}

/// The error for PostgreSQL's SQLSTATE.
fn refused(error: CallError) -> ResolveError {
    let error = match error {
        CallError::Refused(error) => error,
        CallError::TooSlow => return ResolveError::TooSlow(error.to_string()),
        CallError::Lost(message) => return ResolveError::Unavailable(Outage::unreachable(message)),
    };
    let fault = fault_of(error.code().code());
    match fault {
        Fault::Statement | Fault::Value | Fault::Constraint => ResolveError::Refused {
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
            character: character(&error),
        },
        // This is the statement timeout: waiting for a lock ends earlier.
        Fault::Cancelled => ResolveError::TooSlow(error.message().to_owned()),
        // The database was full or read-only: the SQL is not at fault.
        Fault::ReadOnly | Fault::Unavailable(_) => {
            ResolveError::Unavailable(Outage { fault, message: error.message().to_owned() })
        }
    }
}

/// The same for a statement around the statement: a position in its text is none in the text of the statement.
fn wrapped_refused(error: CallError) -> ResolveError {
    match refused(error) {
        ResolveError::Refused { message, hint, .. } => ResolveError::Refused { message, hint, character: None },
        other => other,
    }
}

/// The position of the error in the numbered text, in characters from 0.
fn character(error: &DbError) -> Option<usize> {
    let Some(ErrorPosition::Original(position)) = error.position() else { return None };
    usize::try_from(*position).ok()?.checked_sub(1)
}

/// A name that occurs twice.
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

#[expect(clippy::needless_pass_by_value, reason = "taken as `map_err` gives it")]
fn unexpected(error: serde_json::Error) -> ResolveError {
    unavailable(format!("PostgreSQL's answer is not as expected: {error}"))
}

/// The error for a fault of metricd itself.
fn unavailable(message: String) -> ResolveError {
    ResolveError::Unavailable(Outage { fault: Fault::Unavailable(Trouble::Internal), message })
}
