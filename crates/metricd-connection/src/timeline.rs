//! Which of several servers is the primary, by its timeline.

use std::sync::Arc;

use tokio::sync::watch;

/// The latest timeline of a primary, shared by all that connect to it. A fail-over begins a new timeline, so a primary of
/// an earlier one was replaced, although it may still accept changes.
///
/// ```
/// use metricd_connection::{LatestTimeline, ServerTimeline};
///
/// let latest = LatestTimeline::default();
/// assert!(latest.accepts(ServerTimeline::parse("00000001")), "nothing is known");
/// latest.set(2);
/// assert!(!latest.accepts(ServerTimeline::parse("00000001")));
/// assert!(latest.accepts(ServerTimeline::parse("00000002")));
/// assert!(!latest.accepts(ServerTimeline::STANDBY));
/// latest.set_split_brain();
/// assert!(!latest.accepts(ServerTimeline::parse("00000002")));
/// ```
#[derive(Debug, Clone)]
pub struct LatestTimeline(Arc<watch::Sender<Known>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Latest(u32),
    SplitBrain,
}

/// The timeline of a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTimeline(Option<u32>);

impl ServerTimeline {
    /// A server that is no primary, or was not asked.
    pub const STANDBY: Self = Self(None);

    /// Reads the timeline of a primary in hexadecimal digits, or an empty text from a standby.
    pub(crate) const SQL: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN '' ELSE \
        pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END";

    /// Parses hexadecimal digits. Anything else is that of a standby.
    #[must_use]
    pub fn parse(digits: &str) -> Self {
        Self(u32::from_str_radix(digits, 16).ok())
    }
}

impl Known {
    fn accepts(self, ServerTimeline(own): ServerTimeline) -> bool {
        match self {
            Self::Nothing => true,
            Self::Latest(latest) => own.is_some_and(|own| own >= latest),
            Self::SplitBrain => false,
        }
    }
}

impl Default for LatestTimeline {
    /// Nothing is known, and every server is accepted.
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Known::Nothing)))
    }
}

impl LatestTimeline {
    /// Sets the latest timeline.
    pub fn set(&self, timeline: u32) {
        self.replace(Known::Latest(timeline));
    }

    /// Several servers claim to be the primary of the latest timeline: none is accepted until [`Self::set`].
    pub fn set_split_brain(&self) {
        self.replace(Known::SplitBrain);
    }

    fn replace(&self, known: Known) {
        self.0.send_if_modified(|before| std::mem::replace(before, known) != known);
    }

    /// Whether anything is known, so that servers have to be asked for their timelines.
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self.0.borrow() != Known::Nothing
    }

    /// Whether a server of this timeline is the primary, as far as is known.
    #[must_use]
    pub fn accepts(&self, own: ServerTimeline) -> bool {
        self.0.borrow().accepts(own)
    }

    /// Returns when a server of this timeline is not accepted any more.
    pub async fn replaced(&self, own: ServerTimeline) {
        // The sender is not dropped meanwhile.
        drop(self.0.subscribe().wait_for(|known| !known.accepts(own)).await);
    }
}
