//! Loads rows into a table: directly by COPY if nothing has to be compared, otherwise by way of a stage.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Bool;
use diesel::{PgConnection, sql_query};
use metricd_database::TableSql;
use metricd_domain::{Load, Table};
use metricd_repository::{Ingestion, RepositoryError, RowForm, TableChanges, TableUpdate};

use super::copy::copy;
use super::sql::table_sql;
use super::staged;
use crate::repository::error::failed;

/// The contents of a table after they were loaded.
pub(super) struct Loaded {
    /// The number of rows of each content that were stored or were stored already.
    pub(super) row_counts: Vec<u64>,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Creates or changes the table, and loads the contents.
pub(super) fn load(
    connection: &mut PgConnection,
    update: &TableUpdate,
    before: Option<&Table>,
    ingestion: &mut dyn Ingestion,
    changes: &mut TableChanges,
) -> Result<Loaded, RepositoryError> {
    let sql = table_sql(&update.table);
    let before = before.map(table_sql);
    let definition = match &before {
        Some(before) => sql.widen(before),
        None => vec![sql.create()],
    };
    for statement in definition.into_iter().chain(sql.comment(before.as_ref())) {
        connection.batch_execute(&statement).map_err(failed)?;
    }
    let constraints = sql.constrain(before.as_ref());
    let loaded = if update.contents.is_empty() {
        Loaded { row_counts: Vec::new() }
    } else if before.is_none() && !update.table.key().is_empty() {
        return load_new_with_key(connection, update, &sql, &constraints, ingestion, changes);
    } else if is_direct(connection, update, before.is_none(), &sql)? {
        load_directly(connection, update, &sql, ingestion, changes)?
    } else {
        staged::load(connection, update, &sql, ingestion, changes)?
    };
    constrain(connection, &update.table, &constraints)?;
    analyze(connection, &sql, changes)?;
    Ok(loaded)
}

/// Whether no row has to be compared with another one.
fn is_direct(
    connection: &mut PgConnection,
    update: &TableUpdate,
    is_new: bool,
    sql: &TableSql<'_>,
) -> Result<bool, RepositoryError> {
    if is_new || !update.table.key().is_empty() {
        return Ok(is_new);
    }
    match update.table.load() {
        Load::Append | Load::Replace => Ok(true),
        Load::Multiset | Load::Upsert => {
            let is_empty = format!("SELECT NOT EXISTS (SELECT FROM {}) AS answer", sql.relation());
            sql_query(is_empty).get_result::<Answer>(connection).map(|answer| answer.answer).map_err(failed)
        }
    }
}

fn load_directly(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    ingestion: &mut dyn Ingestion,
    changes: &mut TableChanges,
) -> Result<Loaded, RepositoryError> {
    let relation = sql.relation();
    if update.table.load() == Load::Replace && !changes.is_new {
        // Not TRUNCATE: transactions with an older snapshot would find the table empty.
        let removed = sql_query(format!("DELETE FROM {relation}")).execute(connection).map_err(failed)?;
        changes.rows.removed = removed as u64;
    }
    let target = format!("{relation} ({})", sql.column_list());
    let mut row_counts = Vec::new();
    for content in 0..update.contents.len() {
        row_counts.push(copy(connection, &target, ingestion, (update.table.name(), content, RowForm::Values))?);
    }
    changes.rows.added = row_counts.iter().sum();
    Ok(Loaded { row_counts })
}

/// Loads a new table before it gets its key, which is faster than checking each row. Only if two rows have one key are
/// the rows read again, to find out which.
fn load_new_with_key(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    constraints: &[String],
    ingestion: &mut dyn Ingestion,
    changes: &mut TableChanges,
) -> Result<Loaded, RepositoryError> {
    let mut loaded = load_directly(connection, update, sql, ingestion, changes)?;
    let constrained = connection
        .transaction(|connection| constraints.iter().try_for_each(|statement| connection.batch_execute(statement)));
    match constrained {
        Ok(()) => {}
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            let relation = sql.relation();
            // Nobody else sees the new table yet.
            connection.batch_execute(&format!("TRUNCATE {relation}")).map_err(failed)?;
            changes.rows.added = 0;
            loaded = staged::load(connection, update, sql, ingestion, changes)?;
            constrain(connection, &update.table, constraints)?;
        }
        Err(error) => return Err(failed(error)),
    }
    analyze(connection, sql, changes)?;
    Ok(loaded)
}

fn constrain(connection: &mut PgConnection, table: &Table, constraints: &[String]) -> Result<(), RepositoryError> {
    for statement in constraints {
        connection.batch_execute(statement).map_err(|error| match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => RepositoryError::Inconsistent(format!(
                "two stored rows of the table `{}` have the same key as it is declared now",
                table.name()
            )),
            Error::DatabaseError(DatabaseErrorKind::NotNullViolation, info) => RepositoryError::Inconsistent(format!(
                "a stored row of the table `{}` has no value in the column `{}`, which is declared as required",
                table.name(),
                info.column_name().unwrap_or_default()
            )),
            error => failed(error),
        })?;
    }
    Ok(())
}

/// Gives the planner the statistics of the rows, by which the cost of metrics is judged.
fn analyze(connection: &mut PgConnection, sql: &TableSql<'_>, changes: &TableChanges) -> Result<(), RepositoryError> {
    let rows = changes.rows;
    if rows.added + rows.changed + rows.removed == 0 {
        return Ok(());
    }
    connection.batch_execute(&format!("ANALYZE {}", sql.relation())).map_err(failed)
}
