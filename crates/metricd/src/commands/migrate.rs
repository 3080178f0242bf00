//! `metricd migrate`

mod hardening;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_postgres::{
    DataPlace, ReaderError, ReaderLimits, check_candidate, hardening_script_elsewhere, prepare_reader, reader_notices,
    record_data, schemas_besides, script_elsewhere, script_for_new_reader,
};
use metricd_runner::refuses_login;

use crate::arguments::{DatabaseArguments, MigrateArguments, PlanFormat, REFUSED, usage_error};
use crate::database::{
    Database, Source, check_elsewhere, check_external, expected_place, require_reader, require_schema, require_server,
};
use crate::output;

/// How long a standby may take to replay what was prepared on its primary, and the pause between looks at it.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(3);
const REPLAY_PAUSE: Duration = Duration::from_millis(100);

/// A record of another database was replaced.
const VALIDATED_ELSEWHERE: &str = "stored SQL was validated in another database until now: run `metricd check`, which validates it where the data is\n";

fn refuse_undo(call: MigrateArguments) -> Result<()> {
    let refused = || usage_error("--undo-hardening is for your own database: a private database is always hardened");
    if call.undo_hardening { Err(refused()) } else { Ok(()) }
}

/// Migrates the schema and prepares the reader. On request, hardens the database or undoes the hardening.
pub(crate) async fn migrate(arguments: &DatabaseArguments, call: MigrateArguments) -> Result<ExitCode> {
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
        Source::External { owner, reader: Some(reader) } if !call.undo_hardening && is_elsewhere(&owner, &reader)? => {
            return migrate_catalog(&owner, &reader, &arguments.schemas()?, call).await;
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

fn is_elsewhere(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<bool> {
    require_server(owner)?;
    Ok(expected_place(owner, reader)? == DataPlace::Elsewhere)
}

/// Migrates the catalog's database, and prepares the reader there.
fn migrate_external(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<()> {
    require_server(owner)?;
    check_candidate(owner, reader, schemas)?;
    apply_migrations(owner)?;
    prepare_reader(owner, reader, schemas, ReaderLimits::default())?;
    check_prepared(owner, reader, schemas)?;
    let role = reader.user();
    let besides = schemas_besides(owner, role, schemas)?;
    let only = if besides.is_empty() { " and nothing else" } else { "" };
    output::print(&format!("the database {owner} is up to date; `{role}` may read {schemas}{only}\n"));
    for schema in besides {
        output::print(&format!("{schema}\n"));
    }
    if record_data(owner, reader)? {
        output::print(VALIDATED_ELSEWHERE);
    }
    for notice in reader_notices(owner, role, schemas)? {
        log::info!("{notice}");
    }
    Ok(())
}

/// Checks that the prepared reader is the one of the data. A standby may have to replay it first.
fn check_prepared(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<()> {
    let began = Instant::now();
    loop {
        match check_external(owner, reader, schemas) {
            Ok(DataPlace::Elsewhere) => bail!(
                "the reader was prepared in {owner}, and READER_DATABASE_URL leads to another database of the same name: give it \
                 the address of DATABASE_URL, or run `metricd migrate` again if the data is meant to be there"
            ),
            Ok(DataPlace::Catalog | DataPlace::Standby) => return Ok(()),
            Err(error) if reader.is_at_address_of(owner) && owner.by_host()?.len() == 1 => return Err(error),
            Err(error) if began.elapsed() > REPLAY_TIMEOUT => {
                return Err(error.context(format!(
                    "the reader was prepared in {owner}, and cannot be used at the address of READER_DATABASE_URL: the standby \
                     there may not have replayed that yet"
                )));
            }
            Err(_) => thread::sleep(REPLAY_PAUSE),
        }
    }
}

/// Migrates the catalog's database. Changes nothing where the data is, and prints what is missing there.
async fn migrate_catalog(
    owner: &DatabaseUrl,
    reader: &DatabaseUrl,
    schemas: &DataSchemas,
    call: MigrateArguments,
) -> Result<ExitCode> {
    if call.dry_run && call.format == PlanFormat::Sql {
        output::print(&hardening_script_elsewhere(reader)?);
        return Ok(ExitCode::SUCCESS);
    }
    let harden = format!(
        "stored SQL runs in {reader}, where metricd changes nothing: to harden it, have a superuser run there what `metricd \
         migrate --harden --dry-run --format sql` prints"
    );
    ensure!(!call.dry_run, harden);
    apply_migrations(owner)?;
    output::print(&format!("the catalog {owner} is up to date; the data is elsewhere, where nothing was changed\n"));
    if let Err(error) = check_elsewhere(owner, reader, schemas) {
        output::print(&format!("{}\n", output::message(&error)));
        let script = administrators_script_elsewhere(reader, schemas).await;
        if !script.is_empty() {
            output::print("There, on the primary, an administrator runs:\n");
        }
        for statement in script {
            output::print(&format!("  {statement}\n"));
        }
        return Ok(ExitCode::from(REFUSED));
    }
    if record_data(owner, reader)? {
        output::print(VALIDATED_ELSEWHERE);
    }
    output::print(&format!("{reader} may read {schemas}\n"));
    ensure!(!call.harden, harden);
    Ok(ExitCode::SUCCESS)
}

/// What an administrator runs where the data is. Empty if that is unknown, or no grant mends what is wrong.
pub(super) async fn administrators_script_elsewhere(reader: &DatabaseUrl, schemas: &DataSchemas) -> Vec<String> {
    let limits = ReaderLimits::default();
    match script_elsewhere(reader, schemas, limits) {
        Err(ReaderError::Connect(_)) if refuses_login(reader).await => {
            let mut script = vec!["-- If the role does not exist; otherwise the password may be wrong.".to_owned()];
            script.extend(script_for_new_reader(reader, schemas, limits));
            script
        }
        script => script.unwrap_or_default(),
    }
}

fn apply_migrations(owner: &DatabaseUrl) -> Result<()> {
    for version in metricd_postgres::migrate(owner)? {
        output::print(&format!("applied migration {version}\n"));
    }
    Ok(())
}
