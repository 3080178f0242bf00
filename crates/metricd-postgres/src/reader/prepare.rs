//! Makes a role the reader: creates it, limits it, and grants it the privilege to read the data schemas.

use diesel::connection::SimpleConnection;
use diesel::sql_types::{Array, Bool, Integer, Nullable, Text};
use diesel::{Connection, OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};
use postgres_protocol::password::scram_sha_256;
use secrecy::ExposeSecret;

use super::{
    COMMENT, OWN_SCHEMA, ReaderError, ReaderLimits, check_candidate, existing_schemas, faults_of, require_schemas,
};
use crate::connection::{connect_as_owner, connect_as_reader};
use crate::hardening::LOCK;

/// On a private server: the limit of temporary files of a statement in KiB, and which messages of the reader's
/// sessions go to the server's log. Not its errors, which quote values of any size: the runner reports those.
const PRIVATE_SETTINGS: [(&str, &str); 2] = [("temp_file_limit", "524288"), ("log_min_messages", "fatal")];

/// Creates the reader if it does not exist, sets its limits, and grants it the privilege to read the data schemas, and
/// tables that are created in them later, in one transaction. What is in order stays as it is; the password of an
/// existing role is not changed. A role in another use is refused, as by [`check_candidate`].
///
/// A schema other than `warehouse` is opened once: if the reader has been granted anything in it, nothing more is granted
/// there.
///
/// # Errors
///
/// [`ReaderError`]; nothing has changed then. If the owner lacks the privileges, the error says what an administrator has
/// to run.
pub fn prepare_reader(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    limits: ReaderLimits,
) -> Result<(), ReaderError> {
    check_candidate(owner, reader, schemas)?;
    let mut connection = connect_as_owner(owner)?;
    let refused = |error: diesel::result::Error| super::refused(reader.user(), &error, "Nothing was changed");
    let existing = existing_schemas(&mut connection).map_err(refused)?;
    require_schemas(&existing, schemas.names().iter())?;
    let preparation = Preparation { owner: Some(owner), reader, schemas, limits };
    let prepared = connection.transaction(|connection| preparation.carry_out(connection));
    prepared.map_err(|failure| {
        let advice = match preparation.plan(&mut connection, Grantor::Administrator) {
            Ok(Plan { statements, .. }) => {
                format!("No role and no privilege was changed. Have an administrator run: {}", statements.join(" "))
            }
            Err(error) => format!("No role and no privilege was changed. What is missing is unknown: {error}"),
        };
        ReaderError::Refused { role: reader.user().to_owned(), message: failure.to_string(), advice }
    })
}

/// The statements for an administrator, after which [`prepare_reader`] does the rest as the owner. Changes nothing.
///
/// # Errors
///
/// [`ReaderError`] as of [`prepare_reader`], if it would refuse the role or a schema.
pub fn administrators_script(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    limits: ReaderLimits,
) -> Result<Vec<String>, ReaderError> {
    check_candidate(owner, reader, schemas)?;
    let mut connection = connect_as_owner(owner)?;
    let refused = |error: diesel::result::Error| super::refused(reader.user(), &error, "Nothing was changed");
    let preparation = Preparation { owner: Some(owner), reader, schemas, limits };
    let plan = preparation.plan(&mut connection, Grantor::Administrator).map_err(refused)?;
    Ok(plan.statements)
}

/// The statements for an administrator of a database that is not the catalog's, after which the reader can be used there
/// and reads later tables as well. Empty if nothing is missing, or if the role has privileges that no reader may have.
/// Changes nothing.
///
/// # Errors
///
/// [`ReaderError::Connect`] if the reader cannot log in, [`ReaderError::NoSchema`] if the database lacks a schema,
/// [`ReaderError::Refused`] if the state cannot be read.
pub fn script_elsewhere(
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    limits: ReaderLimits,
) -> Result<Vec<String>, ReaderError> {
    let mut connection = connect_as_reader(reader)?;
    let refused = |error: diesel::result::Error| super::refused(reader.user(), &error, "Nothing was changed");
    let existing = existing_schemas(&mut connection).map_err(refused)?;
    require_schemas(&existing, schemas.names().iter())?;
    if faults_of(reader, schemas, &[])?.iter().any(|fault| fault.kind == "lasting") {
        return Ok(Vec::new());
    }
    let preparation = Preparation { owner: None, reader, schemas, limits };
    Ok(preparation.plan(&mut connection, Grantor::Administrator).map_err(refused)?.statements)
}

