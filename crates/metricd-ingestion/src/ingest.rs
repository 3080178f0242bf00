//! Ingests files: reads and validates them, stores what is valid, and reports the rest.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeSource, EntryCounts, FileKind, IngestedFile, IngestionId, IngestionMode, IngestionReport, Location,
    Outcome, ReadOptions, TableName,
};
use metricd_execution::SqlValidator;
use metricd_repository::{
    ChangeCounts, Changes, Conclusion, Definitions, ExistingState, Idempotency, Ingestion, MetricRepository,
    ReferencedIds, RepositoryError, RowForm,
};
use uuid::Uuid;

use crate::findings::Findings;
use crate::kind::{Kind, Unrecognised, detect_kind};
use crate::readers::text_formats;
use crate::tables::{Pass, PlannedTable, RowReader, TableFile, TablePlanner, report_tables};
use crate::validate::{
    BrokenReader, FileDefinitions, ValidatedDefinitions, ValidationCache, ValidationFailure, parse_definitions,
    parse_queries, validate_readers,
};
use crate::{Input, InputError, Inputs, Progress, ReadError, Reason, TableFormat};

/// The maximum size of a file of definitions or queries, in bytes. Such files are held in memory.
const MAX_DEFINITIONS_BYTES: u64 = 256 << 20;

/// The number of bytes from which the kind of a file is detected.
const DETECTION_BYTES: u64 = 64 << 10;

/// The options of an ingestion.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the caller")]
pub struct IngestOptions {
    /// What the ingestion does if it refuses an entry.
    pub mode: IngestionMode,
    /// Whether to store nothing, and only report what would be stored.
    pub dry_run: bool,
    /// Whether files overwrite edits. By default, edits are kept and entries that differ from them are refused.
    pub overwrite_edits: bool,
    /// Whether files without rows may empty tables whose rows they replace. Otherwise they are refused.
    pub allow_empty: bool,
    /// Whether the types of columns that were chosen from an earlier file are chosen again.
    pub choose_types: bool,
    /// Whether tables can be stored. Otherwise their files are refused.
    pub stores_tables: bool,
    /// How files of rows are read, if neither a definition nor a stored table decides it.
    pub read: ReadOptions,
    /// The table of all files of rows. `None` to choose it by the name of each file.
    pub table: Option<TableName>,
    /// The formats of rows besides text, such as Parquet.
    pub binary_formats: Vec<Arc<dyn TableFormat>>,
    /// The id of the ingestion.
    pub ingestion_id: IngestionId,
    /// Who makes the changes. `None` if only the id of the ingestion is known.
    pub actor: Option<Actor>,
    /// The idempotency key of the request, if it has one.
    pub idempotency: Option<Idempotency>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

impl Default for IngestOptions {
    /// Lenient mode, with tables, a new id and the system's clock. Everything else is off or absent.
    fn default() -> Self {
        Self {
            mode: IngestionMode::Lenient,
            dry_run: false,
            overwrite_edits: false,
            allow_empty: false,
            choose_types: false,
            stores_tables: true,
            read: ReadOptions::default(),
            table: None,
            binary_formats: Vec::new(),
            ingestion_id: IngestionId(Uuid::now_v7()),
            actor: None,
            idempotency: None,
            now: Utc::now,
        }
    }
}

impl IngestOptions {
    /// All formats of rows. Those of text come last, because they detect any text.
    fn formats(&self) -> Vec<Arc<dyn TableFormat>> {
        self.binary_formats.iter().cloned().chain(text_formats()).collect()
    }
}

/// Why an ingestion failed. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A file could not be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Reads and validates files, stores the valid entries in one transaction, and reports the outcome of each entry.
///
/// # Errors
///
/// [`IngestError`] if a file cannot be read or the store fails. Faults in the content of files are in the report.
pub async fn ingest(
    repository: &dyn MetricRepository,
    validator: SqlValidator,
    inputs: Inputs,
    options: IngestOptions,
    progress: Arc<dyn Progress>,
) -> Result<IngestionReport, IngestError> {
    let ingestion = FileIngestion::read(validator, inputs, options, progress)?;
    Ok(repository.ingest(Box::new(ingestion)).await?)
}

/// Files as the content of an ingestion. Definitions and queries are read into memory at the start. Rows are read
/// when the store requests them.
#[derive(Debug)]
struct FileIngestion {
    validations: ValidationCache,
    options: IngestOptions,
    started_at: DateTime<Utc>,
    progress: Arc<dyn Progress>,
    files: Vec<IngestedFile>,
    /// The findings that do not depend on the stored definitions.
    file_findings: Findings,
    findings: Findings,
    file_definitions: FileDefinitions,
    validated_definitions: ValidatedDefinitions,
    tables: TablePlanner,
    planned: Vec<PlannedTable>,
    rows: RowReader,
}

impl FileIngestion {
    fn read(
        validator: SqlValidator,
        inputs: Inputs,
        options: IngestOptions,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, InputError> {
        progress.begin(inputs.files.iter().map(Input::size_bytes).sum());
        let planner = TablePlanner::new(options.read.clone(), options.choose_types, options.table.clone());
        let mut ingestion = Self {
            started_at: (options.now)(),
            validations: ValidationCache::new(validator),
            options,
            progress,
            files: Vec::new(),
            file_findings: Findings::default(),
            findings: Findings::default(),
            file_definitions: FileDefinitions::default(),
            validated_definitions: ValidatedDefinitions::default(),
            tables: planner,
            planned: Vec::new(),
            rows: RowReader::default(),
        };
        for file in inputs.repeated {
            let message = "the file was named more than once and is read once";
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FileRepeated, message);
        }
        for file in inputs.skipped {
            let message = Reason::FileSkipped.meaning();
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FileSkipped, message);
        }
        for input in inputs.files {
            ingestion.read_file(&input).map_err(|cause| input.unreadable(cause))?;
        }
        Ok(ingestion)
    }

