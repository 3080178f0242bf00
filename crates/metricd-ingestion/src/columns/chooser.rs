//! Chooses the types of columns from every value of a file.

use metricd_domain::{ColumnType, ReadOptions};

use super::because;
use super::describe::describe;
use super::fits::{self, ALL, TYPES};
use super::format::{InvalidDateFormat, ValueFormat, trim};
use super::looks;
use crate::{CellKind, SourceColumn, SourceRow};

/// The number of distinct values that a choice shows.
const MAX_EXAMPLES: usize = 3;

/// The number of characters of a value that a choice shows.
const MAX_SHOWN_CHARS: usize = 80;

/// The number of distinct spellings for no value that a hint names.
const MAX_SPELLINGS: usize = 8;

/// Chooses the type of each column of a file. Give it every row, then call [`Self::finish`].
#[derive(Debug)]
pub struct TypeChooser {
    format: ValueFormat,
    /// The names of the columns for people.
    names: Vec<String>,
    columns: Vec<ColumnState>,
}

/// The type of a column, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChoice {
    /// The type.
    pub data_type: ColumnType,
    /// Why, as a sentence for people.
    pub because: String,
    /// What a person has to decide, as a sentence. `None` if nothing is open.
    pub choice: Option<String>,
    /// The number of values.
    pub values: u64,
    /// The number of cells without a value.
    pub nulls: u64,
    /// The number of values with blanks at either end, and the line of the first one. Only text keeps the blanks.
    pub padded: Option<(u64, u64)>,
    /// The first distinct values, shortened.
    pub examples: Vec<String>,
}

impl TypeChooser {
    /// Makes a chooser for a file with these columns.
    ///
    /// # Errors
    ///
    /// [`InvalidDateFormat`] if the format of dates is none.
    pub fn new(columns: &[SourceColumn], format: &ReadOptions) -> Result<Self, InvalidDateFormat> {
        let name = |(index, column): (usize, &SourceColumn)| match column.name.as_str() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        let names = columns.iter().enumerate().map(name).collect();
        let columns = columns.iter().map(|column| ColumnState::new(column.data_type)).collect();
        Ok(Self { format: ValueFormat::new(format)?, names, columns })
    }

    /// Sees the next row, which begins on this line. Cells beyond the columns are ignored.
    pub fn observe(&mut self, line: u64, row: &SourceRow) {
        for (column, (kind, text)) in self.columns.iter_mut().zip(row.cells()) {
            column.observe(&self.format, line, kind, text);
        }
    }

    /// The type of each column.
    #[must_use]
    pub fn finish(mut self) -> Vec<ColumnChoice> {
        // In a file with a decimal comma, the point of `1.234` may separate thousands.
        if let Some(proof) = self.columns.iter().position(ColumnState::has_decimal_comma) {
            for column in self.columns.iter_mut().filter(|column| column.may_have_thousands()) {
                column.decimal_comma_in = self.names.get(proof).cloned();
            }
        }
        self.columns.into_iter().map(ColumnState::finish).collect()
    }
}

/// A value, its kind and its line.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: u64,
    pub(super) kind: CellKind,
    pub(super) value: String,
}

/// The value for which a column became text.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) seen: Seen,
    /// What the value is.
    pub(super) description: Option<String>,
    /// The types that the values before it fit.
    pub(super) before: u32,
    /// The number of values before it.
    pub(super) count: u64,
}

/// A spelling for no value.
#[derive(Debug)]
pub(super) struct NullSpelling {
    pub(super) first: Seen,
    pub(super) count: u64,
}

/// What the values of a column have in common so far.
#[derive(Debug)]
pub(super) struct ColumnState {
    pub(super) declared: Option<ColumnType>,
    /// The types that all values fit, and the notations that all values have.
    pub(super) fits: u32,
    pub(super) values: u64,
    /// The number of texts that the file marks as text, and that would mean no value otherwise.
    pub(super) empty_texts: u64,
    pub(super) first: Option<Seen>,
    pub(super) counterexample: Option<Counterexample>,
    pub(super) null_spellings: Vec<NullSpelling>,
    /// Whether a value that excluded types or notations ends with a minus sign.
    pub(super) has_trailing_minus: bool,
    /// The column whose values show that the file has a decimal comma, if that changes the values of this one.
    pub(super) decimal_comma_in: Option<String>,
    nulls: u64,
    padded: u64,
    first_padded: u64,
    examples: Vec<String>,
}

