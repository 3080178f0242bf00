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
use super::registry::{NoRoom, Registry};

/// How much of an answer is handed to the web server at once, so that one which is taken slowly is under way until it is
/// nearly sent.
const PIECE_BYTES: usize = 64 << 10;

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
pub(crate) struct UnderWay(ConnectionData);

/// An answer that is being sent, until this is dropped. Meanwhile the client has to take it at the least rate.
pub(crate) struct Sending {
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
    pub(crate) fn sending(self) -> Sending {
        self.holding(0, 0)
    }

    /// The same for an answer to the caller, of which so many bytes are held in memory.
    fn holding(self, caller: u64, held_bytes: usize) -> Sending {
        self.connection.begin_paced(caller, held_bytes);
        Sending { of: self, caller, held_bytes }
    }
}

/// Notes that a request has arrived, on the connection whose data these are.
pub(crate) fn begin(request: &ServiceRequest) -> Option<UnderWay> {
    let data = request.conn_data::<ConnectionData>()?;
    data.connection.begin_request();
    Some(UnderWay(data.clone()))
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.connection.end_request();
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.of.connection.end_paced(self.held_bytes);
        if self.held_bytes > 0 {
            self.of.registry.release(self.caller, self.held_bytes);
        }
    }
}

/// The room that an answer has until it is sent.
pub(crate) struct Room {
    _sending: Option<Sending>,
}

impl UnderWay {
    /// Takes room for the answer to the caller, unless answers that clients have not taken yet leave none. A body that is made
    /// while it is sent takes none. Whoever makes it limits how long that may take, and has the rest
    /// [sent](ConnectionData::sending) when it is made.
    pub(crate) fn room(
        &self,
        response: &ServiceResponse<BoxBody>,
        caller: impl FnOnce() -> u64,
    ) -> Result<Room, NoRoom> {
        let BodySize::Sized(size_bytes) = response.response().body().size() else {
            return Ok(Room { _sending: None });
        };
        let is_static = response.request().extensions().contains::<StaticBody>();
        let is_held = !is_static && size_bytes > PIECE_BYTES as u64;
        let held_bytes = if is_held { usize::try_from(size_bytes).unwrap_or(usize::MAX) } else { 0 };
        let caller = if is_held { caller() } else { 0 };
        if is_held {
            self.0.registry.hold(caller, held_bytes)?;
        }
        Ok(Room { _sending: Some(self.0.clone().holding(caller, held_bytes)) })
    }

    /// The response, which ends the request when its body has been handed to the web server, or is given up.
    pub(crate) fn until_sent(self, response: ServiceResponse<BoxBody>, room: Room) -> ServiceResponse<BoxBody> {
        response.map_body(|_, body| match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= PIECE_BYTES => BoxBody::new(bytes),
            Ok(bytes) => BoxBody::new(Pieces { bytes, _room: room, _under_way: self }),
            Err(body) => BoxBody::new(Guarded { body, _room: room, _under_way: self }),
        })
    }
}

/// A body in pieces.
struct Pieces {
    bytes: Bytes,
    _room: Room,
    _under_way: UnderWay,
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.bytes.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let bytes = &mut self.get_mut().bytes;
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }
}

/// A body that comes in its own time.
struct Guarded {
    body: BoxBody,
    _room: Room,
    _under_way: UnderWay,
}

impl MessageBody for Guarded {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }
}
