//! The stream of a connection, as the web server reads and writes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Connection;
use super::gate::Gate;
use super::registry::Registry;

/// How many bytes of further requests are read ahead while one is in flight. Reading ahead detects that the client has
/// closed the connection.
const MAX_READ_AHEAD_BYTES: usize = 16 << 10;

/// A stream that records progress and passes one request at a time.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    registry: Arc<Registry>,
    gate: Gate,
    /// The bytes of further requests.
    held: BytesMut,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, registry: Arc<Registry>) -> Self {
        Self { stream, connection, registry, gate: Gate::default(), held: BytesMut::new() }
    }

    /// The connection's data for its requests.
    pub(crate) fn data(&self) -> super::response::ConnectionData {
        super::response::ConnectionData {
            connection: Arc::clone(&self.connection),
            registry: Arc::clone(&self.registry),
        }
    }

    /// Fails if the connection was closed by the registry. Registers the task to be woken if that happens later.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.connection.task.register(context.waker());
        if self.connection.is_closed() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    /// Reads ahead while the gate is closed. Ready when the client has closed the connection.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < MAX_READ_AHEAD_BYTES {
            let room = MAX_READ_AHEAD_BYTES - self.held.len();
            let mut piece = [0; 4 << 10];
            let mut piece = ReadBuf::new(piece.get_mut(..room.min(4 << 10)).unwrap_or_default());
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(piece.filled());
            self.connection.set_waiting(true);
        }
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(context)?;
        if !this.gate.is_open(&this.connection) {
            return this.poll_held(context);
        }
        let answered = this.connection.answered();
        if this.held.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            let passed = this.gate.pass(read, answered);
            this.held.extend_from_slice(read.get(passed..).unwrap_or_default());
            buffer.set_filled(before + passed);
        } else {
            let count = this.held.len().min(buffer.remaining());
            let next = this.held.get(..count).unwrap_or_default();
            let passed = this.gate.pass(next, answered);
            buffer.put_slice(next.get(..passed).unwrap_or_default());
            this.held.advance(passed);
        }
        this.connection.set_waiting(!this.held.is_empty());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(context)?;
        match Pin::new(&mut this.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => {
                this.connection.record_written(count);
                Poll::Ready(Ok(count))
            }
            Poll::Pending => {
                this.connection.mark_blocked();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.registry.remove(&self.connection);
    }
}
