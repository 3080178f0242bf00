//! Requests and answers as a connection counts them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest};

use super::connection::Connection;
use super::registry::{Registry, ResponseMemoryFull};

/// How much of an answer is handed to the web server at once, so that one which is taken slowly is under way until it is
/// nearly sent.
const WRITE_CHUNK_BYTES: usize = 64 << 10;

/// The connection of a request, among the data of the connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionData {
    pub(super) connection: Arc<Connection>,
    pub(super) registry: Arc<Registry>,
}

/// Says of an answer, among the extensions of its request, that its body is a part of the program and takes no memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StaticBody;

/// A request that has arrived, until its answer is sent.
pub(crate) struct InFlightRequest(ConnectionData);

/// An answer that is being sent, until this is dropped. Meanwhile the client has to take it at the least rate.
pub(crate) struct PacedResponse {
    of: ConnectionData,
    caller: u64,
    held_bytes: usize,
}

impl ConnectionData {
    /// The connection that the request has come on.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Has the client take what is left of its answer at the least rate.
    pub(crate) fn sending(self) -> PacedResponse {
        self.holding(0, 0)
    }

    /// The same for an answer to the caller, of which so many bytes are held in memory.
    fn holding(self, caller: u64, held_bytes: usize) -> PacedResponse {
        self.connection.begin_paced(caller, held_bytes);
        PacedResponse { of: self, caller, held_bytes }
    }
}

/// Notes that a request has arrived, on the connection whose data these are.
pub(crate) fn track(request: &ServiceRequest) -> Option<InFlightRequest> {
    let data = request.conn_data::<ConnectionData>()?;
    data.connection.begin_request();
    Some(InFlightRequest(data.clone()))
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.connection.end_request();
    }
}

impl Drop for PacedResponse {
    fn drop(&mut self) {
        self.of.connection.end_paced(self.held_bytes);
        if self.held_bytes > 0 {
            self.of.registry.release(self.caller, self.held_bytes);
        }
    }
}

/// The room that an answer has until it is sent.
pub(crate) struct Reservation {
    _sending: Option<PacedResponse>,
}

impl InFlightRequest {
    /// Takes room for the answer to the caller, unless answers that clients have not taken yet leave none. A body that is made
    /// while it is sent takes none. Whoever makes it limits how long that may take, and has the rest
    /// [sent](ConnectionData::sending) when it is made.
    pub(crate) fn reserve(
        &self,
        response: &ServiceResponse<BoxBody>,
        caller: impl FnOnce() -> u64,
    ) -> Result<Reservation, ResponseMemoryFull> {
        let BodySize::Sized(size_bytes) = response.response().body().size() else {
            return Ok(Reservation { _sending: None });
        };
        let is_static = response.request().extensions().contains::<StaticBody>();
        let is_held = !is_static && size_bytes > WRITE_CHUNK_BYTES as u64;
        let held_bytes = if is_held { usize::try_from(size_bytes).unwrap_or(usize::MAX) } else { 0 };
        let caller = if is_held { caller() } else { 0 };
        if is_held {
            self.0.registry.reserve(caller, held_bytes)?;
        }
        Ok(Reservation { _sending: Some(self.0.clone().holding(caller, held_bytes)) })
    }

    /// The response, which ends the request when its body has been handed to the web server, or is given up.
    pub(crate) fn attach(
        self,
        response: ServiceResponse<BoxBody>,
        reservation: Reservation,
    ) -> ServiceResponse<BoxBody> {
        response.map_body(|_, body| match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= WRITE_CHUNK_BYTES => BoxBody::new(bytes),
            Ok(bytes) => BoxBody::new(ChunkedBody { bytes, _room: reservation, _in_flight: self }),
            Err(body) => BoxBody::new(StreamedBody { body, _room: reservation, _in_flight: self }),
        })
    }
}

/// A body in pieces.
struct ChunkedBody {
    bytes: Bytes,
    _room: Reservation,
    _in_flight: InFlightRequest,
}

impl MessageBody for ChunkedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let bytes = &mut self.get_mut().bytes;
        let chunk = bytes.split_to(bytes.len().min(WRITE_CHUNK_BYTES));
        Poll::Ready((!chunk.is_empty()).then_some(Ok(chunk)))
    }
}

/// A body that comes in its own time.
struct StreamedBody {
    body: BoxBody,
    _room: Reservation,
    _in_flight: InFlightRequest,
}

impl MessageBody for StreamedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
