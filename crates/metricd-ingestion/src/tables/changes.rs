//! Changes of the definition of a stored table: which of them keep all data, and how they read.

use metricd_domain::{ColumnName, Load, Table, TableColumn};

/// Why the stored table cannot become the other one without losing data. Empty if it can. `has_files` if files are loaded
/// into it: if they replace all rows, no stored value has to fit the types.
pub(super) fn losses(before: &Table, after: &Table, has_files: bool) -> Vec<String> {
    let are_replaced = has_files && after.load() == Load::Replace;
    let mut losses = Vec::new();
    for column in before.columns() {
        let (name, stored) = (&column.name, column.data_type);
        match after.columns().iter().find(|other| other.name == *name) {
            None => losses.push(format!("the column `{name}` would be lost with its values: declare it")),
            Some(other) if other.data_type != stored && !stored.widens_to(other.data_type) && !are_replaced => {
                let wanted = other.data_type;
                losses.push(format!(
                    "the column `{name}` is stored as {stored}, whose values {wanted} does not keep: declare {stored}, or \
                     ingest the file with the declaration and the load `replace`"
                ));
            }
            Some(_) => {}
        }
    }
    losses
}

/// What changes from the stored table to the other one, for people. [`losses`] has none.
pub(super) fn describe(before: &Table, after: &Table) -> Vec<String> {
    let mut changes = Vec::new();
    for column in after.columns() {
        let name = &column.name;
        match before.columns().iter().find(|stored| stored.name == *name) {
            None if column.checks.is_empty() => {
                changes.push(format!("adds the column `{name}` ({})", column.data_type));
            }
            None => changes.push(format!("adds the column `{name}` ({}, {})", column.data_type, column.checks)),
            Some(stored) => describe_column(stored, column, &mut changes),
        }
    }
    let (stored, wanted) = (before.parts(), after.parts());
    if stored.key != wanted.key {
        changes.push(format!("changes the key from {} to {}", names(&stored.key), names(&wanted.key)));
    }
    if stored.time_column != wanted.time_column {
        let name = |column: &Option<ColumnName>| column.as_ref().map_or("none".to_owned(), |name| format!("`{name}`"));
        let (from, to) = (name(&stored.time_column), name(&wanted.time_column));
        changes.push(format!("changes the time column from {from} to {to}"));
    }
    if stored.indexes != wanted.indexes {
        let (from, to) = (indexes(&stored.indexes), indexes(&wanted.indexes));
        changes.push(format!("changes the indexes from {from} to {to}"));
    }
    if stored.load != wanted.load {
        changes.push(format!("changes the load from {} to {}", stored.load, wanted.load));
    }
    if stored.format != wanted.format {
        changes.push("changes how its files are read".to_owned());
    }
    if stored.file != wanted.file {
        changes.push("changes the name of its file".to_owned());
    }
    match (stored.declared, wanted.declared) {
        (false, true) => changes.push("declares the columns, which were chosen from a file".to_owned()),
        (true, false) => changes.push("no longer declares the columns".to_owned()),
        _ => {}
    }
    changes
}

fn describe_column(stored: &TableColumn, wanted: &TableColumn, changes: &mut Vec<String>) {
    let name = &wanted.name;
    if stored.data_type != wanted.data_type {
        let (from, to) = (stored.data_type, wanted.data_type);
        let what = if from.widens_to(to) { "widens" } else { "changes" };
        changes.push(format!("{what} the column `{name}` from {from} to {to}"));
    }
    if stored.required != wanted.required {
        let what = if wanted.required { "requires" } else { "no longer requires" };
        changes.push(format!("{what} a value in the column `{name}`"));
    }
    if stored.checks != wanted.checks {
        let (from, to) = (checks(stored), checks(wanted));
        changes.push(format!("changes the check of the column `{name}` from {from} to {to}"));
    }
    if stored.comment() != wanted.comment() {
        changes.push(format!("changes the description of the column `{name}`"));
    }
}

fn checks(column: &TableColumn) -> String {
    if column.checks.is_empty() { "none".to_owned() } else { column.checks.to_string() }
}

fn indexes(indexes: &[Vec<ColumnName>]) -> String {
    if indexes.is_empty() {
        return "none".to_owned();
    }
    indexes.iter().map(|columns| format!("({})", names(columns))).collect::<Vec<_>>().join(", ")
}

fn names(key: &[ColumnName]) -> String {
    if key.is_empty() {
        return "none".to_owned();
    }
    key.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use metricd_domain::{ColumnType, TableName, TableParts};

    use super::*;

    fn table(columns: &[(&str, ColumnType)]) -> Table {
        let column =
            |(name, data_type): &(&str, ColumnType)| TableColumn::new(ColumnName::parse(*name).unwrap(), *data_type);
        let columns = columns.iter().map(column).collect();
        Table::new(TableParts::new(TableName::parse("sales").unwrap(), columns)).unwrap()
    }

    #[test]
    fn columns_are_added_and_widened_but_not_lost() {
        use ColumnType::{Bigint, Date, Numeric, Text, Timestamp};
        let before = table(&[("id", Bigint), ("day", Date)]);
        let after = table(&[("id", Numeric), ("day", Timestamp), ("note", Text)]);
        assert_eq!(losses(&before, &after, false), Vec::<String>::new());
        let expected = [
            "widens the column `id` from bigint to numeric",
            "widens the column `day` from date to timestamp",
            "adds the column `note` (text)",
        ];
        assert_eq!(describe(&before, &after), expected);
        assert_eq!(losses(&after, &before, true).len(), 1, "rows that are replaced need not fit");
        let lost = losses(&after, &before, false);
        assert_eq!(lost.len(), 3, "{lost:?}");
        assert!(lost[0].contains("whose values bigint does not keep"), "{lost:?}");
        assert!(lost[2].contains("`note` would be lost"), "{lost:?}");
    }
}
