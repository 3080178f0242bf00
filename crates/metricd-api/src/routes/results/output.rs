//! What several results become: the port between running them, and the formats of the response.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::header::{EntityTag, VARY};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use chrono::{DateTime, SecondsFormat, Utc};
use metricd_domain::{Tenant, TimeZone};
use metricd_execution::{EncodeError, RowSink};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::entry::Ended;
use super::params::GetResultsParams;
use crate::extract::conditional::{self, IfNoneMatchHeader};
use crate::results::definition_cache::CachedMetric;
use crate::results::run::Delivery;
use crate::results::{X_TIME_ZONE, X_TRUNCATED};
use crate::{ApiState, Problem};

/// The characters that are encoded in a path segment. A valid id has none of them, but a requested one may.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The format of a response.
pub(super) trait ResultsFormat {
    /// What receives the rows of a metric.
    type Rows: MetricRows;

    /// Whether ending a result takes so long that other tasks of the thread should run before the next one.
    const YIELDS_AFTER_END: bool;

    /// How each of this many results reaches the client.
    fn delivery(&self, count: usize) -> Delivery;

    /// Creates what receives the rows of a metric.
    fn rows(&self, cached: &Arc<CachedMetric>) -> Self::Rows;

    /// Makes the response of the entries by id.
    ///
    /// # Errors
    ///
    /// The problem of the whole call.
    fn respond(
        self,
        call: &ResultsCall<'_>,
        entries: HashMap<&str, Ended<Self::Rows>>,
        as_of: DateTime<Utc>,
    ) -> Result<HttpResponse, Problem>;
}

/// Receives the rows of a metric.
pub(super) trait MetricRows: RowSink {
    /// Writes what follows the last row.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the format cannot hold the result.
    fn finish(&mut self) -> Result<(), EncodeError> {
        Ok(())
    }
}

/// A call for several results.
pub(super) struct ResultsCall<'a> {
    pub(super) request: &'a HttpRequest,
    pub(super) state: &'a ApiState,
    pub(super) tenant: Option<&'a Tenant>,
    /// The ids of the metrics, in the requested order. They may repeat.
    pub(super) ids: &'a [String],
    pub(super) params: &'a GetResultsParams,
    pub(super) export: &'a Export<'a>,
}

/// What a file of the results is called.
pub(in crate::routes) struct Export<'a> {
    /// The name without the extension. It has no character that a header would have to escape.
    pub(in crate::routes) file_stem: &'a str,
    /// The title of a workbook.
    pub(in crate::routes) title: &'a str,
}

impl ResultsCall<'_> {
    /// Answers with 304 if the client's copy has the tag, otherwise with what `respond` makes of a response with 200.
    pub(super) fn respond_with_tag(
        &self,
        tag: Option<&EntityTag>,
        is_truncated: bool,
        respond: impl FnOnce(HttpResponseBuilder) -> Result<HttpResponse, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let is_unchanged = tag.is_some_and(|tag| IfNoneMatchHeader::of(self.request).names(tag));
        let mut response = if is_unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response.insert_header((VARY, "accept"));
        if let Some(tag) = tag {
            response = conditional::with_tag(response, tag);
        }
        if is_unchanged {
            return Ok(response.finish());
        }
        response.insert_header((X_TIME_ZONE, self.params.zone.zone().as_str()));
        if is_truncated {
            response.insert_header((X_TRUNCATED, "true"));
        }
        respond(response)
    }

    /// The weak `ETag` of entries in this order for this tenant in this time zone; `None` if one of them has no hash.
    pub(super) fn tag<'e>(&self, entries: impl Iterator<Item = (&'e str, Option<blake3::Hash>)>) -> Option<EntityTag> {
        let mut hash = blake3::Hasher::new();
        hash.update(self.tenant.map_or("", Tenant::as_str).as_bytes()).update(&[0]);
        hash.update(self.params.zone.zone().as_str().as_bytes()).update(&[0]);
        for (id, entry) in entries {
            hash.update(id.as_bytes()).update(&[0]).update(entry?.as_bytes());
        }
        Some(conditional::result_tag(&hash))
    }
}

/// A problem in the entry of a metric.
pub(super) struct EncodedProblem {
    pub(super) status: u16,
    /// The document, as the metric's own path answers.
    pub(super) document: Vec<u8>,
    /// A hash of the document; `None` for a server error, which must not be cached.
    pub(super) hash: Option<blake3::Hash>,
}

impl EncodedProblem {
    pub(super) fn of(id: &str, problem: &Problem) -> Self {
        let document = problem.document(&format!("/metrics/{}", utf8_percent_encode(id, PATH_SEGMENT)));
        let status = problem.code().status();
        let hash = (!status.is_server_error()).then(|| blake3::hash(&document));
        Self { status: status.as_u16(), document, hash }
    }
}

/// Encodes the entry of a metric.
pub(super) fn encode_entry(id: &str, status: u16, key: &str, document: &[u8]) -> Vec<u8> {
    // Infallible: it is a string.
    let id = serde_json::to_string(id).unwrap_or_default();
    let mut body = format!(r#"{{"metric_id":{id},"status":{status},"{key}":"#).into_bytes();
    body.extend_from_slice(document);
    body.push(b'}');
    body
}

/// Encodes the document of these entries, in order.
pub(super) fn encode_document(entries: &[&[u8]], zone: Option<&TimeZone>, as_of: DateTime<Utc>) -> Vec<u8> {
    let mut body = br#"{"results":["#.to_vec();
    body.reserve(entries.iter().map(|entry| entry.len() + 1).sum());
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(entry);
    }
    body.push(b']');
    if let Some(zone) = zone {
        // The name of a zone has no character that JSON escapes.
        body.extend_from_slice(format!(r#","time_zone":"{zone}""#).as_bytes());
    }
    let as_of = as_of.to_rfc3339_opts(SecondsFormat::Millis, true);
    body.extend_from_slice(format!(r#","as_of":"{as_of}"}}"#).as_bytes());
    body
}
