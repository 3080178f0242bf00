//! Refusals and notices as they are gathered.

use metricd_domain::{Location, MAX_LISTED_FINDINGS, Notice, Refusal, SqlText};
use metricd_execution::Finding;

use crate::Reason;

/// How many characters of a value a refusal shows.
const SHOWN_CHARS: usize = 80;

/// Refusals and notices: all are counted, the first [`MAX_LISTED_FINDINGS`] of each are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) refusal_count: u64,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) notice_count: u64,
    pub(crate) notices: Vec<Notice>,
}

impl Findings {
    pub(crate) fn refuse(
        &mut self,
        location: Location,
        value: Option<&str>,
        reason: Reason,
        message: impl Into<String>,
    ) {
        self.refusal_count += 1;
        if self.refusals.len() < MAX_LISTED_FINDINGS {
            let reason = reason.code().to_owned();
            let (location, message) = (visible(location), escape_controls(&message.into()));
            self.refusals.push(Refusal { location, value: value.map(shorten), reason, message });
        }
    }

    pub(crate) fn notice(&mut self, location: Location, reason: Reason, message: impl Into<String>) {
        self.notice_count += 1;
        if self.notices.len() < MAX_LISTED_FINDINGS {
            let (location, message) = (visible(location), escape_controls(&message.into()));
            self.notices.push(Notice { location, reason: reason.code().to_owned(), message });
        }
    }
}

/// Refuses a query for each thing that was found in its SQL.
pub(crate) fn refuse_sql(location: &Location, sql: &SqlText, found: &[Finding], findings: &mut Findings) {
    for finding in found {
        let location = Location { column: Some("query".to_owned()), ..location.clone() };
        findings.refuse(location, Some(sql.as_str()), Reason::Sql(finding.code), finding.to_string());
    }
}

/// The place with control characters escaped: a key may hold any of them, and PostgreSQL no NUL.
fn visible(location: Location) -> Location {
    let escaped = |text: Option<String>| text.map(|text| escape_controls(&text));
    Location { pointer: escaped(location.pointer), column: escaped(location.column), ..location }
}

fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        push_escaped(&mut escaped, character);
    }
    escaped
}

fn push_escaped(text: &mut String, character: char) {
    if character.is_control() {
        text.extend(character.escape_default());
    } else {
        text.push(character);
    }
}

/// The value on one line: at most 80 characters, control characters escaped.
pub(crate) fn shorten(value: &str) -> String {
    let mut shown = String::new();
    let mut chars = value.chars();
    for character in chars.by_ref().take(SHOWN_CHARS) {
        push_escaped(&mut shown, character);
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_on_one_short_line() {
        assert_eq!(shorten("a\n\0é\u{1f600}"), "a\\n\\u{0}é\u{1f600}");
        assert_eq!(shorten(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
        assert_eq!(shorten(&"x".repeat(80)), "x".repeat(80));
    }

    #[test]
    fn findings_past_the_limit_are_counted_only() {
        let mut findings = Findings::default();
        for _ in 0..1_500 {
            findings.refuse(Location::default(), None, Reason::RowRagged, "no");
        }
        assert_eq!((findings.refusal_count, findings.refusals.len()), (1_500, 1_000));
    }
}
