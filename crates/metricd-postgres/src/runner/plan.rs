//! A prepared statement with its columns.

use std::error::Error;
use std::sync::Arc;

use metricd_execution::Column;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::connection::Connection;
use super::types::{field_type, is_array, text_type, type_name};

/// A statement that is prepared on a connection, and the columns of its result.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) statement: tokio_postgres::Statement,
    pub(super) columns: Vec<Column>,
}

impl Plan {
    /// Prepares the statement, or finds it prepared. Values of types that have no form of their own are cast to text in the
    /// database, so that they come as PostgreSQL prints them.
    pub(super) async fn prepare(
        connection: &Connection,
        statement: &metricd_execution::BoundStatement,
    ) -> Result<Arc<Self>, tokio_postgres::Error> {
        if let Some(plan) = connection.plan(statement.text()) {
            return Ok(plan);
        }
        let mut prepared = connection.prepare(statement.text()).await?;
        let columns = prepared.columns().iter().map(|column| Column {
            name: column.name().to_owned(),
            type_name: type_name(column.type_()),
            field_type: field_type(column.type_()).unwrap_or_else(|| text_type(column.type_())),
        });
        let columns = columns.collect();
        if has_foreign(&prepared) {
            // The casts hide from PostgreSQL that a column has become another since, so that it would not object: what the
            // columns are is asked each time. The statement with the casts is kept under its own text, which tells them.
            let casting = casting(statement.text(), prepared.columns());
            prepared = match connection.plan(&casting) {
                Some(plan) => plan.statement.clone(),
                None => connection.prepare(&casting).await?,
            };
            let plan = Arc::new(Self { statement: prepared, columns });
            connection.keep_plan(&casting, &plan);
            return Ok(plan);
        }
        let plan = Arc::new(Self { statement: prepared, columns });
        connection.keep_plan(statement.text(), &plan);
        Ok(plan)
    }
}

/// Whether a column's type has no form of its own.
fn has_foreign(prepared: &tokio_postgres::Statement) -> bool {
    prepared.columns().iter().any(|column| field_type(column.type_()).is_none())
}

/// The statement with those columns cast to text that have no form of their own.
fn casting(body: &str, columns: &[tokio_postgres::Column]) -> String {
    // The columns are named anew, since two of them may have one name.
    let names: Vec<_> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
    let cast = columns.iter().zip(&names).map(|(column, name)| match field_type(column.type_()) {
        Some(_) => name.clone(),
        None if is_array(column.type_()) => format!("{name}::text[]"),
        None => format!("{name}::text"),
    });
    let cast: Vec<_> = cast.collect();
    format!("SELECT {} FROM (\n{body}\n) AS result ({})", cast.join(", "), names.join(", "))
}

/// The fields of a row as they came.
pub(super) struct RawFields<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> RawFields<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }
}

impl<'a> Iterator for RawFields<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.row.len() {
            return None;
        }
        let field: Result<Option<Raw<'a>>, _> = self.row.try_get(self.next);
        self.next += 1;
        field.ok().map(|field| field.map(|Raw(bytes)| bytes))
    }
}

/// The bytes of a value, whatever its type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