/// The same for a role that does not exist, and schemas about which nothing is known.
#[must_use]
pub fn script_for_new_reader(reader: &DatabaseUrl, schemas: &DataSchemas, limits: ReaderLimits) -> Vec<String> {
    Preparation { owner: None, reader, schemas, limits }.whole()
}

/// Why the owner cannot prepare the reader.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Refused(#[from] diesel::result::Error),
    /// A GRANT by a role that may not grant is only a warning in PostgreSQL.
    #[error("it granted nothing: {0}")]
    NotGranted(String),
}

/// Who runs the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grantor {
    Owner,
    /// A role that may grant everything, and that a person uses.
    Administrator,
}

/// The statements that are left to run.
#[derive(Debug, Default)]
struct Plan {
    statements: Vec<String>,
    /// The schemas whose tables they open.
    opened: Vec<String>,
    /// Statements that the owner may not run, and without which the reader can be used.
    left_out: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Preparation<'a> {
    /// The owner of the catalog, if the data is in its database.
    owner: Option<&'a DatabaseUrl>,
    reader: &'a DatabaseUrl,
    schemas: &'a DataSchemas,
    limits: ReaderLimits,
}

impl Preparation<'_> {
    fn carry_out(self, connection: &mut PgConnection) -> Result<(), Failure> {
        // In PostgreSQL, concurrent changes of a role or of the privileges of a database fail.
        connection.batch_execute(LOCK)?;
        let plan = self.plan(connection, Grantor::Owner)?;
        connection.batch_execute(&plan.statements.concat())?;
        if let Some(missing) = self.missing(connection, &plan.opened)? {
            return Err(Failure::NotGranted(missing));
        }
        for statement in plan.left_out {
            log::warn!(
                "later tables of another role stay closed to the reader, because the owner is no member of that role: have \
                 an administrator run {statement}"
            );
        }
        Ok(())
    }

    fn plan(self, connection: &mut PgConnection, grantor: Grantor) -> QueryResult<Plan> {
        let role = quote_identifier(self.reader.user());
        let mut plan = Plan::default();
        if !role_exists(connection, self.reader.user())? {
            plan.statements.push(self.create_role(&role, grantor));
        }
        plan.statements.extend(self.settings(connection, &role)?);
        // Granted by name, so that it stays if PUBLIC loses it. An administrator is shown only what is missing.
        if grantor == Grantor::Owner || !may_connect(connection, self.reader.user())? {
            plan.statements.push(self.grant_connect(&role));
        }
        // The owner owns metricd's schemas, and needs no administrator there.
        if grantor == Grantor::Owner {
            plan.statements.extend(grants(&role));
        }
        for schema in self.schemas.names() {
            let Some(privileges) = privileges(connection, self.reader.user(), schema)? else { continue };
            self.open(&mut plan, &role, schema, &privileges, grantor);
        }
        Ok(plan)
    }

    /// Adds what the reader and the owner lack in a schema. Tables of the operator's are opened only to a reader that
    /// has been granted nothing there, since the operator may have revoked the rest.
    fn open(self, plan: &mut Plan, role: &str, schema: &str, privileges: &SchemaPrivileges, grantor: Grantor) {
        let (is_own, name) = (self.owner.is_some() && schema == OWN_SCHEMA, quote_identifier(schema));
        let opens = if is_own { !privileges.closed.is_empty() } else { !privileges.has_grants };
        if opens || !privileges.is_usable {
            plan.statements.push(format!("GRANT USAGE ON SCHEMA {name} TO {role};"));
        }
        if opens {
            plan.statements.push(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role};"));
            plan.opened.push(schema.to_owned());
        }
        if let Some(owner) = self.owner.filter(|_| !privileges.is_usable_by_owner) {
            let owner = quote_identifier(owner.user());
            plan.statements.push(format!("GRANT USAGE ON SCHEMA {name} TO {owner};"));
        }
        // In the catalog's database, the operator may have revoked it.
        if !opens && !is_own && self.owner.is_some() {
            return;
        }
        for creator in &privileges.creators {
            let statement = format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {name} GRANT SELECT ON TABLES TO {role};",
                quote_identifier(creator)
            );
            if grantor == Grantor::Administrator || privileges.own_creators.contains(creator) {
                plan.statements.push(statement);
            } else {
                plan.left_out.push(statement);
            }
        }
    }

    /// What the reader lacks although it was granted.
    fn missing(self, connection: &mut PgConnection, opened: &[String]) -> QueryResult<Option<String>> {
        let role = self.reader.user();
        if !may_connect(connection, role)? {
            return Ok(Some(format!("`{role}` may not connect to the database")));
        }
        for schema in self.schemas.names() {
            let Some(privileges) = privileges(connection, role, schema)? else { continue };
            if !privileges.is_usable {
                return Ok(Some(format!("`{role}` may not use the schema `{schema}`")));
            }
            if let Some(owner) = self.owner.filter(|_| !privileges.is_usable_by_owner) {
                return Ok(Some(format!("`{}` may not use the schema `{schema}`", owner.user())));
            }
            if let Some(table) = privileges.closed.first().filter(|_| opened.contains(schema)) {
                return Ok(Some(format!("`{role}` may not read `{schema}.{table}`")));
            }
        }
        Ok(None)
    }

    /// All statements, for a role that does not exist.
    fn whole(self) -> Vec<String> {
        let role = quote_identifier(self.reader.user());
        let mut statements = vec![self.create_role(&role, Grantor::Administrator)];
        statements.extend(self.missing_settings(&role, None));
        statements.push(self.grant_connect(&role));
        for schema in self.schemas.names() {
            let name = quote_identifier(schema);
            statements.push(format!("GRANT USAGE ON SCHEMA {name} TO {role};"));
            statements.push(format!("GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role};"));
            statements.push(format!(
                "-- For later tables, once for each role that creates them: ALTER DEFAULT PRIVILEGES FOR ROLE … IN SCHEMA \
                 {name} GRANT SELECT ON TABLES TO {role};"
            ));
        }
        statements
    }

    fn grant_connect(self, role: &str) -> String {
        // Behind a pooler, the reader's URL may name the database differently.
        let database = self.owner.unwrap_or(self.reader).database();
        format!("GRANT CONNECT ON DATABASE {} TO {role};", quote_identifier(database))
    }

    fn create_role(self, role: &str, grantor: Grantor) -> String {
        // The statement contains the verifier, not the password, which could otherwise appear in the log.
        let password = self.reader.password().map(|password| match grantor {
            Grantor::Owner => scram_sha_256(password.expose_secret().as_bytes()),
            Grantor::Administrator => "…".to_owned(),
        });
        let password = password.map(|password| format!(" PASSWORD '{password}'")).unwrap_or_default();
        format!(
            "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS{password};"
        )
    }

    /// The limits and settings that the role lacks.
    fn settings(self, connection: &mut PgConnection, role: &str) -> QueryResult<Vec<String>> {
        let query = sql_query(include_str!("role.sql")).bind::<Text, _>(self.reader.user());
        let state: Option<RoleState> =
            query.bind::<Array<Text>, _>(self.schemas.names()).get_result(connection).optional()?;
        Ok(self.missing_settings(role, state.as_ref()))
    }

    /// The limits and settings that a role in this state lacks. On a server of the operator, those of other sizes stay:
    /// the operator has chosen them.
    fn missing_settings(self, role: &str, state: Option<&RoleState>) -> Vec<String> {
        let is_private = self.limits.on_private_server;
        let has_limit = |state: &RoleState| match i32::try_from(self.limits.connections) {
            Ok(wanted) if is_private => state.connection_limit == wanted,
            _ => state.connection_limit >= 0,
        };
        let has_setting = |state: &RoleState, name: &str, wanted: &str| {
            let prefix = format!("{name}=");
            let set = state.settings.iter().find_map(|setting| setting.strip_prefix(&prefix));
            match name {
                _ if is_private => set == Some(wanted),
                "default_transaction_read_only" => set == Some(wanted),
                // The reader is safe without it, and an administrator may have removed it.
                "idle_in_transaction_session_timeout" => true,
                _ => set.is_some_and(|set| set.contains(|digit: char| ('1'..='9').contains(&digit))),
            }
        };
        let mut missing = Vec::new();
        if !state.is_some_and(has_limit) {
            missing.push(format!("ALTER ROLE {role} CONNECTION LIMIT {};", self.limits.connections));
        }
        for (name, value) in role_settings(self.limits) {
            if !state.is_some_and(|state| has_setting(state, name, value.trim_matches('\''))) {
                missing.push(format!("ALTER ROLE {role} SET {name} = {value};"));
            }
        }
        if !state.is_some_and(|state| state.has_search_path) {
            missing.push(format!("ALTER ROLE {role} SET search_path = {};", self.schemas.search_path()));
        }
        // A role that may change the settings may set the comment as well.
        if !missing.is_empty() && state.is_none_or(|state| state.comment.as_deref() != Some(COMMENT)) {
            missing.push(format!("COMMENT ON ROLE {role} IS '{COMMENT}';"));
        }
        missing
    }
}