    fn read_file(&mut self, input: &Input) -> io::Result<()> {
        let file = input.name();
        let detected = match self.detect(input)? {
            Ok(kind) => Some(kind),
            Err(unrecognised) => {
                let value = unrecognised.value.as_deref();
                self.refuse_file(file, value, unrecognised.reason, &unrecognised.message);
                None
            }
        };
        let detected = detected.filter(|kind| match input.expected() {
            Some(expected) if kind.file_kind() != expected => {
                let message = format!("the file was sent as {expected}, but contains {}", kind.file_kind());
                self.refuse_file(file, None, Reason::FileMistaken, &message);
                false
            }
            _ => true,
        });
        let kind = detected.as_ref().map_or(FileKind::Unknown, Kind::file_kind);
        self.files.push(IngestedFile { file: file.to_owned(), kind, size_bytes: input.size_bytes() });
        let too_large = input.size_bytes() > MAX_DEFINITIONS_BYTES;
        match detected {
            None => {}
            Some(Kind::Table(_)) if !self.options.stores_tables => {
                let message = "the file has the rows of a table, and the data is in another database than the catalog, \
                               where metricd stores nothing: load the file with a tool of that database";
                self.refuse_file(file, None, Reason::TablesNotStored, message);
            }
            // Its passes advance the progress.
            Some(Kind::Table(format)) => {
                self.progress.expect(input.size_bytes() * (Pass::ALL.len() as u64 - 1));
                self.tables.files.push(TableFile::new(input.clone(), format));
                return Ok(());
            }
            Some(Kind::Definitions | Kind::Queries) if too_large => {
                let message = format!("the file has more than {MAX_DEFINITIONS_BYTES} bytes: split it");
                self.refuse_file(file, None, Reason::FileTooLarge, &message);
            }
            Some(Kind::Definitions) => self.read_definitions(input)?,
            Some(Kind::Queries) => {
                let draft = parse_queries(file, input.reader()?, &self.validations.validator, &mut self.file_findings)?;
                self.file_definitions.queries.extend(draft.queries);
                self.file_definitions.refused_queries.extend(draft.refused);
                self.file_definitions.query_entries += draft.entries;
            }
        }
        self.progress.advance(input.size_bytes());
        Ok(())
    }

