//! The part of the report that is about tables.

use std::collections::BTreeMap;

use metricd_domain::{IngestedColumn, IngestedTable, Location, RowCounts, TableChange, TableName};
use metricd_repository::{Changes, KeyConflict, MAX_REFUSED_ROWS, TableChanges};

use super::changes::describe;
use super::file::TableFile;
use super::plan::PlannedTable;
use super::rows::FoundRows;
use crate::Reason;
use crate::findings::Findings;

/// Reports each table, and adds what was found in its rows to `findings`.
pub(crate) fn report_tables(
    planned: &[PlannedTable],
    files: &[TableFile],
    mut found: BTreeMap<(TableName, usize), FoundRows>,
    changes: &Changes,
    findings: &mut Findings,
) -> Vec<IngestedTable> {
    let unchanged = TableChanges::default();
    let mut tables = Vec::new();
    for table in planned {
        let stored = changes.tables.get(table.table.name()).unwrap_or(&unchanged);
        let mut counts = RowCounts { read: table.known_rows, ..RowCounts::default() };
        for index in 0..table.contents.len() {
            if let Some(rows) = found.remove(&(table.table.name().clone(), index)) {
                counts.read += rows.read;
                counts.refused += rows.refused;
                findings.append(rows.findings);
            }
        }
        counts.added = stored.rows.added;
        counts.changed = stored.rows.changed;
        counts.unchanged = stored.rows.unchanged + table.known_rows;
        counts.repeated = stored.rows.repeated;
        counts.removed = stored.rows.removed;
        counts.refused += stored.rows.refused;
        refuse_keys(table, files, stored, findings);
        tables.push(IngestedTable {
            table: table.table.name().to_string(),
            files: table.files.iter().map(|file| files[*file].input.name().to_owned()).collect(),
            change: match (stored.is_new, stored.is_changed) {
                (true, _) => TableChange::Created,
                (false, true) => TableChange::Changed,
                (false, false) => TableChange::Unchanged,
            },
            changes: table.before.as_ref().map(|before| describe(before, &table.table)).unwrap_or_default(),
            load: table.table.load(),
            columns: columns(table),
            rows: counts,
        });
    }
    tables
}

/// Whether a table would lose all rows because every row of its files is refused.
pub(crate) fn is_emptied(table: &IngestedTable) -> bool {
    table.rows.removed > 0 && table.rows.refused > 0 && table.rows.accepted() == 0
}

/// Refuses tables that would lose all rows because every row of their files is refused. Returns whether there is one.
pub(crate) fn refuse_emptied(tables: &[IngestedTable], findings: &mut Findings) -> bool {
    let mut any = false;
    for table in tables.iter().filter(|table| is_emptied(table)) {
        any = true;
        let message = format!(
            "every row was refused, so `{}` would remove all rows of the table `{}`: nothing of the ingestion is stored",
            table.load, table.table
        );
        let location = Location { file: table.files.first().cloned().unwrap_or_default(), ..Location::default() };
        findings.refuse(location, None, Reason::TableIncompatible, message);
    }
    any
}

fn columns(table: &PlannedTable) -> Vec<IngestedColumn> {
    let column = |(index, column): (usize, &metricd_domain::TableColumn)| {
        let choice = table.choices.get(index).and_then(Option::as_ref);
        IngestedColumn {
            name: column.name.to_string(),
            data_type: column.data_type,
            because: choice.map(|choice| choice.because.clone()),
            choice: choice.and_then(|choice| choice.choice.clone()),
        }
    };
    table.table.columns().iter().enumerate().map(column).collect()
}

/// Refuses the rows that the store has refused because of their key.
fn refuse_keys(table: &PlannedTable, files: &[TableFile], stored: &TableChanges, findings: &mut Findings) {
    let key: Vec<_> = table.table.key().iter().map(|name| format!("`{name}`")).collect();
    let key = key.join(", ");
    for row in &stored.refused {
        let file = table.contents.get(row.content).and_then(|content| files.get(content.file));
        let file = file.map(|file| file.input.name().to_owned()).unwrap_or_default();
        let location = Location { file, line: Some(row.position), ..Location::default() };
        let (reason, message) = match row.conflict {
            KeyConflict::InContents => {
                let message =
                    format!("an earlier row has the same key ({key}) and other values; the first one is kept");
                (Reason::RowKeyRepeated, message)
            }
            KeyConflict::Stored => {
                let message = format!("a stored row has the same key ({key}) and other values, and `append` keeps it");
                (Reason::RowKeyConflict, message)
            }
        };
        findings.refuse(location, None, reason, message);
    }
    if stored.rows.refused > MAX_REFUSED_ROWS as u64 {
        findings.count_refused(stored.rows.refused - stored.refused.len() as u64);
    }
}
