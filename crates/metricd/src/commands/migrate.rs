//! `metricd migrate`

mod hardening;

use std::process::ExitCode;

use anyhow::Result;
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_postgres::{
    ReaderLimits, check_candidate, check_reader, prepare_reader, require_same_database, schemas_besides,
};

use crate::arguments::{DatabaseArguments, MigrateArguments, usage_error};
use crate::database::{Database, Source, log_notices, require_reader, require_schema, require_server};
use crate::output;

fn refuse_undo(call: MigrateArguments) -> Result<()> {
    let refused = || usage_error("--undo-hardening is for your own database: a private database is always hardened");
    if call.undo_hardening { Err(refused()) } else { Ok(()) }
}

/// Migrates the schema and prepares the reader. On request, hardens the database or undoes the hardening.
pub(crate) fn migrate(arguments: &DatabaseArguments, call: MigrateArguments) -> Result<ExitCode> {
    match Source::of(arguments)? {
        Source::Private(_) if call.dry_run => {
            refuse_undo(call)?;
            output::print("a private database is always hardened: nothing would change\n");
        }
        // Opening a private database migrates and hardens it.
        Source::Private(_) => {
            refuse_undo(call)?;
            Database::open_or_join(arguments)?.close()?;
            output::print("the private database is up to date, and hardened\n");
        }
        Source::External { owner, .. } if call.undo_hardening => {
            require_schema(&owner)?;
            hardening::undo(&owner, call)?;
        }
        Source::External { owner, .. } if call.dry_run => {
            require_schema(&owner)?;
            hardening::harden(&owner, call)?;
        }
        Source::External { owner, reader } => {
            migrate_external(&owner, &require_reader(reader)?, &arguments.schemas()?)?;
            if call.harden {
                hardening::harden(&owner, call)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate_external(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<()> {
    require_server(owner)?;
    check_candidate(owner, reader, schemas)?;
    let applied = metricd_postgres::migrate(owner)?;
    for version in &applied {
        output::print(&format!("applied migration {version}\n"));
    }
    prepare_reader(owner, reader, schemas, ReaderLimits::default())?;
    require_same_database(owner, reader)?;
    check_reader(reader, schemas)?;
    let role = reader.user();
    let besides = schemas_besides(owner, role, schemas)?;
    let only = if besides.is_empty() { " and nothing else" } else { "" };
    output::print(&format!("the database {owner} is up to date; `{role}` may read {schemas}{only}\n"));
    for schema in besides {
        output::print(&format!("{schema}\n"));
    }
    log_notices(owner, role, schemas)
}
