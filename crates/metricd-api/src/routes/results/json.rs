//! Several results as JSON.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use metricd_domain::RowLimit;
use metricd_execution::{Numbers, RunLimits};

use super::MAX_RESULTS_BYTES;
use super::entry::{Ended, EndedRun};
use super::output::{EncodedProblem, MetricRows, ResultsCall, ResultsFormat, encode_document, encode_entry};
use crate::Problem;
use crate::results::definition_cache::CachedMetric;
use crate::results::document::{ResultRows, hashable_prefix};
use crate::results::format::Format;
use crate::results::run::Delivery;

/// A document with an entry for each id, also for a repeated one.
pub(super) struct Json {
    pub(super) numbers: Numbers,
}

/// An encoded entry.
struct EncodedEntry {
    body: Vec<u8>,
    is_truncated: bool,
    /// A hash without `as_of`; `None` for a server error, which must not be cached.
    hash: Option<blake3::Hash>,
}

impl MetricRows for ResultRows {}

impl ResultsFormat for Json {
    type Rows = ResultRows;

    const YIELDS_AFTER_END: bool = false;

    fn delivery(&self, count: usize) -> Delivery {
        let share = MAX_RESULTS_BYTES / count.max(1);
        Delivery::Buffered { rows: RowLimit::DEFAULT, size_bytes: share.min(RunLimits::default().size_bytes) }
    }

    fn rows(&self, cached: &Arc<CachedMetric>) -> ResultRows {
        ResultRows::of(Arc::clone(cached), self.numbers)
    }

    fn respond(
        self,
        call: &ResultsCall<'_>,
        entries: HashMap<&str, Ended<ResultRows>>,
        as_of: DateTime<Utc>,
    ) -> Result<HttpResponse, Problem> {
        let encoded: HashMap<_, _> = entries.into_iter().map(|(id, entry)| (id, encode(id, entry, as_of))).collect();
        let in_order = || call.ids.iter().filter_map(|id| Some((id.as_str(), encoded.get(id.as_str())?)));
        let tag = call.tag(in_order().map(|(id, entry)| (id, entry.hash)));
        let is_truncated = encoded.values().any(|entry| entry.is_truncated);
        call.respond_with_tag(tag.as_ref(), is_truncated, |mut response| {
            let entries: Vec<_> = in_order().map(|(_, entry)| entry.body.as_slice()).collect();
            Ok(response.content_type(Format::Json.content_type()).body(encode_document(&entries, None, as_of)))
        })
    }
}

/// Encodes the entry: the result of the metric's own path, or its problem.
fn encode(id: &str, entry: Ended<ResultRows>, as_of: DateTime<Utc>) -> EncodedEntry {
    match entry {
        Ended::Run(run) => {
            let EndedRun { period, rows, outcome, .. } = *run;
            let result = rows.finish(outcome, period, None, as_of);
            EncodedEntry {
                body: encode_entry(id, 200, "result", &result),
                is_truncated: outcome.truncated,
                hash: Some(blake3::hash(hashable_prefix(&result))),
            }
        }
        Ended::Problem(problem) => {
            let EncodedProblem { status, document, hash } = EncodedProblem::of(id, &problem);
            EncodedEntry { body: encode_entry(id, status, "problem", &document), is_truncated: false, hash }
        }
    }
}
