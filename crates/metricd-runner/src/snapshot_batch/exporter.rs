//! Exports snapshots for several sessions, as the owner role: in a hardened database no reader may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metricd_connection::Connector;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::session::CONNECT_TIMEOUT;
use crate::session::{Response, Session, SessionError};

/// The maximum number of sessions. An export is short, so few suffice.
const MAX_SESSIONS: usize = 4;

/// How long nothing is exported after a failure, so that not every call fails again.
const RETRY_BACKOFF: Duration = Duration::from_secs(10);

/// The maximum size of a snapshot identifier.
const MAX_ID_BYTES: usize = 1 << 10;

const EXPORT_SNAPSHOT_SQL: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_catalog.pg_export_snapshot()";

/// Exports snapshots, if a role may.
#[derive(Clone, Default)]
pub(crate) struct SnapshotExporter(Option<Arc<ExporterInner>>);

struct ExporterInner {
    owner: Connector,
    idle: Mutex<Vec<Session>>,
    session_permits: Arc<Semaphore>,
    /// When an export or an import last failed.
    failed_at: Mutex<Option<Instant>>,
}

/// A snapshot that other sessions can import for as long as this exists.
pub(crate) struct ExportedSnapshot {
    session: Session,
    exporter: Arc<ExporterInner>,
    pub(crate) id: String,
    _permit: OwnedSemaphorePermit,
}

impl SnapshotExporter {
    pub(crate) fn new(owner: Connector) -> Self {
        Self(Some(Arc::new(ExporterInner {
            owner: owner.named("metricd snapshot"),
            idle: Mutex::default(),
            session_permits: Arc::new(Semaphore::new(MAX_SESSIONS)),
            failed_at: Mutex::default(),
        })))
    }

    /// A snapshot of the data as of now; `None` if none can be exported.
    pub(crate) async fn export(&self) -> Option<ExportedSnapshot> {
        let exporter = self.0.clone()?;
        if locked(&exporter.failed_at).is_some_and(|failed_at| failed_at.elapsed() < RETRY_BACKOFF) {
            return None;
        }
        let too_slow = |_| SessionError::Lost("PostgreSQL took too long to answer".to_owned());
        let outcome = timeout(CONNECT_TIMEOUT, Self::export_with(&exporter)).await.map_err(too_slow);
        match outcome.and_then(|outcome| outcome) {
            Ok((session, id, permit)) => Some(ExportedSnapshot { session, exporter, id, _permit: permit }),
            Err(error) => {
                self.back_off(&error);
                None
            }
        }
    }

    /// Stops exporting for [`RETRY_BACKOFF`], because exporting or importing has failed.
    pub(crate) fn back_off(&self, error: &SessionError) {
        log::warn!("no snapshot can be shared, so that metrics are run one after the other: {error:?}");
        if let Some(exporter) = &self.0 {
            *locked(&exporter.failed_at) = Some(Instant::now());
        }
    }

    async fn export_with(exporter: &ExporterInner) -> Result<(Session, String, OwnedSemaphorePermit), SessionError> {
        let closed = |_| SessionError::Lost("the exporter is closed".to_owned());
        let permit = Arc::clone(&exporter.session_permits).acquire_owned().await.map_err(closed)?;
        loop {
            let idle = locked(&exporter.idle).pop();
            let is_new = idle.is_none();
            let mut session = match idle {
                Some(session) => session,
                None => Session::open(&exporter.owner).await?,
            };
            match export(&mut session).await {
                Ok(id) => return Ok((session, id, permit)),
                // The session has ended since it was last used, as after a restart of the database.
                Err(SessionError::Lost(_)) if !is_new => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl ExportedSnapshot {
    /// Ends the export. Sessions that have imported the snapshot keep it.
    pub(crate) async fn release(self) {
        let Self { mut session, exporter, .. } = self;
        if session.send_simple("ROLLBACK").is_ok()
            && matches!(timeout(CONNECT_TIMEOUT, session.drain()).await, Ok(Ok(())))
        {
            locked(&exporter.idle).push(session);
        }
    }
}

async fn export(session: &mut Session) -> Result<String, SessionError> {
    session.send_simple(EXPORT_SNAPSHOT_SQL)?;
    let mut id = String::new();
    while session.next(MAX_ID_BYTES).await? != Response::End {
        let field = session.fields().next().flatten().unwrap_or_default();
        id = String::from_utf8_lossy(field).into_owned();
    }
    // The identifier is interpolated into a statement.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(SessionError::Lost(format!("not a snapshot identifier: `{id}`")));
    }
    Ok(id)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
