//! Ingests files: reads and validates them, stores what is valid, and reports the rest.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeSource, FileKind, IngestedFile, IngestionId, IngestionMode, IngestionReport, Location, Outcome,
    QueryId, Record, RecordCounts,
};
use metricd_execution::SqlValidator;
use metricd_repository::{
    ChangeCounts, Changes, Conclusion, Definitions, ExistingState, Idempotency, Ingestion, MetricRepository,
    ReferencedIds, RepositoryError,
};
use uuid::Uuid;

use crate::csv::CsvRecords;
use crate::findings::Findings;
use crate::json_records::JsonRecords;
use crate::kind::{detect_kind, is_json};
use crate::progress::ProgressReader;
use crate::validate::{
    Commas, FileDefinitions, RecordParser, RowOutcome, ValidatedDefinitions, ValidationCache, has_ambiguous_commas,
    parse_definitions, parse_queries,
};
use crate::{Input, InputError, Inputs, Progress, Reason};

/// The maximum size of a file of definitions or queries, in bytes. Such files are held in memory.
const MAX_DEFINITIONS_BYTES: u64 = 256 << 20;

/// The number of bytes from which the kind of a file is detected.
const DETECTION_BYTES: u64 = 64 << 10;

/// The maximum number of query ids for which the location of the first record is kept.
const MAX_LOCATED_IDS: usize = 1_000;

/// The options of an ingestion.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// What the ingestion does if it refuses an entry.
    pub mode: IngestionMode,
    /// Whether to store nothing, and only report what would be stored.
    pub dry_run: bool,
    /// Whether files overwrite edits. By default, edits are kept and entries that differ from them are refused.
    pub overwrite_edits: bool,
    /// Whether records can be stored. Otherwise files with records are refused.
    pub stores_records: bool,
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
    /// Lenient mode, with records, a new id and the system's clock. Everything else is off or absent.
    fn default() -> Self {
        Self {
            mode: IngestionMode::Lenient,
            dry_run: false,
            overwrite_edits: false,
            stores_records: true,
            ingestion_id: IngestionId(Uuid::now_v7()),
            actor: None,
            idempotency: None,
            now: Utc::now,
        }
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

/// Files as the content of an ingestion. Definitions and queries are read into memory at the start. Records are read
/// one by one when the store requests them.
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
    record_files: VecDeque<Input>,
    open_records: Option<OpenRecords>,
    record_counts: RecordCounts,
    first_record_of: BTreeMap<QueryId, Location>,
}

#[derive(Debug)]
struct OpenRecords {
    file: String,
    records: RecordSource,
    parser: RecordParser,
}

type ProgressFile = ProgressReader<File, Arc<dyn Progress>>;

#[derive(Debug)]
enum RecordSource {
    Csv(Box<CsvRecords<ProgressFile>>),
    Json(JsonRecords<ProgressFile>),
}

impl OpenRecords {
    /// The next row that is not blank. `None` at the end.
    fn next(&mut self, findings: &mut Findings) -> io::Result<Option<RowOutcome>> {
        loop {
            let validated = match &mut self.records {
                RecordSource::Csv(records) => records.next()?.map(|row| self.parser.parse_csv(&row, findings)),
                RecordSource::Json(records) => records.next()?.map(|record| self.parser.parse_json(&record, findings)),
            };
            if !matches!(validated, Some(RowOutcome::Blank)) {
                return Ok(validated);
            }
        }
    }
}

