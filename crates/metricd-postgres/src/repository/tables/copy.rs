//! Streams rows into a table by COPY.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};

use diesel::pg::{CopyFormat, CopyTarget};
use diesel::query_builder::AstPass;
use diesel::{ExecuteCopyFromDsl, PgConnection, QueryResult};
use metricd_domain::TableName;
use metricd_repository::{Ingestion, RepositoryError, RowForm};

use super::attempt::{TableError, copy_failed};

diesel::table! {
    /// Stands for the table that is copied into, whose name and columns are known only at run time.
    copied_rows (position) {
        position -> BigInt,
    }
}

thread_local! {
    /// What the next COPY of this thread writes into. Diesel takes the target of a COPY from a type, not from a value.
    static TARGET: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The target in [`TARGET`].
#[derive(Debug, Clone, Copy)]
struct RuntimeTarget;

impl CopyTarget for RuntimeTarget {
    type Table = copied_rows::table;
    type SqlType = <copied_rows::table as diesel::query_builder::AsQuery>::SqlType;

    fn walk_target(mut pass: AstPass<'_, '_, diesel::pg::Pg>) -> QueryResult<()> {
        TARGET.with_borrow(|target| pass.push_sql(target));
        Ok(())
    }
}

/// Why COPY did not get all rows.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("the input could not be read")]
    Input,
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
    #[error("the database did not take the rows: {0}")]
    Write(io::Error),
}

/// Copies the rows of a content into `target`, a relation with a list of columns. Returns their number.
pub(super) fn copy(
    connection: &mut PgConnection,
    target: &str,
    ingestion: &mut dyn Ingestion,
    (table, content, form): (&TableName, usize, RowForm),
) -> Result<u64, TableError> {
    ingestion.open_rows(table, content, form).map_err(RepositoryError::Input)?;
    // Diesel calls the closure once, but requires `Fn`.
    let source = RefCell::new((ingestion, 0));
    // If the closure fails, Diesel returns PostgreSQL's error about it, which says less.
    let broken_off = Cell::new(None);
    let write = |sink: &mut dyn Write| {
        let mut source = source.borrow_mut();
        let (ingestion, count) = &mut *source;
        let mut chunk = Vec::new();
        loop {
            chunk.clear();
            match ingestion.next_rows(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(rows) => *count += rows,
                Err(cause) => {
                    broken_off.set(Some(cause));
                    return Err(CopyError::Input);
                }
            }
            sink.write_all(&chunk).map_err(CopyError::Write)?;
        }
    };
    TARGET.set(target.to_owned());
    let copied = diesel::copy_from(copied_rows::table)
        .from_raw_data(RuntimeTarget, write)
        .with_format(CopyFormat::Csv)
        .execute(connection);
    copied.map_err(|error| match (error, broken_off.take()) {
        (_, Some(cause)) => TableError::Store(RepositoryError::Input(cause)),
        (CopyError::Database(error), None) => copy_failed(error),
        (other, None) => TableError::Store(RepositoryError::Unavailable(other.to_string())),
    })?;
    let (_, count) = source.into_inner();
    Ok(count)
}
