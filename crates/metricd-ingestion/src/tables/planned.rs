//! A table as it is planned, with the files that are loaded into it.

use metricd_domain::{Load, Location, Table};
use metricd_execution::PendingTable;
use metricd_repository::{ContentDigest, LoadedContent, TableUpdate};

use crate::columns::ColumnChoice;
use crate::source::ReadOptions;

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

/// The files that were not loaded before, and the number of rows of the others.
pub(super) fn not_loaded(
    table: &Table,
    loads: &[LoadedContent],
    digests: &[(usize, ContentDigest)],
) -> (Vec<(usize, ContentDigest)>, u64) {
    let rows = |loads: &[LoadedContent]| loads.iter().map(|content| content.row_count).sum();
    match table.load() {
        // Only the last load counts, as a whole.
        Load::Replace | Load::Upsert => {
            let is_same = loads.iter().map(|content| &content.digest).eq(digests.iter().map(|(_, digest)| digest));
            if is_same { (Vec::new(), rows(loads)) } else { (digests.to_vec(), 0) }
        }
        Load::Append | Load::Multiset => {
            let known = |digest: &ContentDigest| loads.iter().find(|content| content.digest == *digest);
            let pending = digests.iter().filter(|(_, digest)| known(digest).is_none()).copied().collect();
            let known_rows = digests.iter().filter_map(|(_, digest)| known(digest)).map(|content| content.row_count);
            (pending, known_rows.sum())
        }
    }
}
