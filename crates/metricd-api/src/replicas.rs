//! The headers about replicas: `Metricd-After` asks for a server that shows an earlier change, `Metricd-LSN` names the
//! position of a change, and `Metricd-Lag` says how old the data of a result may be.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use metricd_execution::{ChosenServer, LogPosition};
use utoipa::IntoParams;

use crate::{ApiState, FieldError, Problem, ProblemCode};

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
    /// The header of the request.
    ///
    /// # Errors
    ///
    /// 422 if it is not a position.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let mut values = request.headers().get_all(METRICD_AFTER);
        let Some(value) = values.next() else { return Ok(Self { after: None }) };
        let position = value.to_str().unwrap_or_default().parse::<LogPosition>();
        let position = position.map_err(|error| error.to_string());
        let only = position.and_then(|position| match values.next() {
            None => Ok(position),
            Some(_) => Err("expected the header once".to_owned()),
        });
        Ok(Self { after: Some(only.map_err(invalid)?) })
    }
}

fn invalid(message: String) -> Problem {
    let error = FieldError { field: "Metricd-After".to_owned(), message };
    Problem::new(ProblemCode::InvalidParameters).with_errors(vec![error])
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
            if after.is_some() {
                let message = "this server gives no positions, because it was not started with --max-replica-lag";
                return Err(invalid(message.to_owned()));
            }
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
