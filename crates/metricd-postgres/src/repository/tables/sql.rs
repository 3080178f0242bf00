//! A table of the domain as the statements of PostgreSQL name it.

use metricd_database::{ColumnSql, TableSql};
use metricd_domain::{ColumnName, TABLE_SCHEMA, Table};

/// Borrows the names of a table for its statements.
pub(super) struct TableText<'a> {
    table: &'a Table,
    columns: Vec<ColumnSql<'a>>,
    key: Vec<&'a str>,
}

impl<'a> TableText<'a> {
    pub(super) fn of(table: &'a Table) -> Self {
        let columns = table.columns().iter().map(|column| ColumnSql {
            name: column.name.as_str(),
            data_type: column.data_type.name(),
            is_required: column.required,
            comment: column.comment(),
        });
        let key = table.key().iter().map(ColumnName::as_str);
        Self { table, columns: columns.collect(), key: key.collect() }
    }

    pub(super) fn sql(&self) -> TableSql<'_> {
        TableSql {
            schema: TABLE_SCHEMA,
            name: self.table.name().as_str(),
            columns: &self.columns,
            key: &self.key,
            time_column: self.table.parts().time_column.as_ref().map(ColumnName::as_str),
        }
    }
}
