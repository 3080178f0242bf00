//! What a database of the operator has to be, and where its data is.

use anyhow::{Result, bail, ensure};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_postgres::{
    DataPlace, ReaderError, ServerFacts, check_data_schemas, check_reader, check_reader_elsewhere, data_place,
    data_place_as_owner, leads_through_pooler, pending_migrations, refuse_pooler, survey_as_reader, survey_server,
    unknown_functions,
};

/// The oldest supported version of PostgreSQL.
const MIN_MAJOR: i32 = 15;

/// The newest version of PostgreSQL that the rules for SQL, functions and privileges consider.
const NEWEST_KNOWN_MAJOR: i32 = 18;

/// How many functions the warning about a newer version names.
const MAX_NAMED_FUNCTIONS: usize = 20;

/// Checks that the reader may serve stored SQL over these schemas, and says where they are.
pub(crate) fn check_external(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<DataPlace> {
    let data = data_place(owner, reader)?;
    match data {
        DataPlace::Catalog | DataPlace::Standby => {
            check_data_schemas(owner, Some(reader.user()), schemas)?;
            check_reader(reader, schemas)?;
        }
        DataPlace::Elsewhere => check_elsewhere(owner, reader, schemas)?,
    }
    Ok(data)
}

/// Where the reader's data is, also if the reader cannot log in there yet: then the owner looks there. What is unknown is
/// elsewhere, where nothing is changed.
pub(crate) fn expected_place(owner: &DatabaseUrl, reader: &DatabaseUrl) -> Result<DataPlace> {
    match data_place(owner, reader) {
        Err(ReaderError::Connect(_)) if reader.is_at_address_of(owner) => {
            Ok(if owner.database() == reader.database() { DataPlace::Catalog } else { DataPlace::Elsewhere })
        }
        // It refuses transactions, which is reported in its place. Data elsewhere is not read through a pooler.
        Err(ReaderError::Connect(_)) if leads_through_pooler(reader).unwrap_or(false) => Ok(DataPlace::Catalog),
        Err(ReaderError::Connect(_)) => {
            let as_owner = reader.as_role_of(owner)?;
            let found = as_owner.is_as_protected_as(owner).then(|| data_place_as_owner(owner, &as_owner));
            Ok(found.and_then(Result::ok).unwrap_or(DataPlace::Elsewhere))
        }
        place => Ok(place?),
    }
}

/// The same for data in another database than the catalog. There the reader also validates SQL, in transactions of one
/// session.
pub(crate) fn check_elsewhere(owner: &DatabaseUrl, reader: &DatabaseUrl, schemas: &DataSchemas) -> Result<()> {
    ensure!(
        !leads_through_pooler(reader)?,
        "READER_DATABASE_URL leads through a connection pooler to another database than that of DATABASE_URL, where the \
         reader also validates SQL: set READER_DATABASE_URL to PostgreSQL's own address"
    );
    let (server, _) = survey_as_reader(reader)?;
    if let Some(refusal) = refuse_data_server(reader, &server) {
        bail!(refusal);
    }
    warn_of_newer(reader, server.major)?;
    Ok(check_reader_elsewhere(owner, reader, schemas)?)
}

/// The warning about the privileges of PUBLIC of these classes.
pub(crate) fn not_hardened(reader: &DatabaseUrl, data: DataPlace, open_classes: &[String]) -> Option<String> {
    let harden = match data {
        DataPlace::Catalog | DataPlace::Standby => "run `metricd migrate --harden`",
        DataPlace::Elsewhere => {
            "have a superuser run there what `metricd migrate --harden --dry-run --format sql` prints"
        }
    };
    (!open_classes.is_empty()).then(|| {
        format!(
            "the database of {reader} is not hardened: PostgreSQL's defaults let the reader do harm in a read-only transaction \
             ({}); see docs/hardening.md, and {harden}",
            open_classes.join(", ")
        )
    })
}

/// Checks that the owner's URL leads to a server and a database that metricd can use.
pub(crate) fn require_server(owner: &DatabaseUrl) -> Result<()> {
    refuse_pooler(owner)?;
    let server = survey_server(owner)?;
    if let Some(refusal) = refuse_server(owner, &server) {
        bail!(refusal);
    }
    warn_of_newer(owner, server.major)
}

/// Why metricd cannot use the server or the database for its catalog.
pub(crate) fn refuse_server(owner: &DatabaseUrl, server: &ServerFacts) -> Option<String> {
    if server.is_standby {
        return Some(format!(
            "the server at {owner} is a standby, where metricd cannot write its catalog: set DATABASE_URL to the primary"
        ));
    }
    if server.is_reader {
        return Some(format!(
            "DATABASE_URL names the role `{}`, which is a reader of metricd: DATABASE_URL is that of the owner, and \
             READER_DATABASE_URL that of the reader",
            server.role
        ));
    }
    refuse_data_server(owner, server)
}

/// Why metricd cannot use the server or the database for data.
fn refuse_data_server(reader: &DatabaseUrl, server: &ServerFacts) -> Option<String> {
    refuse_version(reader, server).or_else(|| refuse_encoding(server))
}

fn refuse_version(url: &DatabaseUrl, ServerFacts { major, .. }: &ServerFacts) -> Option<String> {
    (*major < MIN_MAJOR)
        .then(|| format!("the server at {url} is PostgreSQL {major}: version {MIN_MAJOR} or newer is required"))
}

fn refuse_encoding(ServerFacts { encoding, database, .. }: &ServerFacts) -> Option<String> {
    (encoding != "UTF8").then(|| {
        format!(
            "the database `{database}` has the encoding {encoding}, and metricd needs UTF8: copy it into a database that \
             was created with `createdb --encoding UTF8 --template template0`"
        )
    })
}

pub(super) fn warn_of_newer(url: &DatabaseUrl, major: i32) -> Result<()> {
    if let Some(warning) = newer_version(url, major)? {
        log::warn!("{warning}");
    }
    Ok(())
}

/// The warning about a version that this program does not know, with what nobody has reviewed there.
pub(crate) fn newer_version(url: &DatabaseUrl, major: i32) -> Result<Option<String>> {
    if major <= NEWEST_KNOWN_MAJOR {
        return Ok(None);
    }
    Ok(Some(describe_newer(major, &unknown_functions(url)?)))
}

fn describe_newer(major: i32, unknown: &[String]) -> String {
    let names: Vec<_> =
        unknown.iter().take(MAX_NAMED_FUNCTIONS).map(|function| function.trim_start_matches("pg_catalog.")).collect();
    let more = match unknown.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let volatile = if names.is_empty() {
        "it has no new volatile functions".to_owned()
    } else {
        format!("hardening revokes its new volatile functions from PUBLIC: {}{more}", names.join(", "))
    };
    format!(
        "PostgreSQL {major} is newer than this version of metricd, which knows {MIN_MAJOR} to {NEWEST_KNOWN_MAJOR}. Stored SQL may \
         not name its new functions and types. Not reviewed are its new operators, casts and overloads, which stored SQL may \
         use unless they are volatile, and its new functions in views; {volatile}"
    )
}

pub(crate) fn require_schema(owner: &DatabaseUrl) -> Result<()> {
    require_server(owner)?;
    let pending = pending_migrations(owner)?;
    ensure!(pending == 0, "the database {owner} lacks {pending} migrations: run `metricd migrate`");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_about_a_newer_version_names_the_volatile_functions() {
        let newer = NEWEST_KNOWN_MAJOR + 1;
        let unknown: Vec<_> =
            (1..=MAX_NAMED_FUNCTIONS + 2).map(|number| format!("pg_catalog.later_{number}(integer)")).collect();
        let warning = describe_newer(newer, &unknown[..1]);
        assert!(warning.starts_with(&format!("PostgreSQL {newer} is newer")), "{warning}");
        assert!(warning.ends_with("from PUBLIC: later_1(integer)"), "{warning}");
        let warning = describe_newer(newer, &unknown);
        assert!(warning.contains(&format!("later_{MAX_NAMED_FUNCTIONS}(integer) and 2 more")), "{warning}");
        assert!(describe_newer(newer, &[]).ends_with("it has no new volatile functions"));
    }
}
