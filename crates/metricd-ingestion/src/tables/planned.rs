//! A table as it is planned, with the files that are loaded into it.

use metricd_domain::{Load, Location, ReadOptions, Table};
use metricd_execution::PendingTable;
use metricd_repository::{ContentDigest, LoadedContent, TableUpdate};

use crate::columns::ColumnChoice;

/// A table that is stored, and what is loaded into it.
#[derive(Debug, Clone)]
pub(crate) struct PlannedTable {
    pub(crate) table: Table,
    pub(crate) before: Option<Table>,
    /// Where definitions declare it.
    pub(crate) declared_at: Option<Location>,
    /// The files of the table, by their index.
    pub(crate) files: Vec<usize>,
    pub(crate) contents: Vec<PlannedContent>,
    /// The number of rows of the files that were loaded before.
    pub(crate) known_rows: u64,
    /// The number of rows of these files that were refused.
    pub(crate) known_refused: u64,
    /// Why the types of the columns were chosen, and what is open, in the order of the columns.
    pub(crate) choices: Vec<Option<ColumnChoice>>,
}

/// A file that is loaded.
#[derive(Debug, Clone)]
pub(crate) struct PlannedContent {
    pub(crate) file: usize,
    pub(crate) digest: ContentDigest,
    /// The position of each column of the table in the file.
    pub(crate) positions: Vec<Option<usize>>,
    pub(crate) options: ReadOptions,
}

impl PlannedTable {
    pub(crate) fn update(&self) -> TableUpdate {
        let contents = self.contents.iter().map(|content| content.digest).collect();
        TableUpdate { table: self.table.clone(), contents }
    }

    /// Whether the stored table gets other columns or types.
    pub(crate) fn changes_columns(&self) -> bool {
        let columns = |table: &Table| -> Vec<_> {
            table.columns().iter().map(|column| (column.name.clone(), column.data_type)).collect()
        };
        self.before.as_ref().is_some_and(|before| columns(before) != columns(&self.table))
    }

    /// The table, unless the stored one resolves SQL in the same way.
    pub(crate) fn pending(&self) -> Option<PendingTable> {
        let columns = |table: &Table| -> Vec<_> {
            table.columns().iter().map(|column| (column.name.clone(), column.data_type, column.comment())).collect()
        };
        let is_same = self.before.as_ref().is_some_and(|before| columns(before) == columns(&self.table));
        (!is_same).then(|| PendingTable { before: self.before.clone(), after: self.table.clone() })
    }
}

/// The files of a table, by whether they are loaded.
#[derive(Debug, Default)]
pub(super) struct Selected<'a> {
    /// The files to load.
    pub(super) pending: Vec<(usize, ContentDigest)>,
    /// The files that were loaded before, and whose rows loading them again would not change.
    pub(super) known: Vec<(usize, &'a LoadedContent)>,
}

impl<'a> Selected<'a> {
    /// Selects from these files, given what was loaded before. A content with refused rows is loaded again, so that the
    /// report lists them, unless that would append its other rows twice.
    pub(super) fn of(table: &Table, loads: &'a [LoadedContent], digests: &[(usize, ContentDigest)]) -> Self {
        let find = |digest: &ContentDigest| loads.iter().find(|content| content.digest == *digest);
        let is_complete = |content: &&LoadedContent| content.refused_count == 0 || table.load() == Load::Append;
        let is_same = loads.iter().map(|content| &content.digest).eq(digests.iter().map(|(_, digest)| digest));
        // If files replace rows, only the last load counts, as a whole.
        let counts_as_a_whole = matches!(table.load(), Load::Replace | Load::Upsert);
        let is_stale = counts_as_a_whole && !(is_same && loads.iter().all(|content| is_complete(&content)));
        let mut selected = Self::default();
        for (file, digest) in digests {
            match find(digest).filter(is_complete) {
                Some(content) if !is_stale => selected.known.push((*file, content)),
                _ => selected.pending.push((*file, *digest)),
            }
        }
        selected
    }

    /// The number of stored rows of the known files.
    pub(super) fn known_rows(&self) -> u64 {
        self.known.iter().map(|(_, content)| content.row_count).sum()
    }

    /// The number of refused rows of the known files.
    pub(super) fn known_refused(&self) -> u64 {
        self.known.iter().map(|(_, content)| content.refused_count).sum()
    }
}
