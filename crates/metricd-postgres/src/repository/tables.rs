//! Tables that files are loaded into: their definitions in the catalog, and the tables themselves.

mod alterations;
mod attempt;
mod copy;
mod load;
mod sql;
mod staged;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, Text};
use diesel::{PgConnection, QueryableByName, sql_query};
use metricd_domain::{Actor, ChangeAction, Load, MetricId, TABLE_SCHEMA, Table, TableName};
use metricd_repository::{
    Changes, ContentDigest, ExistingTable, Ingestion, LoadedContent, RepositoryError, StoredTable, TableChanges,
    TableRefusal, TableUpdate, TableVersion,
};
use serde_json::Value;

use self::alterations::find_alterations;
use self::attempt::{TableError, execute};
use self::load::{Loaded, RowPath};
use self::sql::table_sql;
use super::error::{corrupt, failed};
use super::ingest::LOCK;
use super::rows::claimed_actor;
use crate::schema::catalog::{table_loads, table_versions, tables};

type TableRow = (Value, i32, DateTime<Utc>, Value);

fn parse<T: serde::de::DeserializeOwned>(document: Value) -> Result<T, RepositoryError> {
    serde_json::from_value(document).map_err(corrupt)
}

fn version_of(version: i32) -> Result<u32, RepositoryError> {
    u32::try_from(version).map_err(corrupt)
}

fn stored((definition, version, changed_at, changed_by): TableRow) -> Result<StoredTable, RepositoryError> {
    Ok(StoredTable::new(parse(definition)?, version_of(version)?, changed_at, parse(changed_by)?))
}

pub(super) fn list(connection: &mut PgConnection) -> Result<Vec<StoredTable>, RepositoryError> {
    let rows: Vec<TableRow> = tables::table
        .filter(tables::deleted_at.is_null())
        .order(tables::table_name)
        .select((tables::definition, tables::version, tables::changed_at, tables::changed_by))
        .load(connection)
        .map_err(failed)?;
    rows.into_iter().map(stored).collect()
}

pub(super) fn get(connection: &mut PgConnection, name: &TableName) -> Result<StoredTable, RepositoryError> {
    let row: Option<TableRow> = tables::table
        .filter(tables::table_name.eq(name.as_str()).and(tables::deleted_at.is_null()))
        .select((tables::definition, tables::version, tables::changed_at, tables::changed_by))
        .first(connection)
        .optional()
        .map_err(failed)?;
    stored(row.ok_or_else(|| RepositoryError::TableNotFound(name.clone()))?)
}

pub(super) fn list_versions(
    connection: &mut PgConnection,
    name: &TableName,
) -> Result<Vec<TableVersion>, RepositoryError> {
    type VersionRow = (i32, String, Value, DateTime<Utc>, Value);
    let rows: Vec<VersionRow> = table_versions::table
        .filter(table_versions::table_name.eq(name.as_str()))
        .order(table_versions::version.desc())
        .select((
            table_versions::version,
            table_versions::action,
            table_versions::definition,
            table_versions::changed_at,
            table_versions::changed_by,
        ))
        .load(connection)
        .map_err(failed)?;
    if rows.is_empty() {
        return Err(RepositoryError::TableNotFound(name.clone()));
    }
    let version = |(version, action, definition, changed_at, changed_by): VersionRow| {
        let action: ChangeAction = parse(Value::String(action))?;
        Ok(TableVersion::new(version_of(version)?, action, parse(definition)?, changed_at, parse(changed_by)?))
    };
    rows.into_iter().map(version).collect()
}

#[derive(QueryableByName)]
struct Reader {
    #[diesel(sql_type = Text)]
    metric_id: String,
}

const READERS: &str = "
    SELECT metric_id FROM catalog.metrics
    WHERE deleted_at IS NULL AND contract -> 'tables' @> jsonb_build_array(jsonb_build_object('schema', $1, 'name', $2))
    ORDER BY metric_id";

#[derive(QueryableByName)]
struct ReaderWithQuery {
    #[diesel(sql_type = Text)]
    metric_id: String,
    #[diesel(sql_type = Text)]
    query_id: String,
}

const READERS_OF_ANY: &str = "
    SELECT metric_id, query_id FROM catalog.metrics
    WHERE deleted_at IS NULL AND EXISTS (
        SELECT FROM jsonb_array_elements(contract -> 'tables') AS t
        WHERE t ->> 'schema' = $1 AND t ->> 'name' = ANY ($2)
    )";

/// The metrics in service whose contract names one of the tables, with their queries.
pub(super) fn readers(
    connection: &mut PgConnection,
    tables: &[&Table],
) -> Result<Vec<(String, String)>, RepositoryError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = tables.iter().map(|table| table.name().as_str()).collect();
    let readers: Vec<ReaderWithQuery> = sql_query(READERS_OF_ANY)
        .bind::<Text, _>(TABLE_SCHEMA)
        .bind::<Array<Text>, _>(names)
        .load(connection)
        .map_err(failed)?;
    Ok(readers.into_iter().map(|reader| (reader.metric_id, reader.query_id)).collect())
}

