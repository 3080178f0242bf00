//! Renders the tables of a report.

use std::fmt::{self, Write};

use metricd_domain::{IngestedTable, TableChange};

use super::write_counts;

/// Writes what was done with a table, its columns, if they were chosen or changed, and the counts of its rows.
pub(super) fn write_table(text: &mut String, table: &IngestedTable) -> fmt::Result {
    let name = &table.table;
    match table.change {
        TableChange::Created => writeln!(text, "\ntable {name} (new, {})", table.load)?,
        TableChange::Changed => writeln!(text, "\ntable {name} (changed, {})", table.load)?,
        TableChange::Refused => writeln!(text, "\ntable {name} (refused, {})", table.load)?,
        TableChange::Unchanged => writeln!(text, "\ntable {name} ({})", table.load)?,
    }
    for change in &table.changes {
        writeln!(text, "  {change}")?;
    }
    let is_chosen = table.columns.iter().any(|column| column.because.is_some());
    if is_chosen {
        let width = table.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default().min(30);
        for column in &table.columns {
            let because = column.because.as_deref().unwrap_or("as it is stored");
            writeln!(text, "  {:<width$}  {:<16}  {because}", column.name, column.data_type.name())?;
            if let Some(choice) = &column.choice {
                writeln!(text, "  {:<width$}  {:<16}  to decide: {choice}", "", "")?;
            }
        }
    }
    let rows = table.rows;
    let parts = [
        (rows.added, "added"),
        (rows.changed, "changed"),
        (rows.unchanged, "unchanged"),
        (rows.repeated, "repeated"),
        (rows.refused, "refused"),
        (rows.removed, "removed"),
    ];
    if rows.read == 0 && rows.removed == 0 {
        return Ok(());
    }
    write_counts(text, "  rows", rows.read, &parts)
}
