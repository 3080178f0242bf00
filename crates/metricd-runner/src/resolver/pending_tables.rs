//! Tables that are not stored yet, as the statements that make them.

use metricd_database::{CheckSql, ColumnSql, TableSql, quote_literal};
use metricd_domain::{TABLE_SCHEMA, Table};
use metricd_execution::PendingTable;

/// The statements that make the table as it will be, without rows and constraints.
pub(super) fn make_statements(PendingTable { before, after }: &PendingTable) -> Vec<String> {
    let (after, before) = (columns_sql(after), before.as_ref().map(columns_sql));
    let mut make = match &before {
        Some(before) => after.change(before),
        None => vec![after.create()],
    };
    // Contracts have the comments of columns.
    make.extend(after.comment(before.as_ref()));
    if before.is_some_and(|before| changes_a_type(&before, &after)) {
        make.insert(0, empty(&after));
    }
    make
}

fn changes_a_type(before: &TableSql<'_>, after: &TableSql<'_>) -> bool {
    let of_stored = |column: &ColumnSql<'_>| before.columns.iter().find(|stored| stored.name == column.name);
    after.columns.iter().any(|column| of_stored(column).is_some_and(|stored| stored.data_type != column.data_type))
}

/// Removes the rows, which would be rewritten with the new type: that takes long. A table to which a foreign key refers
/// keeps them.
fn empty(table: &TableSql<'_>) -> String {
    let truncate = format!("TRUNCATE {}", table.relation());
    format!(
        "DO {} LANGUAGE plpgsql",
        quote_literal(&format!("BEGIN {truncate}; EXCEPTION WHEN feature_not_supported THEN NULL; END"))
    )
}

/// The table without what does not affect how SQL is resolved.
fn columns_sql(table: &Table) -> TableSql<'_> {
    let columns = table.columns().iter().map(|column| ColumnSql {
        name: column.name.as_str(),
        data_type: column.data_type.name(),
        is_required: false,
        comment: column.comment(),
        // The check of a column does not hold for another type.
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
        key: Vec::new(),
        time_column: None,
        indexes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use metricd_domain::{ColumnName, ColumnType, TableColumn, TableName, TableParts};

    use super::*;

    #[test]
    fn a_check_does_not_outlive_the_type_of_its_column() {
        let table = |data_type, minimum: &str| {
            let mut column = TableColumn::new(ColumnName::parse("amount").unwrap(), data_type);
            column.checks.minimum = Some(minimum.to_owned());
            Table::new(TableParts::new(TableName::parse("sales").unwrap(), vec![column])).unwrap()
        };
        let before = table(ColumnType::Bigint, "0");
        let pending = PendingTable { before: Some(before), after: table(ColumnType::Date, "2025-01-01") };
        let statements = make_statements(&pending);
        let position = |part: &str| statements.iter().position(|statement| statement.contains(part)).unwrap();
        assert!(position("DROP CONSTRAINT IF EXISTS \"sales_amount_check\"") < position("TYPE date"), "{statements:?}");
        assert!(!statements.iter().any(|statement| statement.contains("ADD CONSTRAINT")), "{statements:?}");
    }
}