impl FileIngestion {
    fn read(
        validator: SqlValidator,
        inputs: Inputs,
        options: IngestOptions,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, InputError> {
        progress.begin(inputs.files.iter().map(Input::size_bytes).sum());
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
            record_files: VecDeque::new(),
            open_records: None,
            record_counts: RecordCounts::default(),
            first_record_of: BTreeMap::new(),
        };
        for file in inputs.repeated {
            let message = "the file was named more than once and is read once";
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FileRepeated, message);
        }
        for file in inputs.skipped {
            let message = "the file ends in none of .json, .csv, .tsv, .ndjson and .jsonl and is not read";
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FileSkipped, message);
        }
        for input in inputs.files {
            ingestion.read_file(&input).map_err(|cause| input.unreadable(cause))?;
        }
        Ok(ingestion)
    }

    fn read_file(&mut self, input: &Input) -> io::Result<()> {
        let file = input.name();
        let kind = match detect_kind(&input.read_up_to(DETECTION_BYTES)?) {
            Ok(kind) => kind,
            Err(unrecognised) => {
                let location = Location { file: file.to_owned(), ..Location::default() };
                self.file_findings.refuse(
                    location,
                    unrecognised.value.as_deref(),
                    unrecognised.reason,
                    unrecognised.message,
                );
                FileKind::Unknown
            }
        };
        let kind = match input.expected() {
            Some(expected) if kind != expected && kind != FileKind::Unknown => {
                let location = Location { file: file.to_owned(), ..Location::default() };
                let message = format!("the file was sent as {expected}, but contains {kind}");
                self.file_findings.refuse(location, None, Reason::FileMistaken, message);
                FileKind::Unknown
            }
            _ => kind,
        };
        self.files.push(IngestedFile { file: file.to_owned(), kind, size_bytes: input.size_bytes() });
        match kind {
            FileKind::Unknown => {}
            FileKind::Records if !self.options.stores_records => {
                let message = "the file has records, and the data is in another database than the catalog, where metricd \
                               stores nothing: load the file with a tool of that database";
                let location = Location { file: file.to_owned(), ..Location::default() };
                self.file_findings.refuse(location, None, Reason::RecordsNotStored, message);
                self.progress.advance(input.size_bytes());
            }
            FileKind::Records => self.record_files.push_back(input.clone()),
            FileKind::Definitions | FileKind::Queries if input.size_bytes() > MAX_DEFINITIONS_BYTES => {
                let message = format!("the file has more than {MAX_DEFINITIONS_BYTES} bytes: split it");
                let location = Location { file: file.to_owned(), ..Location::default() };
                self.file_findings.refuse(location, None, Reason::FileTooLarge, message);
            }
            FileKind::Definitions => {
                let bytes = input.read_up_to(MAX_DEFINITIONS_BYTES)?;
                self.file_definitions.drafts.extend(parse_definitions(
                    file,
                    &input.stem(),
                    &bytes,
                    &mut self.file_findings,
                ));
            }
            FileKind::Queries => {
                let draft = parse_queries(file, input.reader()?, &self.validations.validator, &mut self.file_findings)?;
                self.file_definitions.queries.extend(draft.queries);
                self.file_definitions.refused_queries.extend(draft.refused);
                self.file_definitions.query_entries += draft.entries;
            }
        }
        // Records advance the progress while they are read.
        if kind != FileKind::Records {
            self.progress.advance(input.size_bytes());
        }
        Ok(())
    }

    /// Opens the next file of records with a valid header, and returns `false` after the last file.
    fn open_next(&mut self) -> io::Result<bool> {
        while let Some(input) = self.record_files.pop_front() {
            let file = input.name().to_owned();
            let reader = ProgressReader { reader: input.reader()?, progress: Arc::clone(&self.progress) };
            if is_json(&input.read_up_to(DETECTION_BYTES)?) {
                let (records, parser) = (RecordSource::Json(JsonRecords::new(reader)), RecordParser::of_json(&file));
                self.open_records = Some(OpenRecords { file, records, parser });
                return Ok(true);
            }
            let mut records = CsvRecords::new(reader);
            let Some(header) = records.next()? else { continue };
            if let Some(parser) = RecordParser::of_csv(&file, &header, &mut self.findings) {
                let commas = match records.separator() {
                    b',' => Commas::Invalid,
                    _ if has_ambiguous_commas(CsvRecords::new(input.reader()?))? => Commas::Ambiguous,
                    _ => Commas::Decimal,
                };
                let parser = parser.with_commas(commas);
                self.open_records = Some(OpenRecords { file, records: RecordSource::Csv(Box::new(records)), parser });
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_valid_record(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(open) = &mut self.open_records else {
                if self.open_next()? {
                    continue;
                }
                self.progress.store();
                return Ok(None);
            };
            let Some(row) = open.next(&mut self.findings)? else {
                open.parser.finish(&mut self.findings);
                self.open_records = None;
                continue;
            };
            self.record_counts.read += 1;
            let RowOutcome::Valid(line, record) = row else {
                self.record_counts.refused += 1;
                continue;
            };
            if self.first_record_of.len() < MAX_LOCATED_IDS && !self.first_record_of.contains_key(&record.query_id) {
                let location = Location { file: open.file.clone(), line: Some(line), ..Location::default() };
                self.first_record_of.insert(record.query_id.clone(), location);
            }
            return Ok(Some(record));
        }
    }

    fn notice_unread(&mut self, changes: &Changes) {
        for (query_id, count) in &changes.unread_records {
            let location = self.first_record_of.get(query_id).cloned().unwrap_or_default();
            let message =
                format!("{count} records have the id `{query_id}`, but no stored query has it: no metric shows them");
            self.findings.notice(location, Reason::RecordUnread, message);
        }
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
        self.file_definitions.referenced_ids()
    }

    async fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
        self.findings = self.file_findings.clone();
        let validated = self.file_definitions.validate(
            existing,
            &mut self.validations,
            self.options.overwrite_edits,
            self.progress.as_ref(),
            &mut self.findings,
        );
        self.validated_definitions = validated.await.map_err(|message| {
            let message = format!("the database was not available for validation, and nothing was stored: {message}");
            RepositoryError::Unavailable(message)
        })?;
        Ok(std::mem::take(&mut self.validated_definitions.definitions))
    }

    fn next_record(&mut self) -> Option<io::Result<Record>> {
        self.next_valid_record().transpose()
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        self.notice_unread(changes);
        let counted = |mut counts: metricd_domain::EntryCounts, stored: ChangeCounts| {
            (counts.added, counts.changed, counts.unchanged) = (stored.added, stored.changed, stored.unchanged);
            counts
        };
        let findings = std::mem::take(&mut self.findings);
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
            records: RecordCounts {
                added: changes.records.added,
                unchanged: changes.records.unchanged,
                ..self.record_counts
            },
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
