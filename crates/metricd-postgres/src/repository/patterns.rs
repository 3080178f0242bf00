//! Translates patterns of metric ids into PostgreSQL's regular expressions.

use diesel::infix_operator;
use metricd_domain::{MetricPattern, MetricPatterns};

infix_operator!(Matches, " ~ ", backend: diesel::pg::Pg);

/// A regular expression for the ids that match any of these patterns; for every id if no patterns are given.
pub(super) fn regular_expression(among: Option<&MetricPatterns>) -> String {
    let Some(among) = among else { return String::new() };
    // No other character of a pattern is special here. An empty list of patterns matches only the empty id.
    let pattern = |pattern: &MetricPattern| pattern.as_str().replace('*', ".*");
    let patterns: Vec<_> = among.as_slice().iter().map(pattern).collect();
    format!("^(?:{})$", patterns.join("|"))
}
