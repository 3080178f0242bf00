//! The part of the report that is about tables.

use std::collections::BTreeMap;

use metricd_domain::{ColumnName, IngestedColumn, IngestedTable, Load, Location, RowCounts, TableChange, TableName};
use metricd_repository::{Changes, KeyConflict, MAX_REFUSED_ROWS, TableChanges, TableRefusal, TableRefusalCause};

use super::changes::describe;
use super::file::TableFile;
use super::known::KnownRows;
use super::planned::PlannedTable;
use super::rows::FoundRows;
use crate::Reason;
use crate::findings::Findings;

/// Reports each table, and adds what was found in its rows to `findings`.
pub(crate) fn report_tables(
    planned: &[PlannedTable],
    files: &[TableFile],
    mut found: BTreeMap<(TableName, usize), FoundRows>,
    changes: &Changes,
    allow_empty: bool,
    findings: &mut Findings,
) -> Vec<IngestedTable> {
    let unchanged = TableChanges::default();
    let mut tables = Vec::new();
    for table in planned {
        let stored = changes.tables.get(table.table.name()).unwrap_or(&unchanged);
        let KnownRows { stored: known, refused } = table.known;
        let mut counts = RowCounts { read: known + refused, refused, ..RowCounts::default() };
        for index in 0..table.contents.len() {
            if let Some(rows) = found.remove(&(table.table.name().clone(), index)) {
                counts.read += rows.read;
                counts.refused += rows.refused;
                findings.append(rows.findings);
            }
        }
        counts.added = stored.rows.added;
        counts.changed = stored.rows.changed;
        counts.unchanged = stored.rows.unchanged + known;
        counts.repeated = stored.rows.repeated;
        counts.removed = stored.rows.removed;
        counts.refused += stored.rows.refused;
        refuse_keys(table, files, stored, findings);
        let is_emptied = refuse_emptied(table, files, counts, allow_empty, findings);
        if let Some(refusal) = &stored.refusal {
            refuse_table(table, files, refusal, findings);
            counts = RowCounts { read: counts.read, refused: counts.read, ..RowCounts::default() };
        } else if !is_emptied {
            notice_incomplete(table, files, counts, findings);
        }
        tables.push(IngestedTable {
            table: table.table.name().to_string(),
            files: table.files.iter().map(|file| files[*file].input.name().to_owned()).collect(),
            change: match (stored.is_new, stored.is_changed) {
                _ if is_emptied || stored.refusal.is_some() => TableChange::Refused,
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

/// Where a table comes from: its first file, otherwise its declaration.
fn location(table: &PlannedTable, files: &[TableFile]) -> Location {
    let file = table.contents.first().map(|content| content.file).or(table.files.first().copied());
    match (file.and_then(|file| files.get(file)), &table.declared_at) {
        (Some(file), _) => Location { file: file.input.name().to_owned(), ..Location::default() },
        (None, declared_at) => declared_at.clone().unwrap_or_default(),
    }
}

/// Refuses a table that would lose all rows, because its files have none, or because every row is refused. Returns whether
/// it does.
fn refuse_emptied(
    table: &PlannedTable,
    files: &[TableFile],
    rows: RowCounts,
    allow_empty: bool,
    findings: &mut Findings,
) -> bool {
    let is_emptied = rows.removed > 0 && rows.accepted() == 0 && (rows.refused > 0 || !allow_empty);
    if is_emptied {
        let (name, removed) = (table.table.name(), counted(rows.removed, "row", "rows"));
        let message = if rows.refused > 0 {
            format!("every row was refused, so the table `{name}` would lose its {removed}")
        } else {
            format!(
                "the file has no rows, so the table `{name}` would lose its {removed}: pass `--allow-empty` if it should be \
                 empty"
            )
        };
        findings.refuse(location(table, files), None, Reason::TableEmptied, message);
    }
    is_emptied
}

/// Refuses a table that the store refuses.
fn refuse_table(table: &PlannedTable, files: &[TableFile], refusal: &TableRefusal, findings: &mut Findings) {
    let (name, said) = (table.table.name(), &refusal.message);
    let location = Location { column: refusal.column.clone(), ..location(table, files) };
    let (reason, message) = match refusal.cause {
        TableRefusalCause::KeyRepeated => {
            let key = names(table.table.key());
            let message = format!(
                "two stored rows of the table `{name}` have the same key ({key}) as it is declared now: declare another key, \
                 or replace the rows; PostgreSQL says: {said}"
            );
            (Reason::TableViolated, message)
        }
        TableRefusalCause::ValueMissing => {
            let column = refusal.column.as_deref().map(|column| format!(" `{column}`")).unwrap_or_default();
            let message = format!(
                "a stored row of the table `{name}` has no value in the column{column}, which is declared as required now: \
                 leave out `required`, or replace the rows; PostgreSQL says: {said}"
            );
            (Reason::TableViolated, message)
        }
        TableRefusalCause::CheckBroken => {
            let message = format!(
                "stored rows of the table `{name}` break a check as it is declared now: {said}; change the check, or replace \
                 the rows"
            );
            (Reason::TableViolated, message)
        }
        TableRefusalCause::Database => {
            let message =
                format!("PostgreSQL refuses the table `{name}`: {said}; change what others have made in the database");
            (Reason::TableRejected, message)
        }
    };
    findings.refuse(location, None, reason, message);
}

/// Notices that stored rows are removed while rows of the files that would replace them are refused.
fn notice_incomplete(table: &PlannedTable, files: &[TableFile], rows: RowCounts, findings: &mut Findings) {
    if table.table.load() != Load::Replace || rows.removed == 0 || rows.refused == 0 {
        return;
    }
    let message = format!(
        "{} refused, and the table `{}` has only the others now: its former rows are replaced. `--strict` stores nothing if \
         a row is refused",
        counted(rows.refused, "row was", "rows were"),
        table.table.name()
    );
    findings.notice(location(table, files), Reason::TableIncomplete, message);
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn names(names: &[ColumnName]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
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
    let key = names(table.table.key());
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
