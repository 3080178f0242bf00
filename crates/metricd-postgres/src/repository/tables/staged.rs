//! Loads rows by way of a temporary table, where they are compared with each other and with the stored ones.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer};
use diesel::{PgConnection, sql_query};
use metricd_database::{ColumnSql, TableSql, quote_identifier};
use metricd_domain::{ColumnType, Load, Table};
use metricd_repository::{Ingestion, KeyConflict, MAX_REFUSED_ROWS, RefusedRow, RowForm, TableChanges, TableUpdate};

use super::attempt::{TableError, execute};
use super::copy::copy;
use super::load::Loaded;
use crate::repository::error::{corrupt, failed};

const STAGE: &str = "pg_temp.staged_rows";

/// The rows that repeat the key of an earlier row.
const REPEATED: &str = "pg_temp.repeated_rows";

/// The rows that are stored with other values.
const CONFLICTING: &str = "pg_temp.conflicting_rows";

#[derive(QueryableByName)]
struct RefusedPlace {
    #[diesel(sql_type = Integer)]
    content: i32,
    #[diesel(sql_type = BigInt)]
    position: i64,
}

#[derive(QueryableByName)]
struct ContentCount {
    #[diesel(sql_type = Integer)]
    content: i32,
    #[diesel(sql_type = Bool)]
    is_refused: bool,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Loads the contents as the table says: by its key, or as a multiset.
pub(super) fn load(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    ingestion: &mut dyn Ingestion,
    changes: &mut TableChanges,
) -> Result<Loaded, TableError> {
    let mut loaded = stage(connection, update, sql, ingestion)?;
    if update.table.load() == Load::Multiset {
        let added = execute(connection, &add_missing(&update.table, sql))?;
        changes.rows.added = added;
        changes.rows.unchanged = loaded.row_counts.iter().sum::<u64>() - added;
    } else {
        load_by_key(connection, update, sql, &mut loaded, changes)?;
    }
    execute(connection, &format!("DROP TABLE {STAGE}"))?;
    Ok(loaded)
}

/// Copies the rows of all contents into the table by way of the stage. Unlike that of a COPY, the SQLSTATE of the last
/// step is known.
pub(super) fn load_all(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    ingestion: &mut dyn Ingestion,
) -> Result<Loaded, TableError> {
    let loaded = stage(connection, update, sql, ingestion)?;
    let (relation, names) = (sql.relation(), sql.column_list());
    execute(connection, &format!("INSERT INTO {relation} ({names}) SELECT {names} FROM {STAGE}"))?;
    execute(connection, &format!("DROP TABLE {STAGE}"))?;
    Ok(loaded)
}

/// Copies the rows of all contents into the stage.
fn stage(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    ingestion: &mut dyn Ingestion,
) -> Result<Loaded, TableError> {
    let column = |column: &ColumnSql<'_>| format!(", {} {}", quote_identifier(column.name), column.data_type);
    let columns: String = sql.columns.iter().map(column).collect();
    let create = format!(
        "CREATE TEMPORARY TABLE staged_rows (\"#content\" integer, \"#position\" bigint{columns}) ON COMMIT DROP"
    );
    execute(connection, &create)?;
    let target = format!("{STAGE} (\"#position\", {})", sql.column_list());
    let mut row_counts = Vec::new();
    for content in 0..update.contents.len() {
        let number = format!("ALTER TABLE {STAGE} ALTER COLUMN \"#content\" SET DEFAULT {content}");
        execute(connection, &number)?;
        let rows = (update.table.name(), content, RowForm::PositionAndValues);
        row_counts.push(copy(connection, &target, ingestion, rows)?);
    }
    execute(connection, &format!("ANALYZE {STAGE}"))?;
    Ok(Loaded { row_counts })
}

/// Counts how often each distinct row is in the stage, less how often it is stored, and adds what is missing. `GROUP BY`
/// treats two NULLs as equal, unlike a join, and needs no index over all columns. Values are compared as text if two equal
/// ones have different texts: 1.1 and 1.10 are equal as numbers, and one would be stored with the digits of the other.
fn add_missing(table: &Table, sql: &TableSql<'_>) -> String {
    let as_text = |data_type| matches!(data_type, ColumnType::Numeric | ColumnType::Double | ColumnType::Jsonb);
    let (mut compared, mut restored) = (Vec::new(), Vec::new());
    for column in table.columns() {
        let name = quote_identifier(column.name.as_str());
        let is_text = as_text(column.data_type);
        compared.push(if is_text { format!("{name}::text AS {name}") } else { name.clone() });
        restored.push(if is_text { format!("{name}::{}", column.data_type) } else { name });
    }
    let (relation, names) = (sql.relation(), sql.column_list());
    let (compared, restored) = (compared.join(", "), restored.join(", "));
    // Only stored rows that may be equal to a staged one are compared.
    let narrowing = table.columns().iter().find(|column| column.required && !as_text(column.data_type));
    let narrowing = narrowing.map_or_else(String::new, |column| {
        let name = quote_identifier(column.name.as_str());
        format!("WHERE {name} IN (SELECT {name} FROM {STAGE})")
    });
    format!(
        "INSERT INTO {relation} ({names})
         SELECT {restored} FROM (
             SELECT {names}, sum(\"#brought\") - sum(\"#stored\") AS \"#missing\"
             FROM (
                 SELECT {compared}, 1 AS \"#brought\", 0 AS \"#stored\" FROM {STAGE}
                 UNION ALL
                 SELECT {compared}, 0, 1 FROM {relation} {narrowing}
             ) AS both_sides
             GROUP BY {names}
             HAVING sum(\"#brought\") > sum(\"#stored\")
         ) AS differences, generate_series(1, \"#missing\")"
    )
}

/// The values of a row as one sql, which differs if a value does.
fn row_text(sql: &TableSql<'_>, alias: &str) -> String {
    let value = |column: &ColumnSql<'_>| format!("{alias}.{}::text", quote_identifier(column.name));
    let values: Vec<_> = sql.columns.iter().map(value).collect();
    format!("ROW({})::text", values.join(", "))
}

/// Compares the keys of two rows.
fn same_key(sql: &TableSql<'_>, one: &str, other: &str) -> String {
    let equal = |name: &&str| {
        let name = quote_identifier(name);
        format!("{one}.{name} = {other}.{name}")
    };
    sql.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
}

fn load_by_key(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    loaded: &mut Loaded,
    changes: &mut TableChanges,
) -> Result<(), TableError> {
    let load = update.table.load();
    execute(connection, &find_repeated(sql))?;
    refuse(connection, REPEATED, KeyConflict::InContents, loaded, changes)?;
    if load == Load::Append {
        execute(connection, &find_conflicting(sql))?;
        refuse(connection, CONFLICTING, KeyConflict::Stored, loaded, changes)?;
    }
    changes.refused.sort_unstable();
    changes.refused.truncate(MAX_REFUSED_ROWS);
    let staged = loaded.row_counts.iter().sum::<u64>() - changes.rows.repeated;
    let (relation, same_key) = (sql.relation(), same_key(sql, "s", "t"));
    if load == Load::Replace {
        let remove =
            format!("DELETE FROM {relation} AS t WHERE NOT EXISTS (SELECT FROM {STAGE} AS s WHERE {same_key})");
        changes.rows.removed += execute(connection, &remove)?;
    }
    if load != Load::Append {
        changes.rows.changed = execute(connection, &replace(sql))?;
    }
    let names = sql.column_list();
    let add = format!(
        "INSERT INTO {relation} ({names}) SELECT {names} FROM {STAGE} AS s
         WHERE NOT EXISTS (SELECT FROM {relation} AS t WHERE {same_key})"
    );
    changes.rows.added = execute(connection, &add)?;
    changes.rows.unchanged = staged - changes.rows.changed - changes.rows.added;
    Ok(())
}

/// Finds the rows that repeat the key of an earlier row. Those with other values are refused.
fn find_repeated(sql: &TableSql<'_>) -> String {
    let (row, key) = (row_text(sql, "s"), sql.key_list());
    format!(
        "CREATE TEMPORARY TABLE repeated_rows ON COMMIT DROP AS
         SELECT place, \"#content\", \"#position\", NOT is_same AS is_refused FROM (
             SELECT s.ctid AS place, \"#content\", \"#position\", row_number() OVER same_key AS number,
                 {row} = first_value({row}) OVER same_key AS is_same
             FROM {STAGE} AS s
             WINDOW same_key AS (PARTITION BY {key} ORDER BY \"#content\", \"#position\")
         ) AS ranked
         WHERE number > 1"
    )
}

/// Finds the rows whose key is stored with other values.
fn find_conflicting(sql: &TableSql<'_>) -> String {
    let (relation, same_key) = (sql.relation(), same_key(sql, "s", "t"));
    let (staged, stored) = (row_text(sql, "s"), row_text(sql, "t"));
    format!(
        "CREATE TEMPORARY TABLE conflicting_rows ON COMMIT DROP AS
         SELECT s.ctid AS place, \"#content\", \"#position\", TRUE AS is_refused
         FROM {STAGE} AS s JOIN {relation} AS t ON {same_key} WHERE {staged} <> {stored}"
    )
}

/// Replaces the stored rows whose key is in the stage with other values.
fn replace(sql: &TableSql<'_>) -> String {
    let assign = |column: &ColumnSql<'_>| {
        let name = quote_identifier(column.name);
        format!("{name} = s.{name}")
    };
    let assignments = sql.columns.iter().map(assign).collect::<Vec<_>>().join(", ");
    let (relation, same_key) = (sql.relation(), same_key(sql, "s", "t"));
    let (staged, stored) = (row_text(sql, "s"), row_text(sql, "t"));
    format!("UPDATE {relation} AS t SET {assignments} FROM {STAGE} AS s WHERE {same_key} AND {staged} <> {stored}")
}

/// Removes the found rows from the stage, counts them, and drops the table in which they were found.
fn refuse(
    connection: &mut PgConnection,
    found: &str,
    conflict: KeyConflict,
    loaded: &mut Loaded,
    changes: &mut TableChanges,
) -> Result<(), TableError> {
    execute(connection, &format!("DELETE FROM {STAGE} WHERE ctid IN (SELECT place FROM {found})"))?;
    let counts = format!("SELECT \"#content\" AS content, is_refused, count(*) AS count FROM {found} GROUP BY 1, 2");
    for row in sql_query(counts).load::<ContentCount>(connection).map_err(failed)? {
        let count = u64::try_from(row.count).map_err(corrupt)?;
        if !row.is_refused {
            changes.rows.repeated += count;
            continue;
        }
        changes.rows.refused += count;
        let content = usize::try_from(row.content).map_err(corrupt)?;
        if let Some(row_count) = loaded.row_counts.get_mut(content) {
            *row_count -= count;
        }
    }
    let listed = format!(
        "SELECT \"#content\" AS content, \"#position\" AS position FROM {found} WHERE is_refused
         ORDER BY 1, 2 LIMIT {MAX_REFUSED_ROWS}"
    );
    for row in sql_query(listed).load::<RefusedPlace>(connection).map_err(failed)? {
        let content = usize::try_from(row.content).map_err(corrupt)?;
        let position = u64::try_from(row.position).map_err(corrupt)?;
        changes.refused.push(RefusedRow { content, position, conflict });
    }
    execute(connection, &format!("DROP TABLE {found}"))?;
    Ok(())
}