/// Drops the table. Waits for an ingestion that runs, as long as a statement may wait for a lock.
pub(super) fn delete(connection: &mut PgConnection, name: &TableName, actor: &Actor) -> Result<(), RepositoryError> {
    connection
        .transaction(|connection| {
            connection.batch_execute(LOCK).map_err(failed)?;
            let table = get(connection, name).map_err(DeleteError)?.table;
            let readers: Vec<Reader> = sql_query(READERS)
                .bind::<Text, _>(TABLE_SCHEMA)
                .bind::<Text, _>(name.as_str())
                .load(connection)
                .map_err(failed)?;
            if !readers.is_empty() {
                let readers = readers.into_iter().map(|reader| MetricId::parse(reader.metric_id).map_err(corrupt));
                let readers = readers.collect::<Result<_, _>>()?;
                return Err(DeleteError(RepositoryError::TableInUse { name: name.clone(), readers }));
            }
            let drop = format!("DROP TABLE IF EXISTS {}", table_sql(&table).relation());
            connection.batch_execute(&drop).map_err(|error| match &error {
                // 2BP01, for which Diesel has no kind: the statement itself cannot be wrong.
                Error::DatabaseError(DatabaseErrorKind::Unknown, info)
                    if info.hint().is_some() && info.details().is_some() =>
                {
                    RepositoryError::TableReferenced(name.clone())
                }
                _ => failed(error),
            })?;
            diesel::delete(table_loads::table.filter(table_loads::table_name.eq(name.as_str())))
                .execute(connection)
                .map_err(failed)?;
            diesel::update(tables::table.filter(tables::table_name.eq(name.as_str())))
                .set((tables::deleted_at.eq(diesel::dsl::now), tables::changed_by.eq(claimed_actor(actor)?)))
                .execute(connection)
                .map_err(failed)?;
            Ok(())
        })
        .map_err(|DeleteError(error)| error)
}

/// Why a deletion is rolled back.
struct DeleteError(RepositoryError);

impl From<RepositoryError> for DeleteError {
    fn from(error: RepositoryError) -> Self {
        Self(error)
    }
}

impl From<Error> for DeleteError {
    fn from(error: Error) -> Self {
        Self(failed(error))
    }
}

#[derive(QueryableByName)]
struct Relation {
    #[diesel(sql_type = Text)]
    name: String,
}

/// The names in the schema that a new table could not have: those of relations and types.
const NAMES: &str = "
    SELECT t.typname::text AS name FROM pg_catalog.pg_type t
    JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = $1
    UNION
    SELECT c.relname::text FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1";

/// All tables that ingestions made, and the names of the other relations. A table that was dropped by other means is not
/// among them, so that its file makes it again.
pub(super) fn existing(
    connection: &mut PgConnection,
) -> Result<(BTreeMap<TableName, ExistingTable>, BTreeSet<String>), RepositoryError> {
    let relations: Vec<Relation> = sql_query(NAMES).bind::<Text, _>(TABLE_SCHEMA).load(connection).map_err(failed)?;
    let names: BTreeSet<_> = relations.into_iter().map(|relation| relation.name).collect();
    let mut existing = BTreeMap::new();
    for stored in list(connection)?.into_iter().filter(|stored| names.contains(stored.table.name().as_str())) {
        existing.insert(stored.table.name().clone(), ExistingTable::new(stored.table));
    }
    find_alterations(connection, &mut existing)?;
    let columns = (table_loads::table_name, table_loads::digest, table_loads::row_count, table_loads::refused_count);
    let loads: Vec<(String, Vec<u8>, i64, i64)> =
        table_loads::table.order(table_loads::position).select(columns).load(connection).map_err(failed)?;
    for (name, digest, row_count, refused_count) in loads {
        let name = TableName::parse(name).map_err(corrupt)?;
        let digest = ContentDigest(digest.try_into().map_err(|_| corrupt("a digest"))?);
        if let Some(table) = existing.get_mut(&name) {
            let row_count = row_count.try_into().map_err(corrupt)?;
            let refused_count = refused_count.try_into().map_err(corrupt)?;
            table.loads.push(LoadedContent { digest, row_count, refused_count });
        }
    }
    let is_other = |name: &String| !existing.keys().any(|known| known.as_str() == name);
    let others = names.into_iter().filter(is_other).collect();
    Ok((existing, others))
}

/// Creates, changes and loads the tables.
pub(super) fn store(
    connection: &mut PgConnection,
    updates: Vec<TableUpdate>,
    existing: &BTreeMap<TableName, ExistingTable>,
    ingestion: &mut dyn Ingestion,
    changes: &mut Changes,
) -> Result<(), RepositoryError> {
    let actor = ingestion.actor();
    for update in updates {
        let name = update.table.name().clone();
        let before = existing.get(&name).map(|existing| &existing.table);
        let of_table = match load(connection, &update, before, ingestion)? {
            Ok((of_table, loaded)) => {
                if of_table.changes_anything() {
                    record(connection, &update.table, &actor)?;
                }
                record_loads(connection, &update, before, &loaded, ingestion)?;
                of_table
            }
            Err(refusal) => TableChanges::of_refused(refusal),
        };
        changes.tables.insert(name, of_table);
    }
    check_deferred_constraints(connection, changes)
}

