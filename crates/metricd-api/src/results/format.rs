//! The formats of a result, and content negotiation.

use actix_web::HttpRequest;
use actix_web::http::header::{Accept, Header, Quality};
use metricd_execution::{CsvWriter, NdjsonWriter, RowWriter};
use utoipa::ToSchema;

use crate::{Problem, ProblemCode};

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Format {
    Json,
    Csv,
    Ndjson,
}

impl Format {
    /// Every format; of equally acceptable ones the first is used.
    const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Ndjson];

    /// Parses the value of the parameter `format`.
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "ndjson" => Ok(Self::Ndjson),
            _ => Err("expected `json`, `csv` or `ndjson`"),
        }
    }

    /// The format with the highest quality in `Accept` (RFC 9110, section 12.5.1); JSON without a valid `Accept`.
    pub(crate) fn negotiate(request: &HttpRequest) -> Result<Self, Problem> {
        let ranges = Accept::parse(request).map(|accept| accept.0).unwrap_or_default();
        if ranges.is_empty() {
            return Ok(Self::Json);
        }
        let quality = |format: Self| {
            let fitting = ranges.iter().filter_map(|range| {
                let item = &range.item;
                let parameters = item.params().map(|(name, value)| (name.as_str(), value.as_str()));
                let specificity = format.fits((item.type_().as_str(), item.subtype().as_str()), parameters)?;
                Some((specificity, range.quality))
            });
            // The most specific matching range decides.
            fitting.max().map(|(_, quality)| quality).filter(|quality| *quality > Quality::ZERO)
        };
        let liked = Self::ALL.into_iter().filter_map(|format| Some((quality(format)?, format)));
        let best = liked.reduce(|best, other| if other.0 > best.0 { other } else { best });
        best.map(|(_, format)| format).ok_or_else(|| Problem::new(ProblemCode::NotAcceptable))
    }

    /// The specificity with which a media range matches this format; `None` if it does not match.
    fn fits<'a>(self, range: (&str, &str), parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Option<usize> {
        let (kind, subtype) = self.media_type();
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

    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Csv => ("text", "csv"),
            Self::Ndjson => ("application", "x-ndjson"),
        }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// The encoder of a streamed format; `None` for the buffered one.
    pub(crate) fn writer(self) -> Option<Box<dyn RowWriter>> {
        match self {
            Self::Json => None,
            Self::Csv => Some(Box::new(CsvWriter::default())),
            Self::Ndjson => Some(Box::new(NdjsonWriter::default())),
        }
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
    fn the_format_with_the_highest_quality_is_used() {
        use Format::{Csv, Json, Ndjson};
        let cases: [(&[&str], Option<Format>); 24] = [
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
            (&["text/html"], None),
            (&["*/*;q=0"], None),
            (&["application/json;q=0"], None),
        ];
        for (accept, expected) in cases {
            assert_eq!(negotiate(accept), expected, "{accept:?}");
        }
    }
}
