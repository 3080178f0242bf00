//! What a server is, and its position in the write-ahead log.

use metricd_execution::LogPosition;

use crate::session::{Response, Session, SessionError};

/// The identifier of the cluster, whether the server is a standby, its position in the write-ahead log and its timeline.
/// The timeline of a standby is that of its last restart point: after a fail-over it is the former one for a while.
const STATE_SQL: &str = "
    SELECT cluster::text, standby::text, CASE
        WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_insert_lsn()
    END::text, CASE
        WHEN standby THEN (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c)::text
        ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)
    END
    FROM (
        SELECT (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s), pg_catalog.pg_is_in_recovery()
    ) AS server (cluster, standby)";

/// The position in the write-ahead log of a primary.
pub(super) const POSITION_SQL: &str = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text";

const MAX_ROW_BYTES: usize = 1 << 10;

/// The statements of this module.
pub(crate) fn own_statements() -> Vec<String> {
    vec![STATE_SQL.to_owned(), POSITION_SQL.to_owned()]
}

/// The response of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerState {
    pub(super) is_standby: bool,
    pub(super) position: LogPosition,
    pub(super) timeline: u32,
}

/// The identifier of the cluster, and the state of the server.
pub(super) async fn state(session: &mut Session) -> Result<(String, ServerState), SessionError> {
    session.send_simple(STATE_SQL)?;
    let mut row = Vec::new();
    while session.next(MAX_ROW_BYTES).await? != Response::End {
        row = session.fields().map(|field| field.map(|text| String::from_utf8_lossy(text).into_owned())).collect();
    }
    let field = |index: usize| row.get(index).and_then(Option::as_deref);
    let parse = || {
        let is_standby = field(1)? == "true";
        // The name of a segment has the timeline in hexadecimal digits.
        let timeline = u32::from_str_radix(field(3)?, if is_standby { 10 } else { 16 }).ok()?;
        let position = before_page_header(field(2)?.parse().ok()?);
        Some((field(0)?.to_owned(), ServerState { is_standby, position, timeline }))
    };
    let unexpected = "PostgreSQL does not report its position in the write-ahead log";
    parse().ok_or_else(|| SessionError::Lost(unexpected.to_owned()))
}

/// The pages of the write-ahead log, in bytes, and their headers. Where a page begins, a primary is behind the header
/// already, and a standby that has replayed everything is before it. No record ends in between.
const PAGE_BYTES: u64 = 8_192;
const PAGE_HEADERS: [u64; 2] = [24, 40];

pub(super) fn before_page_header(position: LogPosition) -> LogPosition {
    let offset = position.bytes() % PAGE_BYTES;
    if PAGE_HEADERS.contains(&offset) { LogPosition::new(position.bytes() - offset) } else { position }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_page_is_no_distance() {
        let before = |bytes: u64| before_page_header(LogPosition::new(bytes)).bytes();
        assert_eq!([8_192, 8_216, 8_232, 8_217, 24_576 + 24].map(before), [8_192, 8_192, 8_192, 8_217, 24_576]);
    }
}
