//! Each folder of `tests/cases` is a test: its files are ingested, and `report.snap` is the expected report.
//!
//! If a folder has the folders `1`, `2` and so on, their files are ingested one after another into the same store. A
//! file `mode` contains `strict`, `dry-run`, `overwrite-edits`, `allow-empty` or `choose-types`, and applies to all of them. A file `edits.json` in a
//! folder is not ingested. It contains metrics by id, each with the `sql` or the `rows` limit that it gets over HTTP
//! before the files of the folder are ingested. A file `read.json` in a folder says how its files of rows are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use chrono::DateTime;
use metricd_database::Outage;
use metricd_domain::{
    Actor, ChangeSource, EntryCounts, IngestionId, IngestionMode, IngestionReport, MetricId, Outcome, ReadOptions,
    SqlText,
};
use metricd_execution::{
    Allowed, PendingTable, PendingTableError, Resolution, Resolvable, ResolveError, Resolver, SqlValidator,
};
use metricd_ingestion::{IngestOptions, Inputs, Progress, ingest, render};
use metricd_repository::{DefinitionFilter, MemoryRepository, MetricChange, MetricContent, MetricRepository};
use regex::Regex;
use serde_json::Value;

/// A database that resolves all SQL that the guard accepts, unless the text contains `nonsense`.
#[derive(Debug)]
struct AcceptAll;

#[async_trait]
impl Resolver for AcceptAll {
    async fn allowed(&self) -> Result<Allowed, ResolveError> {
        Ok(Allowed::default())
    }

    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        if let Some(offset) = statement.text.find("nonsense") {
            let message = "column \"nonsense\" does not exist".to_owned();
            let character = Some(statement.text[..offset].chars().count());
            return Err(ResolveError::Refused { message, hint: None, character });
        }
        let parameter_types = vec!["text".to_owned(); statement.parameter_count()];
        Ok(Resolution { parameter_types, ..Resolution::default() })
    }

    async fn with_tables(self: Arc<Self>, _: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError> {
        Ok(self)
    }
}

fn options(folder: &Path, step: &Path) -> Result<IngestOptions> {
    let mode = fs::read_to_string(folder.join("mode")).unwrap_or_default();
    let read = fs::read_to_string(step.join("read.json"));
    Ok(IngestOptions {
        mode: if mode.trim() == "strict" { IngestionMode::Strict } else { IngestionMode::Lenient },
        dry_run: mode.trim() == "dry-run",
        overwrite_edits: mode.trim() == "overwrite-edits",
        choose_types: mode.trim() == "choose-types",
        allow_empty: mode.trim() == "allow-empty",
        read: read.map_or(Ok(ReadOptions::default()), |json| serde_json::from_str(&json))?,
        ingestion_id: IngestionId("00000000-0000-7000-8000-000000000001".parse()?),
        now: || DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default(),
        ..IngestOptions::default()
    })
}

fn steps(folder: &Path) -> Vec<PathBuf> {
    let numbered: Vec<_> = (1..10).map(|step| folder.join(step.to_string())).take_while(|step| step.is_dir()).collect();
    if numbered.is_empty() { vec![folder.to_owned()] } else { numbered }
}

fn check_sums(report: &IngestionReport) -> Result<()> {
    let sum = |counts: EntryCounts| counts.added + counts.changed + counts.unchanged + counts.repeated + counts.refused;
    for (name, counts) in [
        ("queries", report.queries),
        ("metrics", report.metrics),
        ("dashboards", report.dashboards),
        ("layout entries", report.layout_entries),
    ] {
        if counts.read != sum(counts) {
            bail!("the {name} do not add up: {counts:?}");
        }
    }
    for table in &report.tables {
        let rows = table.rows;
        if rows.read != rows.accepted() + rows.refused {
            bail!("the rows of `{}` do not add up: {rows:?}", table.table);
        }
    }
    Ok(())
}

/// Records the calls of [`Progress`].
#[derive(Debug, Default)]
struct RecordedProgress(Mutex<Vec<String>>, AtomicU64, AtomicU64);

