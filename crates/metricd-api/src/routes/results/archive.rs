//! Several results as one file: a zip archive, or a workbook.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_DISPOSITION;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use metricd_domain::RowLimit;
use metricd_execution::{
    ArchiveFormat, ArchiveMember, Column, EncodeError, Fields, FileWriters, MemberContent, Numbers, RowSink, RowWriter,
};
use serde_json::{Value, json};

use super::MAX_RESULTS_BYTES;
use super::entry::{Ended, EndedRun};
use super::output::{EncodedProblem, MetricRows, ResultsCall, ResultsFormat};
use super::summary::{MemberFacts, Summary, SummaryEntry, summary_head};
use crate::results::definition_cache::CachedMetric;
use crate::results::format::result_head;
use crate::results::run::Delivery;
use crate::{Problem, ProblemCode};

/// The file of a zip archive that has the summary.
const SUMMARY_FILE: &str = "results.json";

/// A file with a member for each metric that has a result, and a summary of all metrics.
pub(super) struct Archive<'a> {
    pub(super) files: &'a dyn FileWriters,
    pub(super) format: ArchiveFormat,
    pub(super) numbers: Numbers,
}

/// After this many bytes of rows, other tasks of the thread run: compressing them takes about a millisecond, and the
/// connections of a call are read in turns.
const YIELD_BYTES: usize = 32 << 10;

/// Collects the member of a metric.
pub(super) struct MemberRows {
    numbers: Numbers,
    writer: Box<dyn RowWriter>,
    columns: Vec<Column>,
    written: Vec<u8>,
    /// The size of the rows since other tasks have run.
    unyielded_bytes: usize,
}

#[async_trait]
impl RowSink for MemberRows {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        self.columns = columns.to_vec();
        self.writer.head(&self.numbers.columns(columns), &mut self.written)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        self.unyielded_bytes += fields.size_bytes();
        self.writer.row(fields, max_bytes, &mut self.written)
    }

    fn is_full(&self) -> bool {
        self.unyielded_bytes >= YIELD_BYTES
    }

    async fn flush(&mut self) {
        self.unyielded_bytes = 0;
        tokio::task::yield_now().await;
    }
}

impl MetricRows for MemberRows {
    fn finish(&mut self) -> Result<(), EncodeError> {
        self.writer.finish(&mut self.written)
    }
}

impl ResultsFormat for Archive<'_> {
    type Rows = MemberRows;

    /// What is left of the rows is compressed.
    const YIELDS_AFTER_END: bool = true;

    fn delivery(&self, count: usize) -> Delivery {
        Delivery::Buffered { rows: RowLimit::STREAM_MAX, size_bytes: MAX_RESULTS_BYTES / count.max(1) }
    }

    fn rows(&self, cached: &Arc<CachedMetric>) -> MemberRows {
        let writer = self.files.member(self.format, result_head(cached));
        MemberRows { numbers: self.numbers, writer, columns: Vec::new(), written: Vec::new(), unyielded_bytes: 0 }
    }

    fn respond(
        self,
        call: &ResultsCall<'_>,
        mut entries: HashMap<&str, Ended<MemberRows>>,
        as_of: DateTime<Utc>,
    ) -> Result<HttpResponse, Problem> {
        let in_order = call.ids.iter().filter_map(|id| Some((id.as_str(), entries.remove(id.as_str())?)));
        let (entries, contents) = self.separate(in_order.collect());
        if let Some(problem) = common_problem(&entries) {
            return Err(problem);
        }
        let summary = Summary { entries, zone: call.params.zone.zone(), as_of };
        let mut number = 0;
        let hashes = summary.entries.iter().map(|entry| {
            let content = entry.outcome.is_ok().then(|| contents.get(number)).flatten();
            number += usize::from(content.is_some());
            (entry.id, entry.hash(content.map(Vec::as_slice).unwrap_or_default()))
        });
        // They are not in the entries, and a call without metrics has no other difference.
        let own = blake3::hash([self.format.name(), "\0", call.export.title].concat().as_bytes());
        let tag = call.tag(std::iter::once(("", Some(own))).chain(hashes));
        call.respond_with_tag(tag.as_ref(), summary.is_truncated(), |mut response| {
            let file = self.file(&summary, contents, call.export.title);
            let file = file.map_err(|error| Problem::new(ProblemCode::InternalError).caused_by(error))?;
            let name = format!("attachment; filename=\"{}.{}\"", call.export.file_stem, self.format.extension());
            Ok(response.content_type(self.format.media_type()).insert_header((CONTENT_DISPOSITION, name)).body(file))
        })
    }
}

impl Archive<'_> {
    /// Separates what the summary says of the metrics from the contents of the members, both in this order.
    fn separate<'a>(&self, ended: Vec<(&'a str, Ended<MemberRows>)>) -> (Vec<SummaryEntry<'a>>, Vec<Vec<u8>>) {
        let (mut heads, mut contents) = (Vec::new(), Vec::new());
        if self.format.is_workbook() {
            heads.push(summary_head());
        }
        heads.extend(ended.iter().filter_map(|(_, entry)| match entry {
            Ended::Run(run) => Some(result_head(&run.cached)),
            Ended::Problem(_) => None,
        }));
        let mut names = self.files.member_names(self.format, &heads).into_iter();
        if self.format.is_workbook() {
            names.next();
        }
        let entries = ended.into_iter().map(|(id, entry)| {
            let outcome = match entry {
                Ended::Run(run) => {
                    let EndedRun { cached, period, rows, outcome } = *run;
                    contents.push(rows.written);
                    let name = names.next().unwrap_or_default();
                    Ok(MemberFacts { name, cached, columns: rows.columns, period, outcome })
                }
                Ended::Problem(problem) => Err(problem),
            };
            SummaryEntry { id, outcome }
        });
        (entries.collect(), contents)
    }

    /// The file: the summary, and the members.
    fn file(&self, summary: &Summary<'_>, contents: Vec<Vec<u8>>, title: &str) -> Result<Vec<u8>, EncodeError> {
        let first = if self.format.is_workbook() {
            let head = summary_head();
            let name = head.title.clone();
            let writer = self.files.member(self.format, head);
            ArchiveMember { name, content: MemberContent::Result(summary.write_table(writer)?) }
        } else {
            ArchiveMember { name: SUMMARY_FILE.to_owned(), content: MemberContent::Text(summary.document()) }
        };
        let names = summary.entries.iter().filter_map(|entry| entry.outcome.as_ref().ok()).map(|facts| &facts.name);
        let members = names
            .zip(contents)
            .map(|(name, content)| ArchiveMember { name: name.clone(), content: MemberContent::Result(content) });
        self.files.archive(self.format, title, std::iter::once(first).chain(members).collect())
    }
}

/// The problem of a call whose metrics have all failed: that of the first one, with those of all.
fn common_problem(entries: &[SummaryEntry<'_>]) -> Option<Problem> {
    let failed = |entry: &SummaryEntry<'_>| {
        let EncodedProblem { status, document, .. } = EncodedProblem::of(entry.id, entry.outcome.as_ref().err()?);
        let problem: Value = serde_json::from_slice(&document).unwrap_or_default();
        Some(json!({"metric_id": entry.id, "status": status, "problem": problem}))
    };
    let failed: Vec<_> = entries.iter().map(failed).collect::<Option<_>>()?;
    let first = entries.first()?.outcome.as_ref().err()?.logged();
    Some(if failed.len() == 1 { first } else { first.with_extension("results", failed) })
}
