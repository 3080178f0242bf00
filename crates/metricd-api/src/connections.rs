//! Connections that stay open between requests, and how long they may.
//!
//! The web server counts the time in which a head arrives on a connection's first request alone; afterwards each byte of the
//! next head takes its limit of idleness away, and so does a body that nobody reads. So a client could hold a connection for
//! ever by sending a byte now and then. Here the time since the last answer is counted, whatever comes meanwhile.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Extensions, ServiceResponse};
use actix_web::web::Bytes;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked for connections whose time is over; more often where they have less.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How much of an answer is handed to the web server at once, so that one which is taken slowly is under way until it is
/// nearly sent.
const PIECE_BYTES: usize = 64 << 10;

thread_local! {
    /// The connections of this thread, for as long as one of them is open.
    static OPEN: RefCell<Vec<Weak<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// A connection, for as long as the web server has it.
struct Connection {
    /// The same socket once more, to end it with.
    socket: Socket,
    /// How many requests have arrived whose answers are not sent.
    under_way: Cell<usize>,
    /// Since when there is none.
    idle_since: Cell<Instant>,
    max_idle: Duration,
}

/// A request that has arrived, until its answer is sent.
pub(crate) struct UnderWay(Rc<Connection>);

/// Has the connection ended when nothing has been answered on it for that long, from now on or from its last answer.
pub(crate) fn watch(connection: &dyn Any, data: &mut Extensions, max_idle: Duration) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    let socket = match SockRef::from(stream).try_clone() {
        Ok(socket) => socket,
        Err(error) => {
            log::warn!("a connection is not watched, so that its client may hold it: {error}");
            return;
        }
    };
    let (under_way, idle_since) = (Cell::new(0), Cell::new(Instant::now()));
    let connection = Rc::new(Connection { socket, under_way, idle_since, max_idle });
    let is_first = OPEN.with_borrow_mut(|open| {
        open.push(Rc::downgrade(&connection));
        open.len() == 1
    });
    data.insert(connection);
    if is_first {
        actix_web::rt::spawn(sweep(SWEEP_INTERVAL.min(max_idle / 4)));
    }
}

/// Looks after the thread's connections until none is left.
async fn sweep(every: Duration) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let is_empty = OPEN.with_borrow_mut(|open| {
            open.retain(|connection| connection.upgrade().is_some_and(|connection| !connection.end_if_idle()));
            open.is_empty()
        });
        if is_empty {
            return;
        }
    }
}

impl Connection {
    /// Ends the connection where its time is over, and says whether it was.
    fn end_if_idle(&self) -> bool {
        let is_over = self.under_way.get() == 0 && self.idle_since.get().elapsed() > self.max_idle;
        if is_over && let Err(error) = self.socket.shutdown(Shutdown::Both) {
            log::debug!("a connection had ended before it was to: {error}");
        }
        is_over
    }
}

/// Notes that a request has arrived, on the connection whose data these are.
pub(crate) fn begin(request: &actix_web::dev::ServiceRequest) -> Option<UnderWay> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    connection.under_way.set(connection.under_way.get() + 1);
    Some(UnderWay(Rc::clone(connection)))
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}

impl UnderWay {
    /// The response, which ends the request when its body has been handed to the web server, or is given up.
    pub(crate) fn until_sent(self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        response.map_body(|_, body| match body.try_into_bytes() {
            Ok(bytes) if bytes.len() <= PIECE_BYTES => BoxBody::new(bytes),
            Ok(bytes) => BoxBody::new(Pieces { bytes, _under_way: self }),
            Err(body) => BoxBody::new(Guarded { body, _under_way: self }),
        })
    }
}

/// A body in pieces.
struct Pieces {
    bytes: Bytes,
    _under_way: UnderWay,
}

impl MessageBody for Pieces {
    type Error = std::convert::Infallible;

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
