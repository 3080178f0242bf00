//! The use case: read, judge, store, report.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use metricd_domain::{
    Actor, ChangeSource, FileKind, IngestedFile, IngestionId, IngestionMode, IngestionReport, Location, Outcome,
    QueryId, Record, RecordCounts,
};
use metricd_execution::Judge;
use metricd_repository::{
    ChangeCounts, Changes, Conclusion, Definitions, ExistingState, Idempotency, Ingestion, MetricRepository,
    ReferencedIds, RepositoryError,
};
use uuid::Uuid;

use crate::csv::CsvRecords;
use crate::findings::Findings;
use crate::json_records::JsonRecords;
use crate::judge::{
    Brought, Commas, JudgedRow, Judgements, RecordJudge, References, has_ambiguous_commas, judge_definitions,
    judge_queries,
};
use crate::kind::{is_json, recognise};
use crate::progress::Counted;
use crate::{Input, InputError, Inputs, Progress, Reason};

/// The greatest size of a file of definitions or queries, which are held in memory.
const MAX_DEFINITIONS_BYTES: u64 = 256 << 20;

/// How much of a file is looked at to see what it holds.
const BEGINNING_BYTES: u64 = 64 << 10;

/// Of how many ids without a query it is remembered where they first stood.
const MAX_UNREAD_IDS: usize = 1_000;

/// What a call asks for.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do where something is refused.
    pub mode: IngestionMode,
    /// Whether to store nothing and only say what would happen.
    pub dry_run: bool,
    /// Whether files overwrite what was edited since files last wrote it.
    pub overwrite_edits: bool,
    /// The id of the ingestion.
    pub ingestion_id: IngestionId,
    /// Who ingests; absent where nothing more is known than the ingestion's id.
    pub actor: Option<Actor>,
    /// The request's mark, where it has one.
    pub idempotency: Option<Idempotency>,
    /// The clock.
    pub now: fn() -> DateTime<Utc>,
}

impl Default for Options {
    /// Lenient, with a fresh id and the system's clock.
    fn default() -> Self {
        Self {
            mode: IngestionMode::Lenient,
            dry_run: false,
            overwrite_edits: false,
            ingestion_id: IngestionId(Uuid::now_v7()),
            actor: None,
            idempotency: None,
            now: Utc::now,
        }
    }
}

/// Why an ingestion could not be done. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A file could not be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The store failed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Reads the files, judges them, stores what may be stored, and says what became of each entry.
///
/// # Errors
///
/// [`IngestError`] where a file or the store fails; what is wrong with the content of a file is in the report.
pub async fn ingest(
    repository: &dyn MetricRepository,
    judge: Judge,
    inputs: Inputs,
    options: Options,
    progress: Arc<dyn Progress>,
) -> Result<IngestionReport, IngestError> {
    let ingestion = FileIngestion::read(judge, inputs, options, progress)?;
    Ok(repository.ingest(Box::new(ingestion)).await?)
}

/// Files as an ingestion: definitions and queries judged and in memory, records read when the store asks for them.
#[derive(Debug)]
struct FileIngestion {
    judgements: Judgements,
    options: Options,
    started_at: DateTime<Utc>,
    progress: Arc<dyn Progress>,
    files: Vec<IngestedFile>,
    /// What was found in the files before it was known what is stored.
    file_findings: Findings,
    findings: Findings,
    brought: Brought,
    references: References,
    record_files: VecDeque<Input>,
    open_records: Option<OpenRecords>,
    record_counts: RecordCounts,
    first_record_of: BTreeMap<QueryId, Location>,
}

#[derive(Debug)]
struct OpenRecords {
    file: String,
    records: RecordSource,
    judge: RecordJudge,
}

type CountedFile = Counted<File, Arc<dyn Progress>>;

#[derive(Debug)]
enum RecordSource {
    Csv(Box<CsvRecords<CountedFile>>),
    Json(JsonRecords<CountedFile>),
}

impl OpenRecords {
    /// The next row that is not blank, or `None` at the end.
    fn next(&mut self, findings: &mut Findings) -> io::Result<Option<JudgedRow>> {
        loop {
            let judged = match &mut self.records {
                RecordSource::Csv(records) => records.next()?.map(|row| self.judge.judge_csv(&row, findings)),
                RecordSource::Json(records) => records.next()?.map(|record| self.judge.judge_json(&record, findings)),
            };
            if !matches!(judged, Some(JudgedRow::Blank)) {
                return Ok(judged);
            }
        }
    }
}

