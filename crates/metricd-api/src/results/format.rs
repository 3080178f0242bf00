//! The formats of results, and content negotiation.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header, Quality};
use metricd_execution::{ArchiveFormat, CsvWriter, FileFormat, FileWriters, NdjsonWriter, ResultHead, RowWriter};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::results::definition_cache::CachedMetric;
use crate::{Problem, ProblemCode};

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
    Parquet,
    Arrow,
    Xlsx,
}

/// The schema of a file.
pub(crate) struct FileSchema;

impl PartialSchema for FileSchema {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        RefOr::T(ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into())
    }
}

impl ToSchema for FileSchema {}

impl Format {
    /// Every format; of equally acceptable ones the first is used.
    const ALL: [Self; 6] = [Self::Json, Self::Csv, Self::Ndjson, Self::Parquet, Self::Arrow, Self::Xlsx];

    /// Parses the value of the parameter `format`.
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or("expected `json`, `csv`, `ndjson`, `parquet`, `arrow` or `xlsx`")
    }

    /// The name, which is also the extension of a file's name.
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet | Self::Arrow | Self::Xlsx => self.file().map_or("", FileFormat::name),
        }
    }

    /// The format of a file that an adapter writes.
    pub(crate) fn file(self) -> Option<FileFormat> {
        match self {
            Self::Json | Self::Csv | Self::Ndjson => None,
            Self::Parquet => Some(FileFormat::Parquet),
            Self::Arrow => Some(FileFormat::Arrow),
            Self::Xlsx => Some(FileFormat::Xlsx),
        }
    }

    /// The format of several results in one file; `None` for JSON.
    pub(crate) fn archive(self) -> Option<ArchiveFormat> {
        Some(match self {
            Self::Json => return None,
            Self::Csv => ArchiveFormat::Csv,
            Self::Ndjson => ArchiveFormat::Ndjson,
            Self::Parquet => ArchiveFormat::Parquet,
            Self::Arrow => ArchiveFormat::Arrow,
            Self::Xlsx => ArchiveFormat::Xlsx,
        })
    }

    /// The value of `Content-Disposition`, if the result is saved as a file.
    pub(crate) fn content_disposition(self, metric_id: &str) -> Option<String> {
        let is_saved = self == Self::Csv || self.file().is_some();
        is_saved.then(|| format!("attachment; filename=\"{metric_id}.{}\"", self.name()))
    }

    /// The format with the highest quality in `Accept` (RFC 9110, section 12.5.1); JSON without a valid `Accept`.
    pub(crate) fn negotiate(request: &HttpRequest) -> Result<Self, Problem> {
        Self::best(request, Self::content_type).ok_or_else(|| Problem::new(ProblemCode::NotAcceptable))
    }

    /// The same for several results: JSON, a zip archive of CSV, or a workbook.
    pub(crate) fn negotiate_archive(request: &HttpRequest) -> Result<Self, Problem> {
        let content_type = |format: Self| format.archive().map_or(format.content_type(), ArchiveFormat::media_type);
        let (json, csv, xlsx) =
            (Self::Json.content_type(), ArchiveFormat::Csv.media_type(), ArchiveFormat::Xlsx.media_type());
        let detail = format!(
            "The header `Accept` allows none of the formats of several results: expected `{json}`, `{csv}` or `{xlsx}`. The \
             parameter `format` chooses the files in a zip archive."
        );
        Self::best(request, content_type).ok_or_else(|| Problem::new(ProblemCode::NotAcceptable).with_detail(detail))
    }

    /// The most acceptable format, of those with these content types.
    fn best(request: &HttpRequest, content_type: impl Fn(Self) -> &'static str) -> Option<Self> {
        let ranges = Accept::parse(request).map(|accept| accept.0).unwrap_or_default();
        if ranges.is_empty() {
            return Some(Self::Json);
        }
        let quality = |format: Self| {
            let fitting = ranges.iter().filter_map(|range| {
                let item = &range.item;
                let parameters = item.params().map(|(name, value)| (name.as_str(), value.as_str()));
                let specificity =
                    fits(content_type(format), (item.type_().as_str(), item.subtype().as_str()), parameters)?;
                Some((specificity, range.quality))
            });
            // The most specific matching range decides.
            fitting.max().map(|(_, quality)| quality).filter(|quality| *quality > Quality::ZERO)
        };
        let liked = Self::ALL.into_iter().filter_map(|format| Some((quality(format)?, format)));
        let best = liked.reduce(|best, other| if other.0 > best.0 { other } else { best });
        best.map(|(_, format)| format)
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet | Self::Arrow | Self::Xlsx => self.file().map_or("", FileFormat::media_type),
        }
    }

    /// The encoder of a streamed format; `None` for the buffered one.
    pub(crate) fn writer(self, files: &dyn FileWriters, cached: &CachedMetric) -> Option<Box<dyn RowWriter>> {
        match self {
            Self::Json => None,
            Self::Csv => Some(Box::new(CsvWriter::default())),
            Self::Ndjson => Some(Box::new(NdjsonWriter::default())),
            Self::Parquet | Self::Arrow | Self::Xlsx => Some(files.writer(self.file()?, result_head(cached))),
        }
    }
}

