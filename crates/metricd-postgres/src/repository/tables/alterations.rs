//! Finds out what others have changed in tables that files are loaded into.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{PgConnection, QueryableByName, sql_query};
use metricd_domain::{TABLE_SCHEMA, TableName};
use metricd_repository::{ExistingTable, RepositoryError};

use crate::repository::error::failed;

#[derive(QueryableByName)]
struct Alteration {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    expected: String,
    #[diesel(sql_type = Bool)]
    is_table: bool,
    /// `None` if the table does not have the column.
    #[diesel(sql_type = Nullable<Text>)]
    found: Option<String>,
}

/// The columns that a table does not have with their types. A type with a modifier, such as `numeric(10,2)`, would round
/// values. PostgreSQL takes several arrays in `unnest` only without its schema.
const ALTERATIONS: &str = "
    SELECT e.table_name, e.column_name, e.expected, coalesce(c.relkind IN ('r', 'p'), false) AS is_table,
        pg_catalog.format_type(a.atttypid, a.atttypmod) AS found
    FROM unnest($2, $3, $4) WITH ORDINALITY AS e (table_name, column_name, expected, number)
    JOIN pg_catalog.pg_namespace n ON n.nspname = $1
    LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = e.table_name
    LEFT JOIN pg_catalog.pg_attribute a
        ON a.attrelid = c.oid AND a.attname = e.column_name AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IS NULL OR c.relkind NOT IN ('r', 'p') OR a.attname IS NULL
        OR a.atttypid <> e.expected::pg_catalog.regtype OR a.atttypmod <> -1
    ORDER BY e.number";

/// Adds to each table how its relation differs from it.
pub(super) fn find_alterations(
    connection: &mut PgConnection,
    existing: &mut BTreeMap<TableName, ExistingTable>,
) -> Result<(), RepositoryError> {
    let (mut tables, mut columns, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for ExistingTable { table, .. } in existing.values() {
        for column in table.columns() {
            tables.push(table.name().as_str());
            columns.push(column.name.as_str());
            types.push(column.data_type.name());
        }
    }
    let found: Vec<Alteration> = sql_query(ALTERATIONS)
        .bind::<Text, _>(TABLE_SCHEMA)
        .bind::<Array<Text>, _>(tables)
        .bind::<Array<Text>, _>(columns)
        .bind::<Array<Text>, _>(types)
        .load(connection)
        .map_err(failed)?;
    for Alteration { table_name, column_name, expected, is_table, found } in found {
        let Some((_, existing)) = existing.iter_mut().find(|(name, _)| name.as_str() == table_name) else { continue };
        let alteration = match found {
            _ if !is_table => "it is no table any more".to_owned(),
            None => format!("it has no column `{column_name}` any more"),
            Some(found) => format!("its column `{column_name}` is {found} instead of {expected}"),
        };
        if !existing.alterations.contains(&alteration) {
            existing.alterations.push(alteration);
        }
    }
    Ok(())
}
