//! Patterns of metrics' ids, as PostgreSQL reads patterns.

use diesel::infix_operator;
use metricd_domain::{MetricPattern, MetricPatterns};

infix_operator!(Matches, " ~ ", backend: diesel::pg::Pg);

/// The regular expression that the ids match which are among these; all of them, where there are none to be among.
pub(super) fn regular_expression(among: Option<&MetricPatterns>) -> String {
    let Some(among) = among else { return String::new() };
    // Nothing else in a pattern has a meaning of its own here. Of no pattern, only an id without characters is left.
    let pattern = |pattern: &MetricPattern| pattern.as_str().replace('*', ".*");
    let patterns: Vec<_> = among.as_slice().iter().map(pattern).collect();
    format!("^(?:{})$", patterns.join("|"))
}