/// Creates, changes and loads a table. If PostgreSQL refuses it, nothing of it is changed.
fn load(
    connection: &mut PgConnection,
    update: &TableUpdate,
    before: Option<&Table>,
    ingestion: &mut dyn Ingestion,
) -> Result<Result<(TableChanges, Loaded), TableRefusal>, RepositoryError> {
    let mut changes = TableChanges::default();
    (changes.is_new, changes.is_changed) = (before.is_none(), before.is_some_and(|before| *before != update.table));
    if !changes.is_new && !changes.is_changed && update.contents.is_empty() {
        return Ok(Ok((changes, Loaded::default())));
    }
    // A savepoint.
    let mut attempt = |path| {
        let mut changes = changes.clone();
        connection.transaction(|connection| {
            let loaded = load::load(connection, update, before, (&mut *ingestion, path), &mut changes)?;
            match path {
                RowPath::Copy => Ok((changes, loaded)),
                // It only finds out why the other path has failed.
                RowPath::Stage => Err(TableError::Store(RepositoryError::ChangedMeanwhile)),
            }
        })
    };
    let unclassified = match attempt(RowPath::Copy) {
        Ok(loaded) => return Ok(Ok(loaded)),
        Err(TableError::Refused(refused)) => return Ok(Err(refused.refusal())),
        Err(TableError::Store(error)) => return Err(error),
        Err(TableError::Unclassified(error)) => error,
    };
    match attempt(RowPath::Stage) {
        Err(TableError::Refused(refused)) => Ok(Err(refused.refusal())),
        _ => Err(unclassified),
    }
}

/// Checks the deferred constraints that others have given to tables, which would otherwise fail the commit.
fn check_deferred_constraints(connection: &mut PgConnection, changes: &mut Changes) -> Result<(), RepositoryError> {
    if changes.tables.is_empty() {
        return Ok(());
    }
    let refused = match execute(connection, "SET CONSTRAINTS ALL IMMEDIATE") {
        Ok(_) => return Ok(()),
        Err(TableError::Refused(refused)) => refused,
        Err(TableError::Store(error) | TableError::Unclassified(error)) => return Err(error),
    };
    let is_named = |name: &&TableName| refused.table.as_deref() == Some(name.as_str());
    let named = changes.tables.keys().find(is_named).or(changes.tables.keys().next()).cloned();
    if let Some(of_table) = named.and_then(|name| changes.tables.get_mut(&name)) {
        *of_table = TableChanges::of_refused(refused.refusal());
    }
    Ok(())
}

/// Records the definition of a table, and who changed it or its rows.
fn record(connection: &mut PgConnection, table: &Table, actor: &Actor) -> Result<(), RepositoryError> {
    let name = table.name().as_str();
    let definition = serde_json::to_value(table).map_err(corrupt)?;
    let actor = claimed_actor(actor)?;
    diesel::insert_into(tables::table)
        .values((tables::table_name.eq(name), tables::definition.eq(&definition), tables::changed_by.eq(&actor)))
        .on_conflict(tables::table_name)
        .do_update()
        .set((
            tables::definition.eq(&definition),
            tables::changed_by.eq(&actor),
            tables::deleted_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(connection)
        .map(|_| ())
        .map_err(failed)
}

/// Records the contents that were loaded, each once.
fn record_loads(
    connection: &mut PgConnection,
    update: &TableUpdate,
    before: Option<&Table>,
    loaded: &Loaded,
    ingestion: &dyn Ingestion,
) -> Result<(), RepositoryError> {
    let name = update.table.name().as_str();
    let is_changed = before.is_some_and(|before| *before != update.table);
    let replaces = matches!(update.table.load(), Load::Replace | Load::Upsert) && !update.contents.is_empty();
    if is_changed && update.table.load() != Load::Append || replaces {
        diesel::delete(table_loads::table.filter(table_loads::table_name.eq(name)))
            .execute(connection)
            .map_err(failed)?;
    }
    for (index, (content, row_count)) in update.contents.iter().zip(&loaded.row_counts).enumerate() {
        let is_known = table_loads::table_name.eq(name).and(table_loads::digest.eq(content.0.as_slice()));
        let is_known = diesel::select(diesel::dsl::exists(table_loads::table.filter(is_known)));
        if !replaces && is_known.get_result::<bool>(connection).map_err(failed)? {
            continue;
        }
        let refused_count = ingestion.read_rows(update.table.name(), index).saturating_sub(*row_count);
        let refused_count = i64::try_from(refused_count).map_err(corrupt)?;
        let row_count = i64::try_from(*row_count).map_err(corrupt)?;
        diesel::insert_into(table_loads::table)
            .values((
                table_loads::table_name.eq(name),
                table_loads::digest.eq(content.0.as_slice()),
                table_loads::row_count.eq(row_count),
                table_loads::refused_count.eq(refused_count),
            ))
            .execute(connection)
            .map_err(failed)?;
    }
    Ok(())
}
