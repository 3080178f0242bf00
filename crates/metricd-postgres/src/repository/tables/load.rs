//! Loads rows into a table: directly by COPY if nothing has to be compared, otherwise by way of a stage.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel::{PgConnection, sql_query};
use metricd_database::TableSql;
use metricd_domain::{Load, Table};
use metricd_repository::{
    Ingestion, RepositoryError, RowForm, TableChanges, TableRefusal, TableRefusalCause, TableUpdate,
};

use super::attempt::{RefusedStatement, TableError, execute};
use super::copy::copy;
use super::sql::table_sql;
use super::staged;

const UNIQUE_VIOLATION: &str = "23505";
const NOT_NULL_VIOLATION: &str = "23502";
const CHECK_VIOLATION: &str = "23514";

/// The contents of a table after they were loaded.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The number of rows of each content that were stored or were stored already.
    pub(super) row_counts: Vec<u64>,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// By which way rows that need no comparison come into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowPath {
    /// COPY writes into the table. If it fails, Diesel does not report why.
    Copy,
    /// COPY writes into a stage, and a statement whose SQLSTATE is known from there into the table.
    Stage,
}

/// Creates or changes the table, and loads the contents.
pub(super) fn load(
    connection: &mut PgConnection,
    update: &TableUpdate,
    before: Option<&Table>,
    (ingestion, path): (&mut dyn Ingestion, RowPath),
    changes: &mut TableChanges,
) -> Result<Loaded, TableError> {
    let sql = table_sql(&update.table);
    if let Some(before) = before
        && update.replaces_everything(before)
    {
        // Not TRUNCATE: transactions with an older snapshot would find the table empty.
        changes.rows.removed = execute(connection, &format!("DELETE FROM {}", sql.relation()))?;
    } else if before.is_some_and(|before| update.retypes(before)) {
        let message = format!("the values of the table `{}` would lose their types", update.table.name());
        return Err(RepositoryError::Inconsistent(message).into());
    }
    let before = before.map(table_sql);
    let definition = match &before {
        Some(before) => sql.change(before),
        None => vec![sql.create()],
    };
    for statement in definition.into_iter().chain(sql.comment(before.as_ref())) {
        execute(connection, &statement)?;
    }
    let constraints = sql.constrain(before.as_ref());
    let is_new = before.is_none();
    let loaded = if update.contents.is_empty() {
        Loaded { row_counts: Vec::new() }
    } else if is_new && !update.table.key().is_empty() {
        load_new_with_key(connection, update, &sql, &constraints, (ingestion, path), changes)?
    } else if is_direct(connection, update, is_new, &sql)? {
        load_directly(connection, update, &sql, (ingestion, path), changes)?
    } else {
        staged::load(connection, update, &sql, ingestion, changes)?
    };
    if !(is_new && !update.contents.is_empty() && !update.table.key().is_empty()) {
        constrain(connection, &constraints, &update.table, &sql)?;
    }
    analyze(connection, &sql, changes)?;
    Ok(loaded)
}

/// Whether no row has to be compared with another one.
fn is_direct(
    connection: &mut PgConnection,
    update: &TableUpdate,
    is_new: bool,
    sql: &TableSql<'_>,
) -> Result<bool, TableError> {
    if is_new || !update.table.key().is_empty() {
        return Ok(is_new);
    }
    match update.table.load() {
        Load::Append | Load::Replace => Ok(true),
        Load::Multiset | Load::Upsert => {
            let is_empty = format!("SELECT NOT EXISTS (SELECT FROM {}) AS answer", sql.relation());
            Ok(sql_query(is_empty).get_result::<Answer>(connection).map(|answer| answer.answer)?)
        }
    }
}

