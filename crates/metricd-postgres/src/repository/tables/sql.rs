//! A table of the domain as the statements of PostgreSQL name it.

use metricd_database::{CheckSql, ColumnSql, TableSql};
use metricd_domain::{ColumnName, TABLE_SCHEMA, Table};

pub(super) fn table_sql(table: &Table) -> TableSql<'_> {
    let columns = table.columns().iter().map(|column| ColumnSql {
        name: column.name.as_str(),
        data_type: column.data_type.name(),
        is_required: column.required,
        comment: column.comment(),
        check: CheckSql {
            minimum: column.checks.minimum.as_deref(),
            maximum: column.checks.maximum.as_deref(),
            one_of: &column.checks.one_of,
        },
    });
    TableSql {
        schema: TABLE_SCHEMA,
        name: table.name().as_str(),
        columns: columns.collect(),
        key: table.key().iter().map(ColumnName::as_str).collect(),
        indexes: table.parts().indexes.iter().map(|of| of.iter().map(ColumnName::as_str).collect()).collect(),
        time_column: table.parts().time_column.as_ref().map(ColumnName::as_str),
    }
}
