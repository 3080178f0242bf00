//! Tables that are not stored yet, as the statements that make them.

use metricd_database::{ColumnSql, TableSql};
use metricd_domain::{TABLE_SCHEMA, Table};
use metricd_execution::PendingTable;

/// The statements that make the table as it will be, without rows and constraints.
pub(super) fn make_statements(PendingTable { before, after }: &PendingTable) -> Vec<String> {
    let (after, before) = (columns_sql(after), before.as_ref().map(columns_sql));
    let make = match &before {
        Some(before) => after.widen(before),
        None => vec![after.create()],
    };
    // Contracts have the comments of columns.
    make.into_iter().chain(after.comment(before.as_ref())).collect()
}

/// The table without what does not affect how SQL is resolved.
fn columns_sql(table: &Table) -> TableSql<'_> {
    let columns = table.columns().iter().map(|column| ColumnSql {
        name: column.name.as_str(),
        data_type: column.data_type.name(),
        is_required: false,
        comment: column.comment(),
    });
    TableSql {
        schema: TABLE_SCHEMA,
        name: table.name().as_str(),
        columns: columns.collect(),
        key: Vec::new(),
        time_column: None,
    }
}