    /// The kind of a file. The inner error is a fault of its content.
    fn detect(&self, input: &Input) -> io::Result<Result<Kind, Unrecognised>> {
        match input.beginning(DETECTION_BYTES) {
            Ok(beginning) => Ok(detect_kind(&beginning, input.extension().as_deref(), &self.options.formats())),
            Err(ReadError::Io(error)) => Err(error),
            Err(ReadError::Content { reason, message }) => Ok(Err(Unrecognised::new(reason, message, None))),
        }
    }

    fn read_definitions(&mut self, input: &Input) -> io::Result<()> {
        let bytes = input.read_up_to(MAX_DEFINITIONS_BYTES)?;
        let draft = parse_definitions(input.name(), &input.stem(), &bytes, &mut self.file_findings);
        let Some(draft) = draft else { return Ok(()) };
        self.file_definitions.drafts.extend(draft.dashboard);
        if self.options.stores_tables {
            self.tables.declared.extend(draft.tables.tables);
            self.tables.refused.extend(draft.tables.refused);
        }
        Ok(())
    }

    fn refuse_file(&mut self, file: &str, value: Option<&str>, reason: Reason, message: &str) {
        let location = Location { file: file.to_owned(), ..Location::default() };
        self.file_findings.refuse(location, value, reason, message);
    }

    /// Plans the tables and validates the definitions with them. Returns whether they can be stored together; otherwise a
    /// table is refused the next time.
    async fn validate(&mut self, existing: &ExistingState) -> Result<bool, RepositoryError> {
        self.findings = self.file_findings.clone();
        let planned = self.tables.plan(existing, &self.progress, &mut self.findings);
        self.planned = planned.map_err(RepositoryError::Input)?;
        self.validations.set_tables(self.planned.iter().filter_map(PlannedTable::pending).collect());
        let outcome = self.validate_with_tables(existing).await;
        self.validations.release_tables();
        match outcome {
            Ok(broken) => {
                for BrokenReader { metric_id, table, message } in &broken {
                    let because = format!(
                        "the metric `{metric_id}` reads `{table}`, and its SQL would not be valid any more: {message}; change \
                         the metric first"
                    );
                    self.tables.reject(table, Reason::MetricBroken, because);
                }
                Ok(broken.is_empty())
            }
            Err(ValidationFailure::Table(table, message)) => {
                let because = format!(
                    "PostgreSQL refuses the table `{table}`: {message}; change what others have made in the database"
                );
                self.tables.reject(&table, Reason::TableRejected, because);
                Ok(false)
            }
            Err(ValidationFailure::Unavailable(message)) => Err(RepositoryError::Unavailable(format!(
                "the database was not available for validation, and nothing was stored: {message}"
            ))),
        }
    }

    /// Validates the definitions, and the stored metrics that read changed tables.
    async fn validate_with_tables(&mut self, existing: &ExistingState) -> Result<Vec<BrokenReader>, ValidationFailure> {
        self.validated_definitions = self
            .file_definitions
            .validate(
                existing,
                &mut self.validations,
                self.options.overwrite_edits,
                self.progress.as_ref(),
                &mut self.findings,
            )
            .await?;
        let changed = self.planned.iter().filter(|planned| planned.changes_columns());
        let changed: Vec<_> = changed.map(|planned| planned.table.name().clone()).collect();
        let definitions = &mut self.validated_definitions.definitions;
        validate_readers(&changed, existing, definitions, &mut self.validations).await
    }

