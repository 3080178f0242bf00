//! Tracks requests and their responses on a connection.

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

/// The chunk size of a buffered body. The request stays in flight until the last chunk is handed to the web server, so
/// a slowly read response counts until it is nearly sent.
const WRITE_CHUNK_BYTES: usize = 64 << 10;

/// The connection of a request, stored in the connection's data.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionData {
    pub(super) connection: Arc<Connection>,
    pub(super) registry: Arc<Registry>,
}

/// Marks a response, in the extensions of its request, whose body is static and uses no memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StaticBody;

/// A request that is in flight until its response is sent.
pub(crate) struct InFlightRequest(ConnectionData);

/// A response in flight that the client must read at the minimum rate. Releases its memory on drop.
pub(crate) struct PacedResponse {
    of: ConnectionData,
    caller: u64,
    unread_bytes: usize,
}

impl ConnectionData {
    /// The connection that the request arrived on.
    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// Requires the client to read the rest of its response at the minimum rate.
    pub(crate) fn paced(self) -> PacedResponse {
        self.paced_for(0, 0)
    }

    /// As [`Self::paced`], for a response of the caller with this many bytes in memory.
    fn paced_for(self, caller: u64, unread_bytes: usize) -> PacedResponse {
        self.connection.begin_paced(caller, unread_bytes);
        PacedResponse { of: self, caller, unread_bytes }
    }
}

/// Counts a request as in flight on its connection.
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
        self.of.connection.end_paced(self.unread_bytes);
        if self.unread_bytes > 0 {
            self.of.registry.release(self.caller, self.unread_bytes);
        }
    }
}

/// The memory reserved for a response until it is sent.
pub(crate) struct Reservation {
    _response: Option<PacedResponse>,
}

impl InFlightRequest {
    /// Reserves memory for the response, unless unread responses leave none. A streamed body reserves none; its
    /// producer limits how long it takes, and calls [`ConnectionData::paced`] for the rest when it is done.
    pub(crate) fn reserve(
        &self,
        response: &ServiceResponse<BoxBody>,
        caller: impl FnOnce() -> u64,
    ) -> Result<Reservation, ResponseMemoryFull> {
        let BodySize::Sized(size_bytes) = response.response().body().size() else {
            return Ok(Reservation { _response: None });
        };
        let is_static = response.request().extensions().contains::<StaticBody>();
        let is_buffered = !is_static && size_bytes > WRITE_CHUNK_BYTES as u64;
        let unread_bytes = if is_buffered { usize::try_from(size_bytes).unwrap_or(usize::MAX) } else { 0 };
        let caller = if is_buffered { caller() } else { 0 };
        if is_buffered {
            self.0.registry.reserve(caller, unread_bytes)?;
        }
        Ok(Reservation { _response: Some(self.0.clone().paced_for(caller, unread_bytes)) })
    }

    /// The response, whose body ends the request when it is sent or dropped.
    pub(crate) fn attach(
        self,
        response: ServiceResponse<BoxBody>,
        reservation: Reservation,
    ) -> ServiceResponse<BoxBody> {
        response.map_body(|_, body| match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= WRITE_CHUNK_BYTES => BoxBody::new(bytes),
            Ok(bytes) => BoxBody::new(ChunkedBody { bytes, _reservation: reservation, _in_flight: self }),
            Err(body) => BoxBody::new(StreamedBody { body, _reservation: reservation, _in_flight: self }),
        })
    }
}

/// A buffered body, sent in chunks.
struct ChunkedBody {
    bytes: Bytes,
    _reservation: Reservation,
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

/// A streamed body.
struct StreamedBody {
    body: BoxBody,
    _reservation: Reservation,
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
