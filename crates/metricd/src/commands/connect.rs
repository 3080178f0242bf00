//! `metricd connect`

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl, quote_identifier};
use metricd_postgres::{
    ReaderError, ReaderLimits, SchemaFacts, ServerFacts, administrators_script, check_candidate, check_data_schemas,
    check_reader, leads_through_pooler, open_classes, pending_migrations, reader_notices, refuse_pooler,
    require_same_database, survey_schemas, survey_server,
};

use crate::arguments::{ConnectArguments, DatabaseArguments, REFUSED};
use crate::database::{not_hardened, refuse_server};
use crate::output;

/// Prints what the database is and what `serve` lacks there. Changes nothing.
pub(crate) fn connect(arguments: &DatabaseArguments, call: ConnectArguments) -> Result<ExitCode> {
    let owner = call.url.or_else(|| arguments.database_url.clone()).context(
        "there is no database to look at: run `metricd connect postgres://user@host:port/database`, or set DATABASE_URL",
    )?;
    let schemas = arguments.schemas()?;
    refuse_pooler(&owner)?;
    let server = survey_server(&owner)?;
    let reader = arguments.reader_database_url.as_ref();
    let found = survey_schemas(&owner, reader.map(DatabaseUrl::user))?;
    let mut page = Page::default();
    page.describe(&server, &found, &schemas);
    page.judge(&owner, reader, &server, &found, &schemas)?;
    output::print(&page.text);
    Ok(if page.is_ready { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// The printed page.
#[derive(Debug, Default)]
struct Page {
    text: String,
    is_ready: bool,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{gap}{heading}");
    }

    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "  {name:<12} {value}");
    }

    fn items(&mut self, heading: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.heading(heading);
        for item in items {
            let _ = writeln!(self.text, "  - {item}");
        }
    }

    fn describe(&mut self, server: &ServerFacts, found: &[SchemaFacts], schemas: &DataSchemas) {
        self.heading("Server");
        let place = if server.is_standby { "a standby" } else { "the primary" };
        self.line("PostgreSQL", &format!("{}, {place}", server.version));
        if let Some(service) = &server.service {
            self.line("service", service);
        }
        self.line("connection", server.tls.as_deref().unwrap_or("without TLS"));
        self.line("database", &format!("`{}`, {}", server.database, server.encoding));
        self.line("role", &format!("`{}`, {}", server.role, rights(server)));
        if server.has_citus {
            self.line("Citus", "metricd was not tried with it: results may be of several snapshots");
        }
        self.heading("Schemas");
        for schema in found {
            let readable = schema.readable.map(|count| format!("; the reader may read {count}")).unwrap_or_default();
            let is_read = if schemas.contains(&schema.name) { "; stored SQL reads it" } else { "" };
            self.line(&schema.name, &format!("{}{readable}{is_read}", relations(schema)));
        }
    }

    /// Adds what `serve` would refuse, with the way to mend it, and what it would warn of.
    fn judge(
        &mut self,
        owner: &DatabaseUrl,
        reader: Option<&DatabaseUrl>,
        server: &ServerFacts,
        found: &[SchemaFacts],
        schemas: &DataSchemas,
    ) -> Result<()> {
        let mut missing = Vec::from_iter(refuse_server(owner, server));
        if server.is_standby {
            missing
                .push("a primary: metricd cannot write its catalog on a standby, so give the primary's URL".to_owned());
        }
        let is_usable = missing.is_empty();
        let is_pending = is_usable && pending_migrations(owner)? > 0;
        if is_pending {
            missing.push("metricd's schemas, or their latest migrations: run `metricd migrate`".to_owned());
        }
        let mut notes = Vec::from_iter(other_schemas(found, schemas));
        let mut is_prepared = !is_pending;
        match reader {
            None => missing.push(
                "the reader, the role that runs stored SQL: set READER_DATABASE_URL to this database for another user, for \
                 example `metricd_reader`; `metricd migrate` creates the role if it does not exist"
                    .to_owned(),
            ),
            Some(reader) if is_usable => {
                if let Err(error) = judge_reader(owner, reader, schemas, is_pending) {
                    missing.push(output::message(&error));
                    // The list of schemas is a matter of the command line.
                    is_prepared = matches!(
                        error.downcast_ref(),
                        Some(ReaderError::OtherSchemas { .. } | ReaderError::NoSchema { .. })
                    );
                } else if !is_pending {
                    notes.extend(self::notes(owner, reader, schemas)?);
                }
            }
            Some(_) => {}
        }
        self.items("Missing", &missing);
        if is_usable && !server.is_superuser {
            let mut script = Vec::new();
            if is_pending && !server.may_create_schemas {
                let (database, role) = (quote_identifier(&server.database), quote_identifier(&server.role));
                script.push(format!("GRANT CREATE ON DATABASE {database} TO {role};"));
            }
            if let Some(reader) = reader.filter(|_| !is_prepared) {
                script
                    .extend(administrators_script(owner, reader, schemas, ReaderLimits::default()).unwrap_or_default());
            }
            self.script(server, &script);
        }
        self.items("Notes", &notes);
        self.is_ready = missing.is_empty();
        self.heading(if self.is_ready { "`metricd serve` would start." } else { "`metricd serve` would not start." });
        Ok(())
    }

    fn script(&mut self, server: &ServerFacts, script: &[String]) {
        if script.is_empty() {
            return;
        }
        let ServerFacts { role, database, .. } = server;
        self.heading(&format!(
            "What `{role}` may not do itself, an administrator runs in `{database}`, before `metricd migrate`"
        ));
        for statement in script {
            let _ = writeln!(self.text, "  {statement}");
        }
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

/// Checks the reader as `serve` does or, before the first migration, as `migrate` does.
fn judge_reader(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas, is_pending: bool) -> Result<()> {
    if is_pending {
        return Ok(check_candidate(owner, reader, schemas)?);
    }
    require_same_database(owner, reader)?;
    check_data_schemas(owner, Some(reader.user()), schemas)?;
    Ok(check_reader(reader, schemas)?)
}

/// What an operator should know about a database that can be served.
fn notes(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<Vec<String>> {
    let mut notes = reader_notices(owner, reader.user(), schemas)?;
    notes.extend(not_hardened(owner, reader, &open_classes(reader)?));
    if leads_through_pooler(reader)? {
        notes.push(
            "READER_DATABASE_URL leads through a connection pooler: docs/poolers.md says which settings it needs"
                .to_owned(),
        );
    }
    Ok(notes)
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
