//! The port through which tables of any file format are read: [`TableFormat`] opens a file, [`TableReader`] reads its
//! rows. Adapters implement both.
//!
//! Values travel as text, as PostgreSQL writes them: `true`, `12.50`, `2025-06-01`, `2025-06-01 12:00:00.000001`,
//! `2025-06-01 12:00:00+00`, `\x00ff` for bytes. [`CellKind`] says what the file shows about the type of a value.

use std::fmt::Debug;
use std::io::{self, Read, Seek};

use metricd_domain::{ColumnType, ReadOptions};

/// A file that an adapter reads.
pub trait ReadSeek: Read + Seek + Send {}

impl<F: Read + Seek + Send> ReadSeek for F {}

/// A file format.
pub trait TableFormat: Debug + Send + Sync {
    /// The name for people, such as `Parquet`.
    fn name(&self) -> &'static str;

    /// The extensions of its files, in lower case and without a point.
    fn extensions(&self) -> &'static [&'static str];

    /// Whether a file that begins with these bytes has the format.
    fn detect(&self, beginning: &[u8]) -> bool;

    /// Opens a file at its beginning. `options` are those of the table.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the file cannot be read, or is not what it begins as.
    fn open(&self, file: Box<dyn ReadSeek>, options: &ReadOptions) -> Result<Box<dyn TableReader>, ReadError>;
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// The name in the file. Empty if the file has none.
    pub name: String,
    /// The type, if the file declares it. Otherwise it is chosen from the values.
    pub data_type: Option<ColumnType>,
    /// The description, if the file has one.
    pub description: Option<String>,
}

/// Reads the rows of one table in their order, in constant memory.
pub trait TableReader: Debug + Send {
    /// The columns.
    fn columns(&self) -> &[SourceColumn];

    /// Whether the file leaves out columns that have no values, as JSON may. The columns of a table that it lacks have
    /// no values then.
    fn may_lack_columns(&self) -> bool {
        false
    }

    /// Reads the next row into `row`, which is cleared before. A faulty row does not end the file.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the rest of the file cannot be read. Nothing of the file is stored then.
    fn read(&mut self, row: &mut SourceRow) -> Result<Next, ReadError>;
}

/// What a reader found next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A row with a cell for each column.
    Row {
        /// The line on which it begins, or its number in a file without lines, from 1.
        line: u64,
    },
    /// A row that cannot be read.
    Fault(RowFault),
    /// The end of the file.
    End,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The first line or row number.
    pub line: u64,
    /// The last line or row number.
    pub last_line: u64,
    /// The stable code of the fault.
    pub reason: crate::Reason,
    /// What is wrong and what was expected, for people.
    pub message: String,
    /// The faulty text, if it helps.
    pub value: Option<String>,
    /// The name of the column, if one cell is at fault.
    pub column: Option<String>,
}

/// Why a file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system cannot read the file.
    #[error(transparent)]
    Io(io::Error),
    /// The content is not what the format allows. The file is refused.
    #[error("{message}")]
    Content {
        /// The stable code of the fault.
        reason: crate::Reason,
        /// What is wrong and what was expected, for people.
        message: String,
    },
}

/// A fault in the content of a file that a layer below the format finds, such as the one that decompresses. It
/// travels as an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ContentFault {
    pub(crate) reason: crate::Reason,
    pub(crate) message: String,
}

impl From<ContentFault> for io::Error {
    fn from(fault: ContentFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<ContentFault>() {
            Ok(ContentFault { reason, message }) => Self::Content { reason, message },
            Err(error) => Self::Io(error),
        }
    }
}

impl ReadError {
    pub(crate) fn content(reason: crate::Reason, message: impl Into<String>) -> Self {
        Self::Content { reason, message: message.into() }
    }
}

/// What the file shows about a value besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// No value.
    Null,
    /// Text that may be a value of any type, as in CSV.
    Untyped,
    /// Text that the file marks as text, such as a JSON string or a quoted number. It may be a date, a timestamp or a
    /// UUID, which such a file can only write as text, but neither a number nor a boolean.
    String,
    /// A number, as the file marks it.
    Number,
    /// A boolean, as the file marks it.
    Boolean,
    /// A JSON object or array.
    Json,
    /// A value of the type that the file declares for the column. Text of a declared type is exact: nothing is trimmed.
    Typed,
}

/// The cells of a row, in one buffer that is reused.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SourceRow {
    text: String,
    cells: Vec<(usize, CellKind)>,
}

impl SourceRow {
    /// Removes all cells.
    pub fn clear(&mut self) {
        self.text.clear();
        self.cells.clear();
    }

    /// Appends a cell.
    pub fn push(&mut self, kind: CellKind, text: &str) {
        self.text.push_str(text);
        self.cells.push((self.text.len(), kind));
    }

    /// Appends a cell without a value.
    pub fn push_null(&mut self) {
        self.cells.push((self.text.len(), CellKind::Null));
    }

    /// Appends a cell whose text the function writes at the end of the buffer.
    pub fn push_with(&mut self, kind: CellKind, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.cells.push((self.text.len(), kind));
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether the row has no cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The cell at this position.
    #[must_use]
    #[inline]
    pub fn cell(&self, position: usize) -> Option<(CellKind, &str)> {
        let (end, kind) = *self.cells.get(position)?;
        let start = position.checked_sub(1).map_or(0, |before| self.cells[before].0);
        Some((kind, self.text.get(start..end).unwrap_or_default()))
    }

    /// The cells, in the order of the columns.
    pub fn cells(&self) -> impl Iterator<Item = (CellKind, &str)> {
        let mut start = 0;
        self.cells.iter().map(move |&(end, kind)| {
            let text = self.text.get(start..end).unwrap_or_default();
            start = end;
            (kind, text)
        })
    }
}
