//! Tables that ingestions load: their stored state, the updates of an ingestion and what those change.

use std::fmt;

use chrono::{DateTime, Utc};
use metricd_domain::{Actor, ChangeAction, Load, Table, TableColumn, shortened};
use serde::{Deserialize, Serialize};

/// The maximum number of refused rows that a store lists for one table.
pub const MAX_REFUSED_ROWS: usize = 1_000;

/// The maximum number of characters of a stored value in a message.
const MAX_VALUE_CHARS: usize = 100;

/// The digest of the content of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentDigest(pub [u8; 32]);

impl fmt::Debug for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ContentDigest(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str("…)")
    }
}

/// A stored table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExistingTable {
    /// The table.
    pub table: Table,
    /// The contents that loading again would not change, as [`Load`](metricd_domain::Load) decides: those of the last
    /// load if files replace rows, otherwise all, each once. In the order in which they were loaded.
    pub loads: Vec<LoadedContent>,
    /// How the relation in the database differs from the table, for people: others have changed it, and the store cannot
    /// load it. Empty if it is as the store made it.
    pub alterations: Vec<String>,
}

impl ExistingTable {
    /// Makes a table into which nothing was loaded.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self { table, loads: Vec::new(), alterations: Vec::new() }
    }
}

/// The content of a file that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedContent {
    /// The digest of the content.
    pub digest: ContentDigest,
    /// The number of its rows that were stored or were stored already.
    pub row_count: u64,
    /// The number of its rows that were refused.
    pub refused_count: u64,
}

/// A table to store, which creates it if it is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUpdate {
    /// The table as it will be. If it is stored, every stored column is among its columns, with the same type or one
    /// that the type [widens to](metricd_domain::ColumnType::widens_to). If the contents replace all rows, a column may
    /// have any other type.
    pub table: Table,
    /// The contents to load, in their order. Empty if only the table changes.
    pub contents: Vec<ContentDigest>,
}

impl TableUpdate {
    /// Whether a stored column gets a type that does not keep its values.
    #[must_use]
    pub fn retypes(&self, before: &Table) -> bool {
        let of_stored = |column: &TableColumn| before.columns().iter().find(|stored| stored.name == column.name);
        let pairs =
            self.table.columns().iter().filter_map(|column| Some((of_stored(column)?.data_type, column.data_type)));
        pairs.into_iter().any(|(stored, wanted)| stored != wanted && !stored.widens_to(wanted))
    }

    /// Whether no stored row is compared with a new one, but all are removed first: the contents replace them, and a column
    /// or the key changes in a way in which stored rows may not hold.
    #[must_use]
    pub fn replaces_everything(&self, before: &Table) -> bool {
        let is_replaced = self.table.load() == Load::Replace && !self.contents.is_empty();
        is_replaced && (self.retypes(before) || self.table.key() != before.key())
    }
}

/// The form in which a store reads rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowForm {
    /// The values of the columns, in their order.
    Values,
    /// The position of the row, a number that the ingestion gives it, and then the values.
    PositionAndValues,
}

/// What an ingestion changes in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableChanges {
    /// Whether the table was created.
    pub is_new: bool,
    /// Whether the stored table had another definition.
    pub is_changed: bool,
    /// The rows of the contents that were loaded, counted by their result.
    pub rows: RowChanges,
    /// The first rows that were refused, by content and position.
    pub refused: Vec<RefusedRow>,
    /// Why the store refuses the table. Nothing of the table is changed then, and the other members are empty.
    pub refusal: Option<TableRefusal>,
}

impl TableChanges {
    /// The changes of a table that the store refuses: none.
    #[must_use]
    pub fn of_refused(refusal: TableRefusal) -> Self {
        Self { refusal: Some(refusal), ..Self::default() }
    }

    /// Whether the definition or a stored row changes.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        let RowChanges { added, changed, removed, .. } = self.rows;
        self.is_new || self.is_changed || added + changed + removed > 0
    }
}

/// Why a store refuses a table: the same ingestion would fail again, until somebody changes the table or the files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableRefusal {
    /// What refuses it.
    pub cause: TableRefusalCause,
    /// The column that it is about, if the store knows it.
    pub column: Option<String>,
    /// What the store says, with an example if there is one.
    pub message: String,
}

impl TableRefusal {
    /// Makes a refusal that is about no column.
    #[must_use]
    pub fn new(cause: TableRefusalCause, message: impl Into<String>) -> Self {
        Self { cause, column: None, message: message.into() }
    }

    /// Makes a refusal because a stored row has this value, which breaks a check of its column.
    #[must_use]
    pub fn of_broken_check(column: &TableColumn, value: &str) -> Self {
        let (name, value) = (&column.name, shortened(value, MAX_VALUE_CHARS));
        let message = format!("a row has the value `{value}` in the column `{name}`: expected {}", column.checks);
        Self::new(TableRefusalCause::CheckBroken, message).of_column(name.as_str())
    }

    /// The same about a column.
    #[must_use]
    pub fn of_column(self, column: impl Into<String>) -> Self {
        Self { column: Some(column.into()), ..self }
    }
}

