//! Collects refusals and notices.

use metricd_domain::{Location, MAX_LISTED_FINDINGS, Notice, Refusal, SqlText, shortened, visible};
use metricd_execution::Finding;

use crate::Reason;

/// The maximum number of characters of a value that a refusal shows.
const MAX_VALUE_CHARS: usize = 80;

/// The refusals and notices of an ingestion. All are counted, and the first [`MAX_LISTED_FINDINGS`] of each are kept.
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
            let (location, message) = (shown(location), visible(&message.into()));
            self.refusals.push(Refusal {
                location,
                value: value.map(|value| shortened(value, MAX_VALUE_CHARS)),
                reason,
                message,
            });
        }
    }

    /// Adds the findings of a part of the files after those that are there.
    pub(crate) fn append(&mut self, other: Self) {
        self.refusal_count += other.refusal_count;
        self.notice_count += other.notice_count;
        let (refusals, notices) = (self.refusals.len(), self.notices.len());
        self.refusals.extend(other.refusals.into_iter().take(MAX_LISTED_FINDINGS - refusals));
        self.notices.extend(other.notices.into_iter().take(MAX_LISTED_FINDINGS - notices));
    }

    /// Counts refusals that are not listed.
    pub(crate) fn count_refused(&mut self, count: u64) {
        self.refusal_count += count;
    }

    pub(crate) fn notice(&mut self, location: Location, reason: Reason, message: impl Into<String>) {
        self.notice_count += 1;
        if self.notices.len() < MAX_LISTED_FINDINGS {
            let (location, message) = (shown(location), visible(&message.into()));
            self.notices.push(Notice { location, reason: reason.code().to_owned(), message });
        }
    }
}

/// Refuses a query, once for each finding in its SQL.
pub(crate) fn refuse_sql(location: &Location, sql: &SqlText, found: &[Finding], findings: &mut Findings) {
    for finding in found {
        let location = Location { column: Some("query".to_owned()), ..location.clone() };
        findings.refuse(location, Some(sql.as_str()), Reason::Sql(finding.code), finding.to_string());
    }
}

/// Escapes invisible characters of a location. A key may contain any character, and PostgreSQL cannot store NUL.
fn shown(location: Location) -> Location {
    let shown = |text: Option<String>| text.map(|text| visible(&text));
    Location { pointer: shown(location.pointer), column: shown(location.column), ..location }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_limit_are_only_counted() {
        let mut findings = Findings::default();
        for _ in 0..1_500 {
            findings.refuse(Location::default(), None, Reason::RowRagged, "no");
        }
        assert_eq!((findings.refusal_count, findings.refusals.len()), (1_500, 1_000));
    }
}
