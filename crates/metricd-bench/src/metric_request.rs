//! A metric to measure, with the parameters of its requests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::workload;

/// The parameters that the benchmark sets itself, or that would give a result without a known size.
const RESERVED: [&str; 2] = ["limit", "format"];

/// The id of a metric, and its parameters as in the URL of its result: `orders?kind=web`.
#[derive(Debug, Clone)]
pub(crate) struct MetricRequest {
    id: String,
    query: String,
}

impl MetricRequest {
    /// The path of the definition.
    pub(crate) fn definition_path(&self) -> String {
        format!("/metrics/{}/definition", self.id)
    }

    /// The path of the result for one client.
    pub(crate) fn path(&self, client: u32) -> String {
        let path = workload::path(&self.id, client);
        if self.query.is_empty() { path } else { format!("{path}&{}", self.query) }
    }

    /// The decoded values of the parameters.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        parameters(&self.query).map(|(name, value)| (decoded(name), decoded(value))).collect()
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

impl FromStr for MetricRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, query) = text.split_once('?').unwrap_or((text, ""));
        let is_id = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
        if id.is_empty() || !id.chars().all(is_id) {
            return Err("expected the id of a metric, as in `orders` or `orders?kind=web`".to_owned());
        }
        if query.contains(|character: char| !character.is_ascii_graphic() || character == '#') {
            return Err("the parameters have a character that must be percent-encoded: write a blank as %20".to_owned());
        }
        match parameters(query).find(|(name, _)| RESERVED.contains(name)) {
            Some((name, _)) => Err(format!("leave `{name}` out: the benchmark sets it")),
            None => Ok(Self { id: id.to_owned(), query: query.to_owned() }),
        }
    }
}

impl fmt::Display for MetricRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.query.is_empty() { "" } else { "?" };
        write!(formatter, "{}{separator}{}", self.id, self.query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_paths_and_the_decoded_values() {
        let request: MetricRequest = "orders?kind=a%26b+c&day=2026-01-01".parse().unwrap();
        assert_eq!(request.path(1), "/metrics/orders?limit=9999&kind=a%26b+c&day=2026-01-01");
        assert_eq!(request.values().into_values().collect::<Vec<_>>(), ["2026-01-01", "a&b c"]);
        assert_eq!(request.to_string(), "orders?kind=a%26b+c&day=2026-01-01");
        assert_eq!("orders".parse::<MetricRequest>().unwrap().path(0), "/metrics/orders?limit=10000");
    }

    #[test]
    fn refuses_what_is_no_request_of_the_benchmark() {
        for (text, expected) in [
            ("", "expected the id of a metric"),
            ("a/b", "expected the id of a metric"),
            ("a?kind=x y", "must be percent-encoded"),
            ("a?kind=x&limit=5", "leave `limit` out"),
            ("a?format=csv", "leave `format` out"),
        ] {
            assert!(text.parse::<MetricRequest>().unwrap_err().contains(expected), "{text}");
        }
    }
}
