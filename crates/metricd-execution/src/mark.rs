//! The state of the data, as far as it can be told from another one.

use std::time::Instant;

/// A mark of the state of the whole database at a moment.
///
/// Where a mark [is still](Self::is_still) the one of an earlier moment, no transaction has been committed between the two, so
/// that a statement which depends on nothing else has the result that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataMark {
    snapshot: String,
    read_at: Instant,
    session_since: Instant,
}

impl DataMark {
    /// A mark: PostgreSQL's snapshot in text, from when at the latest it is, and since when at the latest the session lives in
    /// which it was read.
    #[must_use]
    pub fn new(snapshot: String, read_at: Instant, session_since: Instant) -> Self {
        Self { snapshot, read_at, session_since }
    }

    /// Whether the state is still that of the earlier mark. A session that lives since then shows that PostgreSQL has not been
    /// started again: it could have lost its last transactions, and given their numbers to others.
    #[must_use]
    pub fn is_still(&self, earlier: &Self) -> bool {
        self.snapshot == earlier.snapshot && self.session_since <= earlier.read_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_mark_is_still_the_one_of_before_while_a_session_lives() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mark = |snapshot: &str, read_at, session_since| DataMark::new(snapshot.to_owned(), read_at, session_since);
        let before = mark("7:9:8", at(10), at(0));
        for (now, is_still) in [
            (mark("7:9:8", at(20), at(0)), true),
            (mark("7:9:8", at(20), at(10)), true),
            (mark("7:9:8", at(20), at(11)), false),
            (mark("7:10:8", at(20), at(0)), false),
            (mark("9:9:", at(20), at(0)), false),
        ] {
            assert_eq!(now.is_still(&before), is_still, "{now:?}");
        }
    }
}
