//! Decides which table each file is loaded into, with which columns, and which files were loaded before.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use metricd_domain::{Load, Location, ReadOptions, Table, TableName, TableParts};
use metricd_execution::is_reserved;
use metricd_repository::{ContentDigest, ExistingState, ExistingTable, ReferencedIds};

use super::changes::losses;
use super::chosen::{Analysis, ChooseAgain, ChosenColumns};
use super::columns::{HeaderFinding, HeaderResult, locate_columns, name_columns};
use super::file::{Pass, TableFile};
use super::known::{Selected, digest_of_rows};
use super::planned::{PlannedContent, PlannedTable};
use crate::findings::Findings;
use crate::readers::check_options;
use crate::source::{ReadError, SourceColumn};
use crate::validate::Located;
use crate::{Progress, Reason};

/// The files of rows of an ingestion, and the tables that its definitions declare.
#[derive(Debug, Default)]
pub(crate) struct TablePlanner {
    pub(crate) files: Vec<TableFile>,
    pub(crate) declared: Vec<Located<Table>>,
    /// The names of tables whose declaration was refused.
    pub(crate) refused: BTreeSet<TableName>,
    /// How files are read whose table has no format of its own.
    pub(crate) options: ReadOptions,
    /// Whether types that were chosen before are chosen again.
    pub(crate) choose_types: bool,
    /// The table of all files, if the caller names it.
    pub(crate) target: Option<TableName>,
    /// Tables that were refused when definitions were validated with them, and why.
    rejected: BTreeMap<TableName, (Reason, String)>,
    /// The contents that were read to choose types, by file and format: planning may be repeated.
    analyses: Vec<(usize, ReadOptions, Arc<Analysis>)>,
}

/// Why a file is not loaded.
enum Rejected {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It was refused, and reported.
    Refused,
}

impl From<io::Error> for Rejected {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// A table that is planned: its files, its declaration and what is stored.
struct Subject<'a> {
    name: &'a TableName,
    files: Vec<usize>,
    declared: Option<&'a Located<Table>>,
    existing: Option<&'a ExistingTable>,
}

impl TablePlanner {
    /// Makes a planner without files.
    pub(crate) fn new(options: ReadOptions, choose_types: bool, target: Option<TableName>) -> Self {
        Self { options, choose_types, target, ..Self::default() }
    }

    /// The tables that the files may change, added to the ids.
    pub(crate) fn reference(&self, ids: &mut ReferencedIds) {
        ids.table_names.extend(self.target.clone());
        ids.table_names.extend(self.declared.iter().map(|table| table.value.name().clone()));
        for TableFile { input, .. } in &self.files {
            ids.table_names.extend(TableName::from_text(input.table_stem()).ok());
            ids.table_files.insert(input.file_name().to_owned());
        }
    }

    /// Forgets what an earlier validation found about tables.
    pub(crate) fn reset(&mut self) {
        self.rejected.clear();
    }

    /// Refuses the table from the next plan on.
    pub(crate) fn reject(&mut self, table: &TableName, reason: Reason, message: String) {
        self.rejected.entry(table.clone()).or_insert((reason, message));
    }

