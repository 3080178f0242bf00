//! The header `Metricd-Snapshot`, which says that the rows of a result are not of one snapshot.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use metricd_domain::Contract;
use metricd_execution::{ChosenServer, RemoteRelations, RunError, SnapshotScope};
use tokio::time::timeout;

use crate::refreshed::Refreshed;
use crate::{ApiState, Problem};

/// How long reading the relations may take, so that a server that hangs delays no request to another one for long.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

const METRICD_SNAPSHOT: HeaderName = HeaderName::from_static("metricd-snapshot");

/// Knows which relations have rows that other servers have, and reads them again every few seconds.
#[derive(Debug, Default)]
pub struct SnapshotScopes(Refreshed<RemoteRelations>);

impl ApiState {
    /// The widest scope of SQL with these contracts. The response will name it. The relations are read on the server that
    /// runs the SQL; while that fails, those of the last time are used.
    ///
    /// # Errors
    ///
    /// 503 if they could not be read yet.
    pub(crate) async fn snapshot_scope<'a>(
        &self,
        request: &HttpRequest,
        server: &ChosenServer,
        contracts: impl IntoIterator<Item = Option<&'a Contract>>,
    ) -> Result<SnapshotScope, Problem> {
        let read = async || {
            let read = timeout(READ_TIMEOUT, server.runner.remote_relations()).await;
            read.unwrap_or(Err(RunError::TimedOut { limit: READ_TIMEOUT }))
        };
        let SnapshotScopes(scopes) = &*self.snapshot_scopes;
        let remote = match scopes.get(|_| true, read).await {
            Ok(remote) => remote,
            Err(error) => scopes.stale().ok_or(error)?,
        };
        let scope = contracts.into_iter().map(|contract| remote.scope_of(contract)).max().unwrap_or_default();
        if scope != SnapshotScope::Database {
            request.extensions_mut().insert(scope);
        }
        Ok(scope)
    }
}

/// The header of the response to the request. Absent if all rows are of one snapshot.
pub(crate) fn header(request: &HttpRequest) -> Option<(HeaderName, HeaderValue)> {
    let value = match request.extensions().get::<SnapshotScope>()? {
        SnapshotScope::Database => return None,
        SnapshotScope::PerServer => "per-server",
        SnapshotScope::None => "none",
    };
    Some((METRICD_SNAPSHOT, HeaderValue::from_static(value)))
}
