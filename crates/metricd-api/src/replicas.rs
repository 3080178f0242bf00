//! The headers about replicas: `Metricd-After` asks for a server that shows an earlier change, `Metricd-LSN` names the
//! position of a change, and `Metricd-Lag` says how old the data of a result may be.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use metricd_execution::{ChosenServer, LogPosition};
use utoipa::IntoParams;

use crate::extract::query_string::QueryString;
use crate::{ApiState, Problem};

const METRICD_AFTER: HeaderName = HeaderName::from_static("metricd-after");
const METRICD_LAG: HeaderName = HeaderName::from_static("metricd-lag");
const METRICD_LSN: HeaderName = HeaderName::from_static("metricd-lsn");

/// The changes that a result has to show.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct AfterHeader {
    /// The `Metricd-LSN` of an earlier response. The result shows everything that was committed before it. Only for servers
    /// that read from replicas.
    #[param(rename = "Metricd-After", value_type = Option<String>, nullable = false, pattern = "^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")]
    after: Option<LogPosition>,
}

impl AfterHeader {
    /// Takes the header of the request, and records its fault among those of the query string.
    pub(crate) fn take(request: &HttpRequest, state: &ApiState, query: &mut QueryString<'_>) -> Self {
        let mut values = request.headers().get_all(METRICD_AFTER);
        let Some(value) = values.next() else { return Self { after: None } };
        let position = value.to_str().unwrap_or_default().parse::<LogPosition>();
        let position = position.map_err(|error| error.to_string()).and_then(|position| {
            if values.next().is_some() {
                Err("expected the header once".to_owned())
            } else if state.replicas.is_none() {
                Err("this server gives no positions, because it was not started with --max-replica-lag".to_owned())
            } else {
                Ok(position)
            }
        });
        let after = position.map_err(|message| query.error("Metricd-After", message)).ok();
        Self { after }
    }
}

/// What the response says about replicas.
#[derive(Debug, Clone, Copy, Default)]
struct ReplicaHeaders {
    lag: Option<Duration>,
    position: Option<LogPosition>,
}

fn note(request: &HttpRequest, set: impl FnOnce(&mut ReplicaHeaders)) {
    let mut extensions = request.extensions_mut();
    let mut headers = extensions.get::<ReplicaHeaders>().copied().unwrap_or_default();
    set(&mut headers);
    extensions.insert(headers);
}

/// The headers of the response to the request.
pub(crate) fn headers(request: &HttpRequest) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let ReplicaHeaders { lag, position } = request.extensions().get::<ReplicaHeaders>().copied().unwrap_or_default();
    let lag = lag.map(|lag| format!("{}.{:03}", lag.as_secs(), lag.subsec_millis()));
    let texts = [(METRICD_LAG, lag), (METRICD_LSN, position.map(|position| position.to_string()))];
    texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?)))
}

impl ApiState {
    /// Chooses the server that runs the SQL of the request. Without replicas it is the only one.
    ///
    /// # Errors
    ///
    /// 503 if none shows the changes that the request names, or is recent enough, within the time.
    pub(crate) async fn server_for(
        &self,
        request: &HttpRequest,
        AfterHeader { after }: &AfterHeader,
        time: Duration,
    ) -> Result<ChosenServer, Problem> {
        let Some(replicas) = &self.replicas else {
            return Ok(ChosenServer { runner: Arc::clone(&self.runner), number: 0, lag: Duration::ZERO });
        };
        let chosen = replicas.choose(*after, time).await?;
        note(request, |headers| headers.lag = Some(chosen.lag));
        Ok(chosen)
    }

    /// Notes the position of what the request has changed.
    pub(crate) async fn note_position(&self, request: &HttpRequest) {
        if let Some(replicas) = &self.replicas {
            let position = replicas.position().await;
            note(request, |headers| headers.position = position);
        }
    }
}