impl ColumnState {
    fn new(declared: Option<ColumnType>) -> Self {
        Self {
            declared,
            fits: if declared.is_none() { ALL } else { 0 },
            values: 0,
            empty_texts: 0,
            first: None,
            counterexample: None,
            null_spellings: Vec::new(),
            has_trailing_minus: false,
            decimal_comma_in: None,
            nulls: 0,
            padded: 0,
            first_padded: 0,
            examples: Vec::new(),
        }
    }

    /// Whether all values are numbers, but only if the comma is the decimal sign.
    fn has_decimal_comma(&self) -> bool {
        let (fits, values) = (self.fits & (TYPES | fits::DECIMAL_COMMA | fits::THOUSANDS), self.values);
        fits == fits::DECIMAL_COMMA && values > 0
    }

    /// Whether all values are numbers, and others if the point separates thousands.
    fn may_have_thousands(&self) -> bool {
        let fits = self.fits & (fits::BIGINT | fits::NUMERIC | fits::DECIMAL_COMMA);
        fits == fits::NUMERIC | fits::DECIMAL_COMMA && self.declared.is_none() && self.values > 0
    }

    #[inline]
    fn observe(&mut self, format: &ValueFormat, line: u64, kind: CellKind, text: &str) {
        let text = match kind {
            CellKind::Untyped => {
                let value = trim(text);
                if format.is_null(value) {
                    self.nulls += 1;
                    return;
                }
                if value.len() < text.len() {
                    self.first_padded = if self.padded == 0 { line } else { self.first_padded };
                    self.padded += 1;
                }
                value
            }
            CellKind::Null => {
                self.nulls += 1;
                return;
            }
            CellKind::String if format.is_null_text(text) => {
                self.empty_texts += 1;
                return;
            }
            _ => text,
        };
        self.values += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.keep_example(text);
        }
        let remaining = if self.fits == 0 { 0 } else { self.fits & fits::of(kind, text, self.fits, format) };
        if remaining != self.fits {
            self.narrow(remaining, (line, kind, text), format);
        } else if self.fits & TYPES == 0 && kind == CellKind::Untyped && looks::is_null_spelling(text) {
            self.count_null_spelling(Seen { line, kind, value: shown(text) });
        }
    }

    /// Excludes the types and notations that a value does not have.
    #[cold]
    fn narrow(&mut self, mut remaining: u32, (line, kind, text): (u64, CellKind, &str), format: &ValueFormat) {
        let seen = Seen { line, kind, value: shown(text) };
        self.has_trailing_minus |= text.ends_with('-');
        if remaining & TYPES == 0 && seen.kind == CellKind::Untyped && looks::is_null_spelling(&seen.value) {
            self.count_null_spelling(seen);
            return;
        }
        if fits::DATE_GROUPS.iter().any(|group| remaining & group == 0) {
            remaining &= !fits::DATE_NOTATION;
        }
        if self.fits & TYPES != 0 && remaining & TYPES == 0 {
            let count = self.values - 1;
            let description = describe(kind, text, format);
            let before = self.fits & TYPES;
            self.counterexample = Some(Counterexample { seen: seen.clone(), description, before, count });
        }
        self.fits = remaining;
        self.first.get_or_insert(seen);
    }

    fn count_null_spelling(&mut self, seen: Seen) {
        if let Some(spelling) = self.null_spellings.iter_mut().find(|spelling| spelling.first.value == seen.value) {
            spelling.count += 1;
        } else if self.null_spellings.len() < MAX_SPELLINGS {
            self.null_spellings.push(NullSpelling { first: seen, count: 1 });
        }
    }

    #[cold]
    fn keep_example(&mut self, text: &str) {
        let text = shown(text);
        if !self.examples.contains(&text) {
            self.examples.push(text);
        }
    }

    fn finish(self) -> ColumnChoice {
        let (data_type, because, choice) = because::explain(&self);
        ColumnChoice {
            data_type,
            because,
            choice,
            values: self.values,
            nulls: self.nulls,
            padded: (self.padded > 0).then_some((self.padded, self.first_padded)),
            examples: self.examples,
        }
    }
}

/// The beginning of a value.
fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