/// What refuses a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableRefusalCause {
    /// Two stored rows have the same key as it is declared now.
    KeyRepeated,
    /// A stored row has no value in a column that is declared as required now.
    ValueMissing,
    /// A stored value breaks a check of its column as it is declared now.
    CheckBroken,
    /// Something that others have made in the database, such as a view, a constraint, a trigger or a privilege.
    Database,
}

/// The rows of a load, counted by their result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowChanges {
    /// Rows stored by this ingestion.
    pub added: u64,
    /// Rows that replace a stored row of the same key with other values.
    pub changed: u64,
    /// Rows that were stored already.
    pub unchanged: u64,
    /// Rows that repeat an earlier row of the same key with the same values.
    pub repeated: u64,
    /// Stored rows that were removed, because the contents do not have them.
    pub removed: u64,
    /// Rows that were refused because of their key.
    pub refused: u64,
}

/// A row that a store refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedRow {
    /// The index of its content in [`TableUpdate::contents`].
    pub content: usize,
    /// The position that the ingestion gave it.
    pub position: u64,
    /// Why it was refused.
    pub conflict: KeyConflict,
}

/// Which other row has the key of a refused row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyConflict {
    /// An earlier row of the contents has other values.
    InContents,
    /// A stored row has other values, and the table is not one whose rows are replaced.
    Stored,
}

/// A table as the store has it, with its last change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTable {
    /// The table.
    pub table: Table,
    /// The number of its definition, from 1.
    pub version: u32,
    /// When the definition or the rows last changed.
    pub changed_at: DateTime<Utc>,
    /// Who made that change.
    pub changed_by: Actor,
}

impl StoredTable {
    /// Makes a table of a store.
    #[must_use]
    pub fn new(table: Table, version: u32, changed_at: DateTime<Utc>, changed_by: Actor) -> Self {
        Self { table, version, changed_at, changed_by }
    }
}

/// A table that metrics in service read, according to their contracts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadTable {
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
    /// The number of metrics that read it, at least 1.
    pub metric_count: u64,
}

impl ReadTable {
    /// Makes a table that so many metrics read.
    #[must_use]
    pub fn new(schema: String, name: String, metric_count: u64) -> Self {
        Self { schema, name, metric_count }
    }
}

/// A version of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableVersion {
    /// The number of the version, from 1.
    pub version: u32,
    /// What was done.
    pub action: ChangeAction,
    /// The table after the change, or before it was deleted.
    pub table: Table,
    /// When the change was made.
    pub changed_at: DateTime<Utc>,
    /// Who made the change.
    pub changed_by: Actor,
}

impl TableVersion {
    /// Makes a version.
    #[must_use]
    pub fn new(version: u32, action: ChangeAction, table: Table, changed_at: DateTime<Utc>, changed_by: Actor) -> Self {
        Self { version, action, table, changed_at, changed_by }
    }
}

/// Reads rows in the form in which an ingestion gives them: each ends in a line feed, its fields are separated by
/// commas, an empty field is no value, and quotes enclose texts that need them, with each quote in them doubled. For
/// stores that hold values themselves.
#[derive(Debug)]
pub struct RowValues<'a> {
    rows: &'a [u8],
}

impl<'a> RowValues<'a> {
    /// Reads whole rows.
    #[must_use]
    pub fn new(rows: &'a [u8]) -> Self {
        Self { rows }
    }

    /// The next field, and whether it ends its row.
    fn field(&mut self) -> (Option<String>, bool) {
        let is_end = |byte: &u8| matches!(byte, b',' | b'\n');
        let mut text = Vec::new();
        let is_quoted = self.rows.first() == Some(&b'"');
        let mut at = usize::from(is_quoted);
        while let Some(byte) = self.rows.get(at) {
            match (byte, is_quoted) {
                (b'"', true) if self.rows.get(at + 1) == Some(&b'"') => at += 1,
                (b'"', true) => {
                    at += 1;
                    break;
                }
                (byte, false) if is_end(byte) => break,
                _ => {}
            }
            text.push(*byte);
            at += 1;
        }
        let ends_row = self.rows.get(at) != Some(&b',');
        self.rows = self.rows.get(at + 1..).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        ((is_quoted || !text.is_empty()).then_some(text), ends_row)
    }
}

impl Iterator for RowValues<'_> {
    type Item = Vec<Option<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.is_empty() {
            return None;
        }
        let mut values = Vec::new();
        loop {
            let (value, ends_row) = self.field();
            values.push(value);
            if ends_row {
                return Some(values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let rows: Vec<_> = RowValues::new(b"1,,\"\"\n\"a,\"\"b\"\"\nc\",x,\n,,\n").collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(rows[0], [text("1"), None, text("")]);
        assert_eq!(rows[1], [text("a,\"b\"\nc"), text("x"), None]);
        assert_eq!(rows[2], [None, None, None]);
        assert_eq!(RowValues::new(b"\n").collect::<Vec<_>>(), [vec![None]]);
        assert_eq!(rows.len(), 3);
    }
}