/// The limits and settings of a role.
#[derive(QueryableByName)]
struct RoleState {
    /// How many connections it may have at once; -1 without a limit.
    #[diesel(sql_type = Integer)]
    connection_limit: i32,
    /// Its settings: `statement_timeout=5000ms`.
    #[diesel(sql_type = Array<Text>)]
    settings: Vec<String>,
    /// Whether its search path is that of the data schemas.
    #[diesel(sql_type = Bool)]
    has_search_path: bool,
    #[diesel(sql_type = Nullable<Text>)]
    comment: Option<String>,
}

/// The settings of the role's sessions besides the search path, in the form in which PostgreSQL stores them.
fn role_settings(limits: ReaderLimits) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("default_transaction_read_only", "on".to_owned()),
        ("statement_timeout", format!("'{}ms'", limits.statement_timeout.as_millis())),
        ("idle_in_transaction_session_timeout", "'60s'".to_owned()),
    ];
    if limits.on_private_server {
        settings.extend(PRIVATE_SETTINGS.map(|(name, value)| (name, format!("'{value}'"))));
    }
    settings
}

/// The privileges of the reader on metricd's own schemas.
fn grants(role: &str) -> Vec<String> {
    vec![
        format!("GRANT USAGE ON SCHEMA tenancy TO {role};"),
        format!("GRANT EXECUTE ON FUNCTION tenancy.enter(text), tenancy.current_tenant() TO {role};"),
        format!("REVOKE ALL ON SCHEMA catalog FROM PUBLIC, {role};"),
        format!("REVOKE ALL ON ALL TABLES IN SCHEMA catalog FROM PUBLIC, {role};"),
        format!("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA catalog FROM PUBLIC, {role};"),
    ]
}

