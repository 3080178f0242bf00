//! Snapshot tokens, which detect whether the data changed between two runs.

use std::time::Instant;

/// PostgreSQL's current snapshot, with the age of the session that read it.
///
/// If a token [is unchanged](Self::is_unchanged_since) since an earlier one, no transaction was committed in between. A
/// statement whose result depends only on the data then has the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotToken {
    snapshot: String,
    read_at: Instant,
    session_since: Instant,
}

impl SnapshotToken {
    /// Makes a token of `snapshot`, as `pg_current_snapshot()` prints it. It was taken at `read_at` or later, in a
    /// session that began at `session_since` or earlier.
    #[must_use]
    pub fn new(snapshot: String, read_at: Instant, session_since: Instant) -> Self {
        Self { snapshot, read_at, session_since }
    }

    /// Whether nothing was committed since the earlier token was read. The session of this token must have existed by
    /// then, because a PostgreSQL that crashed in between can lose its last transactions and reuse their numbers.
    #[must_use]
    pub fn is_unchanged_since(&self, earlier: &Self) -> bool {
        self.snapshot == earlier.snapshot && self.session_since <= earlier.read_at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_is_unchanged_if_the_snapshot_is_and_the_session_existed_before() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let token = |snapshot: &str, read_at, since| SnapshotToken::new(snapshot.to_owned(), read_at, since);
        let before = token("7:9:8", at(10), at(0));
        for (now, expected) in [
            (token("7:9:8", at(20), at(0)), true),
            (token("7:9:8", at(20), at(10)), true),
            (token("7:9:8", at(20), at(11)), false),
            (token("7:10:8", at(20), at(0)), false),
            (token("9:9:", at(20), at(0)), false),
        ] {
            assert_eq!(now.is_unchanged_since(&before), expected, "{now:?}");
        }
    }
}
