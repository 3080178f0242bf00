//! A table as it is planned, with the files that are loaded into it.

use metricd_domain::{Location, ReadOptions, Table};
use metricd_execution::PendingTable;
use metricd_repository::{ContentDigest, TableUpdate};

use super::known::KnownRows;
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
    /// The rows of the files that were loaded before.
    pub(crate) known: KnownRows,
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