impl RecordedProgress {
    fn push(&self, call: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// Checks that each query was reported once and in order, that storing was reported last, and that the bytes
    /// add up.
    fn check(&self) -> Result<()> {
        let calls = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let (last, validated) = calls.split_last().context("no progress was reported")?;
        let total = validated.len();
        let expected: Vec<_> = (1..=total).map(|done| format!("{done} of {total}")).collect();
        if last != "storing" || validated != expected {
            bail!("{calls:?}");
        }
        let (expected, read) = (self.1.load(Ordering::Relaxed), self.2.load(Ordering::Relaxed));
        if expected != read {
            bail!("{read} of {expected} bytes were read");
        }
        Ok(())
    }
}

impl Progress for RecordedProgress {
    fn begin(&self, total_bytes: u64) {
        self.expect(total_bytes);
    }

    fn expect(&self, bytes: u64) {
        self.1.fetch_add(bytes, Ordering::Relaxed);
    }

    fn wait(&self) {}

    fn advance(&self, bytes: u64) {
        self.2.fetch_add(bytes, Ordering::Relaxed);
    }

    fn validate(&self, done: u64, total: u64) {
        self.push(format!("{done} of {total}"));
    }

    fn store(&self) {
        self.push("storing".to_owned());
    }
}

/// Changes metrics over HTTP, as `edits.json` of the folder describes.
async fn edit(repository: &dyn MetricRepository, folder: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(folder.join("edits.json")) else { return Ok(()) };
    let edits: BTreeMap<String, Value> = serde_json::from_str(&text)?;
    for (id, edit) in edits {
        let id = MetricId::parse(id)?;
        let before = repository.get_definition(&id).await?;
        let sql = edit["sql"].as_str().map(SqlText::parse).transpose()?;
        let rows = edit["rows"].as_u64().map(u32::try_from).transpose()?;
        let mut content = MetricContent::of(&before, before.contract.clone().unwrap_or_default());
        content.sql = sql.unwrap_or(content.sql);
        content.limits.rows = rows.and_then(NonZeroU32::new).or(content.limits.rows);
        let ann = Actor { subject: Some("ann".to_owned()), ..Actor::by(ChangeSource::Http) };
        repository.change_metric(&id, before.version, MetricChange::Content(Box::new(content)), ann).await?;
    }
    Ok(())
}

/// The number of rows of a table that a snapshot shows.
const MAX_SHOWN_ROWS: usize = 20;

/// The values of a row; `-` for none.
fn shown(row: &[Option<String>]) -> String {
    let value = |value: &Option<String>| value.as_ref().map_or("-".to_owned(), |value| format!("{value:?}"));
    row.iter().map(value).collect::<Vec<_>>().join(" | ")
}

async fn run(folder: &Path) -> Result<String> {
    let repository = MemoryRepository::default();
    let mut text = String::new();
    for step in steps(folder) {
        let mut files: Vec<PathBuf> = fs::read_dir(&step)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        edit(&repository, &step).await?;
        // insta writes `report.snap.new` next to a snapshot that differs.
        let others = ["mode", "report.snap", "report.snap.new", "edits.json", "read.json"];
        let is_input = |path: &PathBuf| !others.iter().any(|name| path.ends_with(name));
        files.retain(is_input);
        files.sort();
        let inputs = Inputs::find(&files)?;
        let before = repository.list_definitions(&DefinitionFilter::default(), None, 100).await?;
        let validator = SqlValidator::new(Arc::new(AcceptAll), &BTreeSet::new()).await?;
        let progress = Arc::new(RecordedProgress::default());
        let report = ingest(&repository, validator, inputs, options(folder, &step)?, progress.clone()).await?;
        progress.check()?;
        check_sums(&report)?;
        if report.outcome != Outcome::DryRun {
            assert_eq!(repository.get_ingestion(report.ingestion_id).await?, report);
        }
        if report.outcome != Outcome::Stored {
            let after = repository.list_definitions(&DefinitionFilter::default(), None, 100).await?;
            assert_eq!(before, after, "nothing may be stored");
        }
        writeln!(text, "{}\n{}", render(&report), serde_json::to_string_pretty(&report)?)?;
    }
    for stored in repository.list_tables().await? {
        let mut rows: Vec<_> = repository.rows(stored.table.name()).iter().map(|row| shown(row)).collect();
        rows.sort();
        writeln!(text, "table {}: {} rows", stored.table.name(), rows.len())?;
        for row in rows.iter().take(MAX_SHOWN_ROWS) {
            writeln!(text, "  {row}")?;
        }
    }
    for definition in repository.list_definitions(&DefinitionFilter::default(), None, 100).await? {
        // After an edit, the snapshot includes the resulting definitions.
        if text.contains("edited over HTTP") {
            writeln!(text, "{} reads {}: {}", definition.metric.metric_id, definition.metric.query_id, definition.sql)?;
        }
    }
    let edited = Regex::new("`ann` at [0-9TZ:-]+,")?;
    Ok(edited.replace_all(&text, "`ann` at <instant>,").replace(&format!("{}/", folder.display()), ""))
}

#[tokio::test]
async fn every_report_equals_its_snapshot() -> Result<()> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut folders: Vec<PathBuf> = fs::read_dir(&cases)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    folders.sort();
    assert!(folders.len() > 30, "the cases are missing");
    for folder in folders {
        let text = run(&folder).await.with_context(|| folder.display().to_string())?;
        insta::with_settings!({ snapshot_path => &folder, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("report", text);
        });
    }
    Ok(())
}