fn load_directly(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    (ingestion, path): (&mut dyn Ingestion, RowPath),
    changes: &mut TableChanges,
) -> Result<Loaded, TableError> {
    let relation = sql.relation();
    if update.table.load() == Load::Replace && !changes.is_new {
        changes.rows.removed += execute(connection, &format!("DELETE FROM {relation}"))?;
    }
    let loaded = match path {
        RowPath::Stage => staged::load_all(connection, update, sql, ingestion)?,
        RowPath::Copy => {
            let target = format!("{relation} ({})", sql.column_list());
            let mut row_counts = Vec::new();
            for content in 0..update.contents.len() {
                let rows = (update.table.name(), content, RowForm::Values);
                row_counts.push(copy(connection, &target, ingestion, rows)?);
            }
            Loaded { row_counts }
        }
    };
    changes.rows.added = loaded.row_counts.iter().sum();
    Ok(loaded)
}

/// Loads a new table before it gets its key, which is faster than checking each row. Only if two rows have one key are
/// the rows read again, to find out which.
fn load_new_with_key(
    connection: &mut PgConnection,
    update: &TableUpdate,
    sql: &TableSql<'_>,
    constraints: &[String],
    (ingestion, path): (&mut dyn Ingestion, RowPath),
    changes: &mut TableChanges,
) -> Result<Loaded, TableError> {
    let loaded = load_directly(connection, update, sql, (&mut *ingestion, path), changes)?;
    match connection.transaction(|connection| constrain(connection, constraints, &update.table, sql)) {
        Ok(()) => Ok(loaded),
        Err(TableError::Refused(refused)) if refused.sqlstate == UNIQUE_VIOLATION => {
            // Nobody else sees the new table yet.
            execute(connection, &format!("TRUNCATE {}", sql.relation()))?;
            changes.rows.added = 0;
            let loaded = staged::load(connection, update, sql, ingestion, changes)?;
            constrain(connection, constraints, &update.table, sql)?;
            Ok(loaded)
        }
        Err(error) => Err(error),
    }
}

/// Gives the table its constraints and its index. The rows that are stored may break them.
fn constrain(
    connection: &mut PgConnection,
    constraints: &[String],
    table: &Table,
    sql: &TableSql<'_>,
) -> Result<(), TableError> {
    for statement in constraints {
        let refused = match execute(connection, statement) {
            Err(TableError::Refused(refused)) => refused,
            done => {
                done?;
                continue;
            }
        };
        let refused = match refused.sqlstate.as_str() {
            UNIQUE_VIOLATION => RefusedStatement { cause: TableRefusalCause::KeyRepeated, ..refused },
            NOT_NULL_VIOLATION => RefusedStatement { cause: TableRefusalCause::ValueMissing, ..refused },
            CHECK_VIOLATION => match find_broken_check(connection, table, sql)? {
                Some(TableRefusal { cause, column, message, .. }) => {
                    RefusedStatement { cause, column, message, ..refused }
                }
                None => refused,
            },
            _ => refused,
        };
        return Err(TableError::Refused(refused));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct BrokenValue {
    #[diesel(sql_type = Text)]
    value: String,
}

/// An example of a stored value that breaks a check, which PostgreSQL does not name.
fn find_broken_check(
    connection: &mut PgConnection,
    table: &Table,
    sql: &TableSql<'_>,
) -> Result<Option<TableRefusal>, TableError> {
    for (column, of_sql) in table.columns().iter().zip(&sql.columns) {
        let Some(find) = sql.find_broken(of_sql) else { continue };
        if let Some(found) = sql_query(find).get_result::<BrokenValue>(connection).optional()? {
            return Ok(Some(TableRefusal::of_broken_check(column, &found.value)));
        }
    }
    Ok(None)
}

/// Gives the planner the statistics of the rows, by which the cost of metrics is judged.
fn analyze(connection: &mut PgConnection, sql: &TableSql<'_>, changes: &TableChanges) -> Result<(), TableError> {
    let rows = changes.rows;
    if rows.added + rows.changed + rows.removed > 0 {
        execute(connection, &format!("ANALYZE {}", sql.relation()))?;
    }
    Ok(())
}