    /// Plans every table. What cannot be stored is refused in `findings`.
    ///
    /// # Errors
    ///
    /// Any error of reading a file.
    pub(crate) fn plan(
        &mut self,
        existing: &ExistingState,
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> io::Result<Vec<PlannedTable>> {
        let declared = std::mem::take(&mut self.declared);
        let planned = self.plan_all(&declared, existing, progress, findings);
        self.declared = declared;
        planned
    }

    fn plan_all(
        &mut self,
        declared: &[Located<Table>],
        existing: &ExistingState,
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> io::Result<Vec<PlannedTable>> {
        let declarations = unique(declared, findings);
        let mut files: BTreeMap<TableName, Vec<usize>> = BTreeMap::new();
        for index in 0..self.files.len() {
            match self.table_of(index, &declarations, existing) {
                Ok(name) => files.entry(name).or_default().push(index),
                Err(message) => findings.refuse(self.at(index), None, Reason::TableInvalid, message),
            }
        }
        let names: BTreeSet<_> = declarations.keys().copied().chain(files.keys()).cloned().collect();
        let mut planned = Vec::new();
        for name in names {
            let subject = Subject {
                name: &name,
                files: files.remove(&name).unwrap_or_default(),
                declared: declarations.get(&name).copied(),
                existing: existing.tables.get(&name),
            };
            if self.is_refused(&subject, existing, findings) {
                continue;
            }
            match self.plan_table(subject, progress, findings) {
                Ok(table) => {
                    self.notice_keyword(&table, findings);
                    planned.push(table);
                }
                Err(Rejected::Refused) => {}
                Err(Rejected::Unreadable(error)) => return Err(error),
            }
        }
        // What is not read any more, because it is known or refused.
        for (index, file) in self.files.iter().enumerate() {
            let is_loaded = planned.iter().any(|table| table.contents.iter().any(|content| content.file == index));
            let passes: &[Pass] = if is_loaded { &[Pass::Digest, Pass::Choose] } else { &Pass::ALL };
            for pass in passes {
                file.finish(*pass, progress);
            }
        }
        Ok(planned)
    }

    /// Notices that SQL has to quote the name of a new table.
    fn notice_keyword(&self, planned: &PlannedTable, findings: &mut Findings) {
        let name = planned.table.name();
        if planned.before.is_none() && is_reserved(name.as_str()) {
            let message =
                format!("the table `{name}` is named as a keyword of SQL: write it as \"{name}\", with quotes");
            let file = planned.files.first().map(|file| self.at(*file));
            let location = file.or_else(|| planned.declared_at.clone()).unwrap_or_default();
            findings.notice(location, Reason::TableKeyword, message);
        }
    }

    fn at(&self, file: usize) -> Location {
        let file = self.files.get(file).map(|file| file.input.name().to_owned()).unwrap_or_default();
        Location { file, ..Location::default() }
    }

    /// The name of the table that the file is loaded into: the caller's, that of a table which names the file, or one
    /// made of the file's name.
    fn table_of(
        &self,
        file: usize,
        declared: &BTreeMap<&TableName, &Located<Table>>,
        existing: &ExistingState,
    ) -> Result<TableName, String> {
        if let Some(name) = &self.target {
            return Ok(name.clone());
        }
        let input = &self.files[file].input;
        let names_file = |table: &Table| table.parts().file.as_deref() == Some(input.file_name());
        let of_declared = declared.values().map(|declared| &declared.value).find(|table| names_file(table));
        let of_stored = || {
            let stored = existing.tables.values().map(|existing| &existing.table);
            stored.filter(|table| !declared.contains_key(table.name())).find(|table| names_file(table))
        };
        if let Some(table) = of_declared.or_else(of_stored) {
            return Ok(table.name().clone());
        }
        let stem = input.table_stem();
        TableName::from_text(stem).map_err(|error| {
            format!("no name of a table can be made of `{stem}`: {error}; name the table with `--table`, or declare it")
        })
    }

    /// Refuses a table that cannot be stored whatever its files contain.
    fn is_refused(&self, subject: &Subject<'_>, existing: &ExistingState, findings: &mut Findings) -> bool {
        let Subject { name, files, declared, existing: stored } = subject;
        let mut refuse = |reason, message: &str| {
            let locations = declared.iter().map(|declared| declared.location.clone());
            for location in locations.chain(files.iter().map(|file| self.at(*file))) {
                findings.refuse(location, Some(name.as_str()), reason, message);
            }
            true
        };
        if self.refused.contains(*name) {
            let message = format!("the declaration of the table `{name}` was refused, and its file with it");
            return refuse(Reason::TableRefused, &message);
        }
        if stored.is_none() && existing.other_relations.contains(name.as_str()) {
            let message = format!("the database has `{name}` already, and no file has made it: choose another name");
            return refuse(Reason::TableConflict, &message);
        }
        if let Some((reason, message)) = self.rejected.get(*name) {
            return refuse(*reason, message);
        }
        if let Some(stored) = stored
            && !stored.alterations.is_empty()
        {
            let message = format!(
                "others have changed the table `{name}` in the database: {}; undo that, or delete the table and ingest its \
                 files again",
                stored.alterations.join("; ")
            );
            return refuse(Reason::TableAltered, &message);
        }
        if let (Some(declared), Some(stored)) = (declared, stored) {
            let losses = losses(&stored.table, &declared.value, !files.is_empty());
            if !losses.is_empty() {
                let message = format!("the declaration would lose data: {}", losses.join("; "));
                return refuse(Reason::TableIncompatible, &message);
            }
        }
        false
    }

    fn plan_table(
        &mut self,
        subject: Subject<'_>,
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> Result<PlannedTable, Rejected> {
        // A declaration takes precedence over the caller; the caller over the options of a table with chosen types.
        let stored = subject.existing.map(|existing| existing.table.parts());
        let declared = subject.declared.map(|declared| declared.value.parts());
        let options = match (declared.or(stored.filter(|stored| stored.declared)), stored) {
            (Some(declared), _) => declared.format.or(&self.options),
            (None, Some(stored)) => self.options.or(&stored.format),
            (None, None) => self.options.clone(),
        };
        let mut digests = Vec::new();
        for &file in &subject.files {
            let content = self.files[file].digest(progress)?;
            digests.push((file, digest_of_rows(content, &options)));
        }
        // The table, if the files do not decide its columns.
        let fixed = match (subject.declared, subject.existing) {
            (Some(declared), _) => Some(declared.value.clone()),
            (None, Some(existing)) => self.stored_as_is(existing, &options, &digests),
            (None, None) => None,
        };
        let before = subject.existing.map(|existing| existing.table.clone());
        let Some(table) = fixed else {
            return self.plan_chosen(&subject, before, &options, &digests, progress, findings);
        };
        let loads = match subject.existing {
            Some(existing) if existing.table == table || table.load() == Load::Append => existing.loads.as_slice(),
            _ => &[],
        };
        let selected = Selected::of(&table, loads, &digests);
        self.refuse_known(&selected, findings);
        let known = selected.known_rows();
        let mut contents = Vec::new();
        for (file, digest) in selected.pending {
            check_options(&options).map_err(|message| {
                findings.refuse(self.at(file), Some(subject.name.as_str()), Reason::TableInvalid, message);
                Rejected::Refused
            })?;
            let (columns, may_lack) = self.header(file, &options, progress, findings)?;
            let positions = self.report_header(file, locate_columns(&table, &columns, may_lack), findings)?;
            contents.push(PlannedContent { file, digest, positions, options: options.clone() });
        }
        let choices = vec![None; table.columns().len()];
        let declared_at = subject.declared.map(|declared| declared.location.clone());
        let files = subject.files;
        Ok(PlannedTable { table, before, declared_at, files, contents, known, choices })
    }

    /// Refuses each known file that had refused rows when it was loaded.
    fn refuse_known(&self, selected: &Selected<'_>, findings: &mut Findings) {
        for (file, content) in selected.known.iter().filter(|(_, content)| content.refused_count > 0) {
            let (rows, were) = if content.refused_count == 1 { ("row", "was") } else { ("rows", "were") };
            let message = format!(
                "{} {rows} of the file {were} refused when it was loaded, and the others are not appended twice: ingest a file \
                 with the corrected {rows} alone",
                content.refused_count
            );
            findings.refuse(self.at(*file), None, Reason::RowsRefusedBefore, message);
        }
    }

    /// The stored table, if definitions declare it, or if all files were loaded before.
    fn stored_as_is(
        &self,
        existing: &ExistingTable,
        options: &ReadOptions,
        digests: &[(usize, ContentDigest)],
    ) -> Option<Table> {
        let table = &existing.table;
        let is_read_alike = *options == table.parts().format;
        let is_known =
            !self.choose_types && is_read_alike && Selected::of(table, &existing.loads, digests).pending.is_empty();
        (table.parts().declared || is_known).then(|| table.clone())
    }

    /// Plans a table whose columns are chosen from its files.
    fn plan_chosen(
        &mut self,
        subject: &Subject<'_>,
        before: Option<Table>,
        options: &ReadOptions,
        digests: &[(usize, ContentDigest)],
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> Result<PlannedTable, Rejected> {
        let mut chosen = ChosenColumns::of(before.as_ref());
        let mut analysed = Vec::new();
        for &(file, digest) in digests {
            let analysis = self.analyse(file, options, progress, findings)?;
            if before.is_none() && analysis.row_count == 0 {
                let message = "the file has no rows, from which the types of its columns could be chosen: declare the \
                               table in a file of definitions";
                findings.refuse(self.at(file), None, Reason::FileEmpty, message);
                return Err(Rejected::Refused);
            }
            let named = name_columns(&analysis.columns, |index| analysis.choices[index].values == 0);
            let named = self.report_header(file, named, findings)?;
            let added = chosen.add(&analysis, &named, before.is_some() || !analysed.is_empty());
            self.report_header(file, added.map(|()| ((), Vec::new())), findings)?;
            analysed.push((file, digest, analysis));
        }
        chosen.choose_again(match &before {
            Some(_) if self.choose_types => ChooseAgain::Everything,
            Some(before) if before.parts().format != *options => ChooseAgain::ReadAnew,
            _ => ChooseAgain::Nothing,
        });
        let format = options.clone();
        let parts = match &before {
            Some(before) => TableParts { columns: chosen.columns, format, ..before.parts().clone() },
            None => TableParts { format, ..TableParts::new(subject.name.clone(), chosen.columns) },
        };
        let table = Table::new(parts).map_err(|error| {
            let first = subject.files.first().copied().unwrap_or_default();
            findings.refuse(self.at(first), Some(subject.name.as_str()), Reason::TableInvalid, error.to_string());
            Rejected::Refused
        })?;
        let loads = match (&before, subject.existing) {
            (Some(before), Some(existing)) if *before == table || table.load() == Load::Append => &existing.loads,
            _ => &Vec::new(),
        };
        let selected = Selected::of(&table, loads, digests);
        self.refuse_known(&selected, findings);
        let known = selected.known_rows();
        let mut contents = Vec::new();
        for (file, digest, analysis) in analysed {
            if !selected.pending.contains(&(file, digest)) {
                continue;
            }
            let located = locate_columns(&table, &analysis.columns, analysis.may_lack_columns);
            let positions =
                self.report_header(file, located.map(|(positions, _)| (positions, Vec::new())), findings)?;
            contents.push(PlannedContent { file, digest, positions, options: options.clone() });
        }
        let files = subject.files.clone();
        let (declared_at, choices) = (None, chosen.choices);
        Ok(PlannedTable { table, before, declared_at, files, contents, known, choices })
    }

    /// The columns of a file, and whether its format leaves out columns without values.
    fn header(
        &self,
        file: usize,
        options: &ReadOptions,
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> Result<(Vec<SourceColumn>, bool), Rejected> {
        let opened = self.files[file].open(options, Pass::Load, progress);
        let reader = opened.map_err(|error| self.report_read_error(file, error, findings))?;
        Ok((reader.columns().to_vec(), reader.may_lack_columns()))
    }

    /// Reads a whole file to choose the types of its columns.
    fn analyse(
        &mut self,
        file: usize,
        options: &ReadOptions,
        progress: &Arc<dyn Progress>,
        findings: &mut Findings,
    ) -> Result<Arc<Analysis>, Rejected> {
        let known = self.analyses.iter().find(|(of, format, _)| *of == file && format == options);
        if let Some((.., analysis)) = known {
            return Ok(Arc::clone(analysis));
        }
        let opened = self.files[file].open(options, Pass::Choose, progress);
        let analysis = opened.and_then(|reader| Analysis::read(reader, options));
        let analysis = Arc::new(analysis.map_err(|error| self.report_read_error(file, error, findings))?);
        self.analyses.push((file, options.clone(), Arc::clone(&analysis)));
        Ok(analysis)
    }

    fn report_read_error(&self, file: usize, error: ReadError, findings: &mut Findings) -> Rejected {
        match error {
            ReadError::Io(error) => Rejected::Unreadable(self.files[file].named(error)),
            ReadError::Content { reason, message } => {
                findings.refuse(self.at(file), None, reason, message);
                Rejected::Refused
            }
        }
    }

    /// Reports the notices or faults of a header.
    fn report_header<T>(&self, file: usize, found: HeaderResult<T>, findings: &mut Findings) -> Result<T, Rejected> {
        let location = |finding: &HeaderFinding| Location { column: finding.column.clone(), ..self.at(file) };
        match found {
            Ok((value, notices)) => {
                for notice in notices {
                    findings.notice(location(&notice), notice.reason, notice.message);
                }
                Ok(value)
            }
            Err(faults) => {
                for fault in faults {
                    findings.refuse(location(&fault), None, fault.reason, fault.message);
                }
                Err(Rejected::Refused)
            }
        }
    }
}

/// The declarations by name. Of two that differ, the first is kept and the other one refused.
fn unique<'a>(declared: &'a [Located<Table>], findings: &mut Findings) -> BTreeMap<&'a TableName, &'a Located<Table>> {
    let mut unique: BTreeMap<&TableName, &Located<Table>> = BTreeMap::new();
    for table in declared {
        match unique.get(table.value.name()) {
            Some(first) if first.value != table.value => {
                let message = format!(
                    "`{}` is already the name of another table in `{}`; the first one is kept",
                    table.value.name(),
                    first.location.file
                );
                let name = Some(table.value.name().as_str());
                findings.refuse(table.location.clone(), name, Reason::TableConflict, message);
            }
            Some(_) => {}
            None => {
                unique.insert(table.value.name(), table);
            }
        }
    }
    unique
}