    fn outcome(&self, report: &IngestionReport) -> Outcome {
        if self.options.dry_run {
            Outcome::DryRun
        } else if report.is_refused() {
            Outcome::Refused
        } else {
            Outcome::Stored
        }
    }
}

#[async_trait]
impl Ingestion for FileIngestion {
    fn actor(&self) -> Actor {
        let actor = self.options.actor.clone();
        Actor { ingestion_id: Some(self.options.ingestion_id), ..actor.unwrap_or(Actor::by(ChangeSource::Ingestion)) }
    }

    fn idempotency(&self) -> Option<Idempotency> {
        self.options.idempotency.clone()
    }

    fn waiting(&mut self) {
        self.progress.wait();
    }

    fn referenced_ids(&self) -> ReferencedIds {
        let mut ids = self.file_definitions.referenced_ids();
        self.tables.reference(&mut ids);
        ids
    }

    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
        self.tables.reset();
        // Each attempt but the last one refuses another table.
        while !self.validate(existing).await? {}
        let mut definitions = std::mem::take(&mut self.validated_definitions.definitions);
        definitions.tables = self.planned.iter().map(PlannedTable::update).collect();
        Ok(definitions)
    }

    fn open_rows(&mut self, table: &TableName, content: usize, form: RowForm) -> io::Result<()> {
        let planned = self.planned.iter().find(|planned| planned.table.name() == table);
        let found = planned.and_then(|planned| {
            let content = planned.contents.get(content)?;
            Some((planned, content, self.tables.files.get(content.file)?))
        });
        let (planned, planned_content, file) =
            found.ok_or_else(|| io::Error::other("the store reads rows that the ingestion does not have"))?;
        self.rows.open(planned, (content, planned_content), file, form, &self.progress)
    }

    fn next_rows(&mut self, rows: &mut Vec<u8>) -> io::Result<u64> {
        let count = self.rows.next(rows)?;
        if count == 0 {
            // Whatever was read is what the types were chosen from.
            self.tables.files.iter().try_for_each(TableFile::check_unchanged)?;
        }
        Ok(count)
    }

    fn read_rows(&self, table: &TableName, content: usize) -> u64 {
        self.rows.read_rows(table, content)
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        self.progress.store();
        let counted = |mut counts: EntryCounts, stored: ChangeCounts| {
            (counts.added, counts.changed, counts.unchanged) = (stored.added, stored.changed, stored.unchanged);
            counts
        };
        let mut findings = std::mem::take(&mut self.findings);
        let found = std::mem::take(&mut self.rows).into_found();
        let allow_empty = self.options.allow_empty;
        let tables = report_tables(&self.planned, &self.tables.files, found, changes, allow_empty, &mut findings);
        let mut report = IngestionReport {
            ingestion_id: self.options.ingestion_id,
            mode: self.options.mode,
            outcome: Outcome::Stored,
            started_at: self.started_at,
            finished_at: (self.options.now)(),
            files: std::mem::take(&mut self.files),
            queries: counted(self.validated_definitions.queries, changes.queries),
            metrics: counted(self.validated_definitions.metrics, changes.metrics),
            dashboards: counted(self.validated_definitions.dashboards, changes.dashboards),
            layout_entries: counted(self.validated_definitions.layout_entries, changes.layout_entries),
            tables,
            refusal_count: findings.refusal_count,
            refusals: findings.refusals,
            notice_count: findings.notice_count,
            notices: findings.notices,
            suggestions: std::mem::take(&mut self.validated_definitions.suggestions),
            ingested_by: self.options.actor.as_ref().and_then(|actor| actor.subject.clone()),
        };
        report.outcome = self.outcome(&report);
        match report.outcome {
            Outcome::Stored => Conclusion::Commit(report),
            Outcome::Refused => Conclusion::CommitReportOnly(report),
            Outcome::DryRun => Conclusion::RollBack(report),
        }
    }
}