/// Edits a metric during the first validation.
#[derive(Debug)]
struct EditDuringValidation {
    repository: Arc<MemoryRepository>,
    edits: Mutex<Option<PathBuf>>,
    resolved: AtomicU32,
}

#[async_trait]
impl Resolver for EditDuringValidation {
    async fn allowed(&self) -> Result<Allowed, ResolveError> {
        Ok(Allowed::default())
    }

    async fn resolve(&self, statement: &Resolvable) -> Result<Resolution, ResolveError> {
        self.resolved.fetch_add(1, Ordering::Relaxed);
        let edits = self.edits.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(folder) = edits
            && edit(self.repository.as_ref(), &folder).await.is_err()
        {
            return Err(ResolveError::Unavailable(Outage::unreachable("the edit failed")));
        }
        AcceptAll.resolve(statement).await
    }

    async fn with_tables(self: Arc<Self>, _: Vec<PendingTable>) -> Result<Arc<dyn Resolver>, PendingTableError> {
        Ok(self)
    }
}

#[tokio::test]
async fn an_edit_during_the_ingestion_is_kept_and_reported() -> Result<()> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("queries.csv"), "id,query\nq1,SELECT 1 AS a\nq2,SELECT 2 AS a\nq2,SELECT 3 AS a\n")?;
    let item = |id: &str| format!(r#"{{"id": "m{id}", "queryId": "q{id}", "isEditable": true}}"#);
    fs::write(folder.path().join("d.json"), format!(r#"{{"items": [{}, {}]}}"#, item("1"), item("2")))?;
    let repository = Arc::new(MemoryRepository::default());
    let ingest = async |resolver: Arc<dyn Resolver>| {
        let validator = SqlValidator::new(resolver, &BTreeSet::new()).await?;
        let inputs = Inputs::find(&[folder.path().to_owned()])?;
        anyhow::Ok(ingest(repository.as_ref(), validator, inputs, options(&cases, &cases)?, Arc::new(())).await?)
    };
    ingest(Arc::new(AcceptAll)).await?;

    let edits = tempfile::tempdir()?;
    fs::write(edits.path().join("edits.json"), r#"{"m1": {"sql": "SELECT 9 AS b"}}"#)?;
    let edits = Mutex::new(Some(edits.path().to_owned()));
    let editing =
        Arc::new(EditDuringValidation { repository: Arc::clone(&repository), edits, resolved: AtomicU32::new(0) });
    let report = ingest(editing.clone()).await?;
    let reasons: Vec<_> = report.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    // Each finding is reported once, even though the entry is validated again.
    assert_eq!(reasons, ["id-conflict", "edit-conflict"], "{report:?}");
    check_sums(&report)?;
    assert_eq!((report.queries.unchanged, report.metrics.unchanged), (1, 2));
    let m1 = repository.get_definition(&MetricId::parse("m1")?).await?;
    assert_eq!(m1.sql.as_str(), "SELECT 9 AS b");
    // The SQL of each file once, and the edited SQL for the metric that reads it.
    assert_eq!(editing.resolved.load(Ordering::Relaxed), 3);
    Ok(())
}
