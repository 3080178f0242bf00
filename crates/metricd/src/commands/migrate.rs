//! `metricd migrate`

use std::process::ExitCode;

use anyhow::Result;
use metricd_postgres::{ReaderLimits, check_reader, prepare_reader};

use crate::arguments::DatabaseArguments;
use crate::database::{Database, Source, require_reader, require_version};
use crate::output;

/// Brings the schema up to date and makes the reader.
pub(crate) fn migrate(arguments: &DatabaseArguments) -> Result<ExitCode> {
    match Source::of(arguments)? {
        // Opening a private database is all that it needs.
        Source::Private(_) => {
            Database::open_or_join(arguments)?.close()?;
            output::print("the private database is up to date\n");
        }
        Source::Operators { owner, reader } => {
            let reader = require_reader(reader)?;
            require_version(&owner)?;
            let applied = metricd_postgres::migrate(&owner)?;
            for version in &applied {
                output::print(&format!("applied migration {version}\n"));
            }
            prepare_reader(&owner, &reader, ReaderLimits::default())?;
            check_reader(&reader)?;
            output::print(&format!(
                "the database {owner} is up to date; `{}` may read `warehouse` and nothing else\n",
                reader.user()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