impl FileIngestion {
    fn read(judge: Judge, inputs: Inputs, options: Options, progress: Arc<dyn Progress>) -> Result<Self, InputError> {
        progress.begin(inputs.files.iter().map(Input::size_bytes).sum());
        let mut ingestion = Self {
            started_at: (options.now)(),
            judgements: Judgements::new(judge),
            options,
            progress,
            files: Vec::new(),
            file_findings: Findings::default(),
            findings: Findings::default(),
            brought: Brought::default(),
            references: References::default(),
            record_files: VecDeque::new(),
            open_records: None,
            record_counts: RecordCounts::default(),
            first_record_of: BTreeMap::new(),
        };
        for file in inputs.repeated {
            let message = "the file was named more than once and is read once";
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FileRepeated, message);
        }
        for file in inputs.passed_over {
            let message = "the file ends in none of .json, .csv, .tsv, .ndjson and .jsonl and is not read";
            ingestion.file_findings.notice(Location { file, ..Location::default() }, Reason::FilePassedOver, message);
        }
        for input in inputs.files {
            ingestion.read_file(&input).map_err(|cause| input.unreadable(cause))?;
        }
        Ok(ingestion)
    }

    fn read_file(&mut self, input: &Input) -> io::Result<()> {
        let file = input.name();
        let kind = match recognise(&input.read_up_to(BEGINNING_BYTES)?) {
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
                let message = format!("the file was sent as {expected}, and holds {kind}");
                self.file_findings.refuse(location, None, Reason::FileMistaken, message);
                FileKind::Unknown
            }
            _ => kind,
        };
        self.files.push(IngestedFile { file: file.to_owned(), kind, size_bytes: input.size_bytes() });
        match kind {
            FileKind::Unknown => self.progress.advance(input.size_bytes()),
            FileKind::Records => self.record_files.push_back(input.clone()),
            FileKind::Definitions | FileKind::Queries if input.size_bytes() > MAX_DEFINITIONS_BYTES => {
                let message = format!("the file has more than {MAX_DEFINITIONS_BYTES} bytes: split it");
                let location = Location { file: file.to_owned(), ..Location::default() };
                self.file_findings.refuse(location, None, Reason::FileTooLarge, message);
            }
            FileKind::Definitions => {
                let bytes = input.read_up_to(MAX_DEFINITIONS_BYTES)?;
                self.brought.drafts.extend(judge_definitions(file, &input.stem(), &bytes, &mut self.file_findings));
                self.progress.advance(input.size_bytes());
            }
            FileKind::Queries => {
                let draft = judge_queries(file, input.reader()?, &self.judgements.judge, &mut self.file_findings)?;
                self.brought.queries.extend(draft.queries);
                self.brought.refused_queries.extend(draft.refused);
                self.brought.query_entries += draft.entries;
                self.progress.advance(input.size_bytes());
            }
        }
        Ok(())
    }

    /// Opens the next file of records whose header is in order; `false` after the last one.
    fn open_next(&mut self) -> io::Result<bool> {
        while let Some(input) = self.record_files.pop_front() {
            let file = input.name().to_owned();
            let reader = Counted { reader: input.reader()?, progress: Arc::clone(&self.progress) };
            if is_json(&input.read_up_to(BEGINNING_BYTES)?) {
                let (records, judge) = (RecordSource::Json(JsonRecords::new(reader)), RecordJudge::of_json(&file));
                self.open_records = Some(OpenRecords { file, records, judge });
                return Ok(true);
            }
            let mut records = CsvRecords::new(reader);
            let Some(header) = records.next()? else { continue };
            if let Some(judge) = RecordJudge::of_csv(&file, &header, &mut self.findings) {
                let commas = match records.separator() {
                    b',' => Commas::Wrong,
                    _ if has_ambiguous_commas(CsvRecords::new(input.reader()?))? => Commas::Ambiguous,
                    _ => Commas::Decimal,
                };
                let judge = judge.with_commas(commas);
                self.open_records = Some(OpenRecords { file, records: RecordSource::Csv(Box::new(records)), judge });
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn next_good_record(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(open) = &mut self.open_records else {
                if self.open_next()? {
                    continue;
                }
                self.progress.store();
                return Ok(None);
            };
            let Some(row) = open.next(&mut self.findings)? else {
                open.judge.finish(&mut self.findings);
                self.open_records = None;
                continue;
            };
            self.record_counts.read += 1;
            let JudgedRow::Good(line, record) = row else {
                self.record_counts.refused += 1;
                continue;
            };
            if self.first_record_of.len() < MAX_UNREAD_IDS && !self.first_record_of.contains_key(&record.query_id) {
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
                format!("{count} records carry the id `{query_id}`, which no stored query has: no metric shows them");
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

impl Ingestion for FileIngestion {
    fn actor(&self) -> Actor {
        let actor = self.options.actor.clone();
        Actor { ingestion_id: Some(self.options.ingestion_id), ..actor.unwrap_or(Actor::by(ChangeSource::Ingestion)) }
    }

    fn idempotency(&self) -> Option<Idempotency> {
        self.options.idempotency.clone()
    }

    fn referenced_ids(&self) -> ReferencedIds {
        self.brought.referenced_ids()
    }

    fn definitions(&mut self, existing: &ExistingState) -> Result<Definitions, RepositoryError> {
        self.findings = self.file_findings.clone();
        let judged = self.brought.judge(
            existing,
            &mut self.judgements,
            self.options.overwrite_edits,
            self.progress.as_ref(),
            &mut self.findings,
        );
        self.references = judged.map_err(|message| {
            let message =
                format!("the database did not answer while SQL was judged, and nothing was stored: {message}");
            RepositoryError::Unavailable(message)
        })?;
        Ok(std::mem::take(&mut self.references.definitions))
    }

    fn next_record(&mut self) -> Option<io::Result<Record>> {
        self.next_good_record().transpose()
    }

    fn conclude(&mut self, changes: &Changes) -> Conclusion {
        self.notice_unread(changes);
        let counted = |mut counts: metricd_domain::EntryCounts, tally: ChangeCounts| {
            (counts.added, counts.changed, counts.unchanged) = (tally.added, tally.changed, tally.unchanged);
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
            queries: counted(self.references.queries, changes.queries),
            metrics: counted(self.references.metrics, changes.metrics),
            dashboards: counted(self.references.dashboards, changes.dashboards),
            layout_entries: counted(self.references.layout_entries, changes.layout_entries),
            records: RecordCounts {
                added: changes.records.added,
                unchanged: changes.records.unchanged,
                ..self.record_counts
            },
            refusal_count: findings.refusal_count,
            refusals: findings.refusals,
            notice_count: findings.notice_count,
            notices: findings.notices,
            suggestions: std::mem::take(&mut self.references.suggestions),
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
