//! `metricd connect`

use std::process::ExitCode;

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};
use metricd_domain::visible;
use metricd_postgres::{
    DataPlace, PgRepository, ReaderError, ReaderLimits, RepositoryConfig, SchemaFacts, ServerFacts,
    administrators_script, check_candidate, check_migratable, data_place, leads_through_pooler, logs_what_it_prints,
    open_classes, pending_migrations, reader_notices, reader_notices_elsewhere, refuse_pooler, require_recorded_data,
    survey_as_reader, survey_schemas, survey_server,
};
use metricd_repository::{DefinitionFilter, MetricRepository};
use metricd_runner::{PoolerSettings, survey_pooler};

use super::migrate::administrators_script_elsewhere;
use crate::arguments::{ConnectArguments, DEFAULT_QUERY_CONNECTIONS, DatabaseArguments, REFUSED};
use crate::database::{check_elsewhere, check_external, expected_place, newer_version, not_hardened, refuse_server};
use crate::output;

/// Prints what the database is, and what it lacks for `serve`. Changes nothing.
pub(crate) async fn connect(arguments: &DatabaseArguments, call: ConnectArguments) -> Result<ExitCode> {
    let owner = call.url.or_else(|| arguments.database_url.clone()).map(DatabaseUrl::of_owner).context(
        "there is no database to look at: run `metricd connect postgres://user@host:port/database`, or set DATABASE_URL",
    )?;
    let schemas = arguments.schemas()?;
    refuse_pooler(&owner)?;
    let server = survey_server(&owner)?;
    let reader = arguments.reader_database_url.as_ref();
    let found = survey_schemas(&owner, reader.map(DatabaseUrl::user))?;
    let mut page = Page::default();
    match reader {
        Some(reader) if expected_place(&owner, reader)? == DataPlace::Elsewhere => {
            page.describe("Catalog", &owner, &server);
            page.check_apart(&owner, reader, &server, &schemas).await?;
        }
        _ => {
            page.describe("Server", &owner, &server);
            if let Some(reader) = reader
                && let Ok(DataPlace::Standby) = data_place(&owner, reader)
            {
                page.line("data", &format!("on a standby, {}", reader.hosts()));
            }
            page.list(&found, &schemas);
            page.check(&owner, reader, &server, &found, &schemas).await?;
        }
    }
    output::print(&page.text);
    Ok(if page.is_ready { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// Reads the catalog, as `serve` does at its start: its tables may be locked, gone or of another role.
async fn read_catalog(owner: &DatabaseUrl) -> Result<()> {
    let config = RepositoryConfig { max_connections: 1, ..RepositoryConfig::default() };
    let repository = PgRepository::new(owner, config)?;
    let read = repository.list_definitions(&DefinitionFilter::default(), None, 1).await;
    read.map(drop).context("the database has metricd's schemas, and the owner cannot read them")
}

/// The printed page.
#[derive(Debug, Default)]
struct Page {
    text: String,
    is_ready: bool,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.push(heading);
    }

    fn line(&mut self, name: &str, value: &str) {
        self.push(&format!("  {name:<12} {value}"));
    }

    /// Adds a line. A name of the database may contain line breaks, and the line must not look like others.
    fn push(&mut self, line: &str) {
        self.text += &visible(line);
        self.text.push('\n');
    }

    fn items(&mut self, heading: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.heading(heading);
        for item in items {
            self.push(&format!("  - {item}"));
        }
    }

    fn describe(&mut self, heading: &str, url: &DatabaseUrl, server: &ServerFacts) {
        self.heading(heading);
        self.line("address", &url.hosts());
        let place = if server.is_standby { "a standby" } else { "the primary" };
        self.line("PostgreSQL", &format!("{}, {place}", server.version));
        if let Some(service) = &server.service {
            self.line("service", service);
        }
        self.line("connection", server.tls.as_deref().unwrap_or("without TLS"));
        self.line("database", &format!("`{}`, {}", server.database, server.encoding));
        self.line("role", &format!("`{}`, {}", server.role, rights(server)));
        if let Some(citus) = &server.citus {
            self.line("Citus", citus);
        }
    }

    fn list(&mut self, found: &[SchemaFacts], schemas: &DataSchemas) {
        self.heading("Schemas");
        for schema in found {
            let readable = schema.readable.map(|count| format!("; the reader may read {count}")).unwrap_or_default();
            let is_read = if schemas.contains(&schema.name) { "; stored SQL reads it" } else { "" };
            self.line(&schema.name, &format!("{}{readable}{is_read}", relations(schema)));
        }
    }

    /// Adds the same as [`Self::check`], if the data is in another database than the catalog.
    async fn check_apart(
        &mut self,
        owner: &DatabaseUrl,
        reader: &DatabaseUrl,
        server: &ServerFacts,
        schemas: &DataSchemas,
    ) -> Result<()> {
        let (mut missing, mut notes) = (Vec::new(), Vec::new());
        let data = survey_as_reader(reader);
        let refusal = refuse_server(owner, server);
        if refusal.is_none() && pending_migrations(owner)? > 0 {
            missing.push("metricd's schemas, or their latest migrations: run `metricd migrate`".to_owned());
            missing.extend(check_migratable(owner).err().map(|error| error.to_string()));
        } else if refusal.is_none() {
            missing.extend(read_catalog(owner).await.err().map(|error| output::message(&error)));
        }
        missing.splice(0..0, refusal);
        missing.extend(check_elsewhere(owner, reader, schemas).err().map(|error| output::message(&error)));
        if missing.is_empty() {
            missing.extend(require_recorded_data(owner, Some(reader)).err().map(|error| error.to_string()));
        }
        if let Ok((data, found)) = &data {
            notes.extend(newer_version(reader, data.major)?);
            self.describe("Data", reader, data);
            self.list(found, schemas);
            notes.extend(other_schemas(found, schemas));
            let read = found.iter().filter(|schema| schemas.contains(&schema.name));
            if read.filter_map(|schema| schema.readable).sum::<i64>() == 0 {
                notes.push(format!("the reader may read no table of {schemas} in `{}`", data.database));
            }
            notes.extend(reader_notices_elsewhere(reader, schemas)?);
            notes.extend(not_hardened(reader, DataPlace::Elsewhere, &open_classes(reader)?));
            if logs_what_it_prints(reader)? {
                notes.push(format!(
                    "PostgreSQL writes each statement that is validated into its log; a superuser prevents that by \
                     ALTER ROLE {} SET log_min_messages = fatal, and metricd has to be restarted then",
                    quote_identifier(reader.user())
                ));
            }
        } else {
            notes.push(format!("the data, in {reader} at {}, cannot be looked at", reader.hosts()));
        }
        let script = administrators_script_elsewhere(reader, schemas).await;
        let needs = if missing.is_empty() { "To read later tables as well" } else { "What the reader needs" };
        let place =
            format!("{needs}: an administrator runs in `{}` on the data's server, on its primary", reader.database());
        self.conclude(&missing, &place, &script, &notes);
        Ok(())
    }

    /// Adds what `serve` would refuse, with the way to mend it, and what it would warn of.
    async fn check(
        &mut self,
        owner: &DatabaseUrl,
        reader: Option<&DatabaseUrl>,
        server: &ServerFacts,
        found: &[SchemaFacts],
        schemas: &DataSchemas,
    ) -> Result<()> {
        let (mut missing, mut script, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        let refusal = refuse_server(owner, server);
        if refusal.is_none() && pending_migrations(owner)? > 0 {
            missing.push("metricd's schemas, or their latest migrations: run `metricd migrate`".to_owned());
            missing.extend(check_migratable(owner).err().map(|error| error.to_string()));
            if !server.may_create_schemas {
                let (database, role) = (quote_identifier(&server.database), quote_identifier(&server.role));
                script.push(format!("GRANT CREATE ON DATABASE {database} TO {role};"));
            }
        }
        let is_pending = !missing.is_empty();
        let mut changes_list = false;
        if refusal.is_none() && !is_pending {
            missing.extend(read_catalog(owner).await.err().map(|error| output::message(&error)));
        }
        match (reader, &refusal) {
            (None, _) => missing.push(
                "the reader, the role that runs stored SQL: set READER_DATABASE_URL to this database for another user, for \
                 example `metricd_reader`; `metricd migrate` creates the role if it does not exist"
                    .to_owned(),
            ),
            (Some(_), Some(_)) => {}
            (Some(reader), None) => {
                let checked = if is_pending {
                    check_candidate(owner, reader, schemas).map(|()| DataPlace::Catalog).map_err(Into::into)
                } else {
                    check_external(owner, reader, schemas)
                };
                match checked {
                    Ok(_) if is_pending => {
                        script.extend(administrators_script(owner, reader, schemas, ReaderLimits::default())?);
                    }
                    Ok(data) => notes = self::notes(owner, reader, data, schemas).await?,
                    Err(error) => {
                        let is_other = matches!(error.downcast_ref(), Some(ReaderError::OtherSchemas { .. }));
                        let change = if is_other {
                            "; to change the list, stop the servers and run `metricd migrate` with the new one"
                        } else {
                            ""
                        };
                        missing.push(output::message(&error) + change);
                        changes_list = is_other;
                        // What `migrate` would refuse, no administrator can mend by a grant.
                        let rest = administrators_script(owner, reader, schemas, ReaderLimits::default());
                        script.extend(rest.unwrap_or_default());
                    }
                }
            }
        }
        missing.splice(0..0, refusal);
        notes.extend(newer_version(owner, server.major)?);
        notes.extend(other_schemas(found, schemas));
        let ServerFacts { role, database, .. } = server;
        let place = if changes_list {
            format!(
                "To change the list to {schemas}, once all servers with the former one are stopped: an administrator runs in `{database}`"
            )
        } else {
            format!("What `metricd migrate` needs, unless `{role}` may do it: an administrator runs in `{database}`")
        };
        let script = if server.is_superuser { Vec::new() } else { script };
        self.conclude(&missing, &place, &script, &notes);
        Ok(())
    }

    /// Adds what is missing, the script for an administrator, and notes.
    fn conclude(&mut self, missing: &[String], place: &str, script: &[String], notes: &[String]) {
        self.items("Missing", missing);
        if !script.is_empty() {
            self.heading(place);
            for statement in script {
                self.push(&format!("  {statement}"));
            }
        }
        self.items("Notes", notes);
        self.is_ready = missing.is_empty();
        let not = if self.is_ready { "" } else { "not " };
        self.heading(&format!("The database is {not}ready for `metricd serve`."));
    }
}

/// A hint at schemas with tables, if stored SQL reads none of them.
fn other_schemas(found: &[SchemaFacts], schemas: &DataSchemas) -> Option<String> {
    let is_full =
        |schema: &&SchemaFacts| schema.tables + schema.views + schema.materialized_views + schema.foreign_tables > 0;
    let names: Vec<_> = found.iter().filter(is_full).map(|schema| schema.name.as_str()).collect();
    if names.is_empty() || names.iter().any(|name| schemas.contains(name)) {
        return None;
    }
    Some(format!("stored SQL reads {schemas}; to read the tables of other schemas: --data-schema {}", names.join(",")))
}

/// What an operator should know about a database that can be served.
async fn notes(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    data: DataPlace,
    schemas: &DataSchemas,
) -> Result<Vec<String>> {
    let mut notes = reader_notices(owner, reader.user(), schemas)?;
    notes.extend(not_hardened(reader, data, &open_classes(reader)?));
    if leads_through_pooler(reader)? {
        let pooler = pooler(reader).await;
        notes.push(pooler.unwrap_or_else(|error| {
            format!(
                "READER_DATABASE_URL leads through a connection pooler, see docs/poolers.md: {}",
                output::message(&error)
            )
        }));
    }
    Ok(notes)
}

/// The pooler of the reader, and what it needs.
async fn pooler(reader: &DatabaseUrl) -> Result<String> {
    let facts = survey_pooler(reader).await?;
    let pooler = if let Some(settings) = &facts.settings {
        let PoolerSettings { version, pool_mode, pool_size, query_wait_timeout, .. } = settings;
        format!(
            "{version} in {pool_mode} mode, with a pool of {pool_size} processes and a query_wait_timeout of \
             {query_wait_timeout} s"
        )
    } else {
        let mode = if facts.shares_backends { " in transaction mode" } else { "" };
        format!(
            "a connection pooler{mode} (PgBouncer shows its settings if `{}` is one of its stats_users)",
            reader.user()
        )
    };
    Ok(format!(
        "READER_DATABASE_URL leads through {pooler}. metricd needs PgBouncer 1.18 or newer, and a pool of at least \
         --query-connections ({DEFAULT_QUERY_CONNECTIONS} by default), in session mode one more: see docs/poolers.md"
    ))
}

fn rights(server: &ServerFacts) -> &'static str {
    match (server.is_superuser, server.may_create_roles, server.may_create_schemas) {
        (true, ..) => "a superuser",
        (_, true, true) => "may create roles, and schemas in this database",
        (_, true, false) => "may create roles, but no schemas in this database",
        (_, false, true) => "may create schemas in this database, but no roles",
        (_, false, false) => "may create neither roles nor schemas",
    }
}

/// The numbers of relations of each kind: "14 tables, 1 view".
fn relations(schema: &SchemaFacts) -> String {
    let kinds = [
        (schema.tables, "table"),
        (schema.views, "view"),
        (schema.materialized_views, "materialized view"),
        (schema.foreign_tables, "foreign table"),
    ];
    let named = kinds.into_iter().filter(|(count, _)| *count > 0).map(|(count, kind)| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {kind}{plural}")
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() { "empty".to_owned() } else { named.join(", ") }
}