/// What the reader and the owner may do in a schema.
#[derive(QueryableByName)]
struct SchemaPrivileges {
    /// Whether the reader has been granted anything there.
    #[diesel(sql_type = Bool)]
    has_grants: bool,
    /// Whether the reader may name its tables.
    #[diesel(sql_type = Bool)]
    is_usable: bool,
    /// Whether the owner may name its tables.
    #[diesel(sql_type = Bool)]
    is_usable_by_owner: bool,
    /// The tables and views that the reader may not read.
    #[diesel(sql_type = Array<Text>)]
    closed: Vec<String>,
    /// The roles that create tables there, and whose tables the reader may not read by default.
    #[diesel(sql_type = Array<Text>)]
    creators: Vec<String>,
    /// Those of them whose privileges the owner has.
    #[diesel(sql_type = Array<Text>)]
    own_creators: Vec<String>,
}

/// `None` if there is no such schema.
fn privileges(connection: &mut PgConnection, role: &str, schema: &str) -> QueryResult<Option<SchemaPrivileges>> {
    let query = sql_query(include_str!("schema.sql")).bind::<Text, _>(role).bind::<Text, _>(schema);
    query.get_result(connection).optional()
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Whether the role exists and may connect to this database.
fn may_connect(connection: &mut PgConnection, role: &str) -> QueryResult<bool> {
    let query = sql_query(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_roles
             WHERE rolname = $1 AND has_database_privilege(oid, current_database(), 'CONNECT')
         ) AS answer",
    );
    Ok(query.bind::<Text, _>(role).get_result::<Answer>(connection)?.answer)
}

fn role_exists(connection: &mut PgConnection, role: &str) -> QueryResult<bool> {
    let query = sql_query("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1) AS answer");
    Ok(query.bind::<Text, _>(role).get_result::<Answer>(connection)?.answer)
}
