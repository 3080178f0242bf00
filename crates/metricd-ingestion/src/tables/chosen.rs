//! Columns that are chosen from the content of files.

use metricd_domain::{ColumnName, ColumnText, ColumnType, ReadOptions, Table, TableColumn};

use super::columns::{HeaderFinding, NamedColumn, common_type, widened};
use crate::Reason;
use crate::columns::{ColumnChoice, TypeChooser};
use crate::source::{Next, ReadError, RowFault, SourceColumn, SourceRow, TableReader};

/// What a file shows about its columns.
#[derive(Debug)]
pub(super) struct Analysis {
    pub(super) columns: Vec<SourceColumn>,
    pub(super) may_lack_columns: bool,
    pub(super) choices: Vec<ColumnChoice>,
    pub(super) row_count: u64,
}

impl Analysis {
    /// Reads a whole file.
    pub(super) fn read(mut reader: Box<dyn TableReader>, format: &ReadOptions) -> Result<Self, ReadError> {
        let columns = reader.columns().to_vec();
        let mut chooser = TypeChooser::new(&columns, format)
            .map_err(|error| ReadError::content(Reason::TableInvalid, error.to_string()))?;
        let (mut row, mut row_count, mut first_fault) = (SourceRow::default(), 0, None);
        loop {
            match reader.read(&mut row)? {
                Next::Row { line } => {
                    chooser.observe(line, &row);
                    row_count += 1;
                }
                // The fault is reported when the file is loaded.
                Next::Fault(fault) => first_fault = first_fault.or(Some(fault)),
                Next::End => break,
            }
        }
        if let (0, Some(fault)) = (row_count, first_fault) {
            return Err(without_rows(&fault));
        }
        let may_lack_columns = reader.may_lack_columns();
        Ok(Self { columns, may_lack_columns, choices: chooser.finish(), row_count })
    }
}

/// The error of a file all of whose rows are faulty.
fn without_rows(RowFault { line, reason, message, .. }: &RowFault) -> ReadError {
    if *reason != Reason::RowRagged {
        return ReadError::content(*reason, format!("no row can be read, such as line {line}: {message}"));
    }
    let message = format!(
        "no row is as wide as the first line, such as line {line}: {message}; remove the lines above the names of the columns"
    );
    ReadError::content(Reason::HeaderMissing, message)
}

/// The columns of a table that are chosen from one file after another.
pub(super) struct ChosenColumns {
    pub(super) columns: Vec<TableColumn>,
    pub(super) choices: Vec<Option<ColumnChoice>>,
    /// The stored columns, which come first, with the choices from the files alone.
    stored: Vec<(TableColumn, Option<ColumnChoice>)>,
}

impl ChosenColumns {
    /// Begins with the stored columns.
    pub(super) fn of(before: Option<&Table>) -> Self {
        let columns = before.map(|table| table.columns().to_vec()).unwrap_or_default();
        let stored = columns.iter().map(|column| (column.clone(), None)).collect();
        Self { choices: vec![None; columns.len()], stored, columns }
    }

    /// Adds the columns of a file. If the table is stored, its columns are widened at most.
    pub(super) fn add(
        &mut self,
        analysis: &Analysis,
        named: &[NamedColumn],
        is_known: bool,
    ) -> Result<(), Vec<HeaderFinding>> {
        let mut faults = Vec::new();
        for NamedColumn { name, position } in named {
            let (choice, source) = (&analysis.choices[*position], &analysis.columns[*position]);
            let Some(index) = self.columns.iter().position(|column| column.name == *name) else {
                let mut column = TableColumn::new(name.clone(), choice.data_type);
                column.description = described(source);
                self.columns.push(column);
                self.choices.push(Some(choice.clone()));
                continue;
            };
            if let Some((_, chosen)) = self.stored.get_mut(index) {
                combine(chosen, choice);
                let wider = widened(&self.columns[index], choice);
                if wider.data_type != self.columns[index].data_type {
                    self.choices[index] = Some(choice.clone());
                }
                self.columns[index] = wider;
            } else {
                // Another file of this ingestion has it.
                combine(&mut self.choices[index], choice);
                self.columns[index].data_type =
                    self.choices[index].as_ref().map_or(choice.data_type, |of| of.data_type);
            }
        }
        if is_known && !analysis.may_lack_columns {
            for column in &self.columns {
                if !named.iter().any(|named| named.name == column.name) {
                    faults.push(HeaderFinding {
                        column: Some(column.name.to_string()),
                        reason: Reason::ColumnMissing,
                        message: format!("the header has no column `{}`, which the table has", column.name),
                    });
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Gives stored columns the types that the files alone would give them, as far as `again` says, after all files were
    /// added.
    pub(super) fn choose_again(&mut self, again: ChooseAgain) {
        for (index, (stored, choice)) in self.stored.iter().enumerate() {
            let Some(choice) = choice.as_ref().filter(|choice| choice.values > 0) else { continue };
            let (before, now) = (stored.data_type, choice.data_type);
            if now == self.columns[index].data_type {
                continue;
            }
            let is_chosen = match again {
                ChooseAgain::Nothing => false,
                ChooseAgain::ReadAnew => now != ColumnType::Text && !now.widens_to(before),
                ChooseAgain::Everything => true,
            };
            if is_chosen {
                self.columns[index].data_type = now;
                self.choices[index] = Some(choice.clone());
            } else if before == ColumnType::Text || again == ChooseAgain::ReadAnew && !now.widens_to(before) {
                self.choices[index] = Some(stays(before, choice));
            }
        }
    }
}

/// Which stored columns get the types of the files, whose rows replace all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChooseAgain {
    /// None: they are widened at most.
    Nothing,
    /// Those that get another type because the files are read in another way than before, except to become text or
    /// narrower.
    ReadAnew,
    /// All, as requested.
    Everything,
}

/// Adds what another file shows about a column.
fn combine(chosen: &mut Option<ColumnChoice>, other: &ColumnChoice) {
    match chosen {
        Some(first) => {
            first.data_type = common_type(first, other);
            first.values += other.values;
        }
        None => *chosen = Some(other.clone()),
    }
}

/// Why a column keeps the stored type, although the values of the files have another one.
fn stays(stored: ColumnType, choice: &ColumnChoice) -> ColumnChoice {
    let because = format!("as it is stored; the values of the file are {}", choice.data_type);
    let decision = format!("pass `--choose-types` if the column should be {}", choice.data_type);
    ColumnChoice { data_type: stored, because, choice: Some(decision), ..choice.clone() }
}

/// The description of a column: that of the file, or its name there if the table has another one.
fn described(source: &SourceColumn) -> Option<ColumnText> {
    let text = source.description.as_deref().unwrap_or(source.name.trim());
    let is_same = source.description.is_none() && ColumnName::parse(text).is_ok();
    if is_same { None } else { ColumnText::description(text).ok() }
}