/// The specificity with which a media range matches a content type; `None` if it does not match.
fn fits<'a>(
    content_type: &str,
    range: (&str, &str),
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<usize> {
    let essence = content_type.split(';').next().unwrap_or_default();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    match range {
        ("*", "*") => Some(0),
        (range, "*") if range == kind => Some(1),
        (range, name) if range == kind && name == subtype => {
            // An unknown parameter is ignored; a known one must have the value that is sent.
            let known = [("charset", "utf-8"), ("header", "present")];
            let contradicts = |(name, value): (&str, &str)| {
                known.iter().any(|(known, answered)| name == *known && !value.eq_ignore_ascii_case(answered))
            };
            let mut count = 0;
            for parameter in parameters {
                if contradicts(parameter) {
                    return None;
                }
                count += 1;
            }
            Some(2 + count)
        }
        _ => None,
    }
}

/// What a file says about the metric's result.
pub(crate) fn result_head(cached: &CachedMetric) -> ResultHead {
    let definition = &cached.definition;
    let contract = definition.contract.as_ref();
    let columns = contract.iter().flat_map(|contract| contract.columns());
    let described = columns.filter_map(|column| Some((column.name.clone(), column.description.clone()?)));
    ResultHead {
        metric_id: definition.metric.metric_id.to_string(),
        title: definition.title().to_owned(),
        query_id: definition.metric.query_id.to_string(),
        query_version: definition.query_version,
        descriptions: described.collect(),
        enums: contract.map(|contract| contract.enums().clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn negotiate(accept: &[&str]) -> Option<Format> {
        let mut request = TestRequest::default();
        for value in accept {
            request = request.append_header(("accept", *value));
        }
        Format::negotiate(&request.to_http_request()).ok()
    }

    #[test]
    fn several_results_are_json_a_zip_archive_of_csv_or_a_workbook() {
        use Format::{Csv, Json, Xlsx};
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/zip", Some(Csv)),
            ("application/zip, application/json;q=0.9", Some(Csv)),
            ("application/json;q=0, */*", Some(Csv)),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet, application/zip;q=0.9", Some(Xlsx)),
            ("text/csv", None),
            ("application/vnd.apache.parquet", None),
            ("text/html", None),
        ] {
            let request = TestRequest::default().append_header(("accept", accept)).to_http_request();
            assert_eq!(Format::negotiate_archive(&request).ok(), expected, "{accept}");
        }
    }

    #[test]
    fn the_format_with_the_highest_quality_is_used() {
        use Format::{Arrow, Csv, Json, Ndjson, Parquet, Xlsx};
        let cases: [(&[&str], Option<Format>); 28] = [
            (&[], Some(Json)),
            (&[""], Some(Json)),
            (&["nonsense"], Some(Json)),
            (&["*/*"], Some(Json)),
            (&["application/json"], Some(Json)),
            (&["text/csv"], Some(Csv)),
            (&["TEXT/CSV"], Some(Csv)),
            (&["text/*"], Some(Csv)),
            (&["application/*"], Some(Json)),
            (&["application/x-ndjson"], Some(Ndjson)),
            (&["text/csv, application/json"], Some(Json)),
            (&["text/csv", "application/json;q=0.9"], Some(Csv)),
            (&["text/csv;q=0.5, application/x-ndjson;q=0.6"], Some(Ndjson)),
            (&["application/json;q=0, */*"], Some(Csv)),
            (&["application/json;q=0, text/csv;q=0, */*;q=0.1"], Some(Ndjson)),
            (&["*/*;q=0.1, text/csv;q=0.05"], Some(Json)),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Some(Json)),
            (&["text/csv; charset=utf-8; header=present"], Some(Csv)),
            (&["text/csv;header=absent"], None),
            (&["application/json;charset=iso-8859-1"], None),
            (&["application/json;profile=x"], Some(Json)),
            (&["application/vnd.apache.parquet"], Some(Parquet)),
            (&["application/vnd.apache.arrow.stream, application/json;q=0.9"], Some(Arrow)),
            (&["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"], Some(Xlsx)),
            (&["application/vnd.apache.arrow.file"], None),
            (&["text/html"], None),
            (&["*/*;q=0"], None),
            (&["application/json;q=0"], None),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiate(accept), expected, "{accept:?}");
        }
    }
}
