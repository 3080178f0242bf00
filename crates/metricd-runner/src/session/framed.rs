//! Frames PostgreSQL's messages on a session's socket, in both directions.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use metricd_connection::Socket;
use postgres_protocol::message::backend::{
    DATA_ROW_TAG, ERROR_RESPONSE_TAG, Header, PARAMETER_DESCRIPTION_TAG, ROW_DESCRIPTION_TAG,
};
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt;

use crate::timing::Stopwatch;

/// The size of a read. PostgreSQL sends chunks of 8 KiB.
const CHUNK_BYTES: usize = 64 << 10;

/// A larger buffer is released at the end of a response.
const MAX_RETAINED_BUFFER: usize = 1 << 20;

/// How much is buffered of a message that may quote a whole value, as an error may.
const MAX_ERROR_BYTES: usize = 4 << 10;

/// The tag and the length of a message.
const HEADER_BYTES: usize = 5;

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message with this tag; its body is in [`Framed::body`].
    Message(u8),
    /// A row larger than the given maximum. It is skipped.
    OversizedRow,
}

pub(super) struct Framed {
    socket: Box<dyn Socket>,
    unsent: BytesMut,
    /// The received bytes, beginning with the current message.
    received: BytesMut,
    /// How many bytes of the current message are buffered.
    held: usize,
    /// How many of the following bytes to skip.
    skipped: usize,
    /// The largest number of buffered bytes of a message since the buffer was last released.
    largest: usize,
    /// Pauses while the session waits for the socket.
    pub(super) encoding: Stopwatch,
}

impl Framed {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        let (unsent, received) = (BytesMut::new(), BytesMut::new());
        Self { socket, unsent, received, held: 0, skipped: 0, largest: 0, encoding: Stopwatch::default() }
    }

    /// Queues messages, which are sent with the next read. If encoding fails, none of them is sent.
    pub(super) fn write<E>(&mut self, messages: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let before = self.unsent.len();
        let written = messages(&mut self.unsent);
        if written.is_err() {
            self.unsent.truncate(before);
        }
        written
    }

    /// The next message. An error or a notice is truncated to [`MAX_ERROR_BYTES`].
    ///
    /// # Errors
    ///
    /// If the connection has ended, or the bytes are not in PostgreSQL's protocol.
    pub(super) async fn next(&mut self, max_row_bytes: usize) -> io::Result<Frame> {
        self.received.advance(std::mem::take(&mut self.held));
        loop {
            let skipped = self.skipped.min(self.received.len());
            self.received.advance(skipped);
            self.skipped -= skipped;
            if self.skipped == 0
                && let Some(header) = Header::parse(&self.received)?
            {
                let size_bytes = usize::try_from(header.len()).unwrap_or_default() + 1;
                let held = match header.tag() {
                    DATA_ROW_TAG if size_bytes > max_row_bytes => {
                        self.skipped = size_bytes;
                        return Ok(Frame::OversizedRow);
                    }
                    DATA_ROW_TAG | ROW_DESCRIPTION_TAG | PARAMETER_DESCRIPTION_TAG => size_bytes,
                    _ => size_bytes.min(MAX_ERROR_BYTES),
                };
                self.largest = self.largest.max(held);
                if self.received.len() >= held {
                    (self.held, self.skipped) = (held, size_bytes - held);
                    return Ok(Frame::Message(header.tag()));
                }
            }
            self.exchange().await?;
        }
    }

    /// The body of the current message.
    pub(super) fn body(&self) -> &[u8] {
        self.received.get(HEADER_BYTES..self.held).unwrap_or_default()
    }

    /// Releases the memory that a large response has needed.
    pub(super) fn shrink(&mut self) {
        if std::mem::take(&mut self.largest) > MAX_RETAINED_BUFFER {
            self.received = BytesMut::from(&self.received[..]);
        }
    }

    /// Whether PostgreSQL has closed the session. Call it only while no response is pending: PostgreSQL may still
    /// report a changed setting, but sends an error only before it closes the session.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match pin!(self.socket.read_buf(&mut self.received)).poll(&mut context) {
                Poll::Pending => return self.received.get(self.held) == Some(&ERROR_RESPONSE_TAG),
                Poll::Ready(Ok(0) | Err(_)) => return true,
                Poll::Ready(Ok(_)) => {}
            }
        }
    }

    /// Sends Terminate if that does not block, so that PostgreSQL does not log a lost connection.
    pub(super) fn terminate(&mut self) {
        if self.unsent.is_empty() {
            frontend::terminate(&mut self.unsent);
            let mut context = Context::from_waker(Waker::noop());
            drop(Pin::new(&mut *self.socket).poll_write(&mut context, &self.unsent));
            drop(Pin::new(&mut *self.socket).poll_flush(&mut context));
        }
    }

    /// Sends queued messages and waits for more bytes, both at once: PostgreSQL may not read on until its own
    /// responses are read.
    async fn exchange(&mut self) -> io::Result<()> {
        let is_encoding = self.encoding.pause();
        let Self { socket, unsent, received, .. } = self;
        received.reserve(CHUNK_BYTES);
        let exchanged = poll_fn(|context| {
            while !unsent.is_empty() {
                match Pin::new(&mut **socket).poll_write(context, unsent) {
                    Poll::Ready(Ok(count)) if count > 0 => unsent.advance(count),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            // A socket with TLS buffers what the network does not take yet, and reading does not send it.
            if let Poll::Ready(Err(error)) = Pin::new(&mut **socket).poll_flush(context) {
                return Poll::Ready(Err(error));
            }
            pin!(socket.read_buf(received)).poll(context)
        });
        let count = match exchanged.await {
            // TLS reports a server that ends without a notice of closure, as one that is killed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            count => count?,
        };
        if is_encoding {
            self.encoding.resume();
        }
        match count {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "PostgreSQL has closed the connection")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postgres_protocol::message::backend::READY_FOR_QUERY_TAG;
    use tokio::io::{AsyncWriteExt, BufWriter, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;

    fn framed() -> (Framed, DuplexStream) {
        let (near, far) = duplex(8 << 10);
        (Framed::new(Box::new(near)), far)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let size_bytes = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &size_bytes.to_be_bytes(), body].concat()
    }

    /// Sends the bytes in pieces of this size, then closes.
    async fn send(mut far: DuplexStream, bytes: Vec<u8>, piece_bytes: usize) {
        for piece in bytes.chunks(piece_bytes) {
            far.write_all(piece).await.unwrap();
            far.flush().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_message_may_arrive_in_any_pieces() {
        let sent = [message(DATA_ROW_TAG, b"one"), message(READY_FOR_QUERY_TAG, b"I")].concat();
        for piece_bytes in 1..=sent.len() {
            let (mut framed, far) = framed();
            let sending = tokio::spawn(send(far, sent.clone(), piece_bytes));
            assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(DATA_ROW_TAG));
            assert_eq!(framed.body(), b"one");
            assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
            assert_eq!(framed.body(), b"I");
            sending.await.unwrap();
            assert_eq!(framed.next(usize::MAX).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn neither_an_oversized_row_nor_a_long_error_is_buffered() {
        const LARGE: usize = 32 << 20;
        let (mut framed, far) = framed();
        let error = [b"MX".as_slice(), &vec![b'x'; LARGE]].concat();
        let sent = [
            message(DATA_ROW_TAG, &vec![0; LARGE]),
            message(ERROR_RESPONSE_TAG, &error),
            message(READY_FOR_QUERY_TAG, b"I"),
        ];
        let sending = tokio::spawn(send(far, sent.concat(), 1 << 20));
        let mut most_bytes = 0;
        for expected in [Frame::OversizedRow, Frame::Message(ERROR_RESPONSE_TAG), Frame::Message(READY_FOR_QUERY_TAG)] {
            assert_eq!(framed.next(1_000).await.unwrap(), expected);
            most_bytes = most_bytes.max(framed.received.capacity());
            assert!(framed.body().len() <= MAX_ERROR_BYTES);
        }
        assert!(most_bytes <= 4 * CHUNK_BYTES, "{most_bytes}");
        assert_eq!(framed.body(), b"I");
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn releases_the_memory_of_a_large_row() {
        let (mut framed, far) = framed();
        let sent = [message(DATA_ROW_TAG, &vec![0; 8 << 20]), message(READY_FOR_QUERY_TAG, b"I")];
        let sending = tokio::spawn(send(far, sent.concat(), 1 << 20));
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(DATA_ROW_TAG));
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
        framed.shrink();
        assert_eq!(framed.body(), b"I");
        assert!(framed.received.capacity() <= MAX_RETAINED_BUFFER);
        assert!(!framed.received.try_reclaim(MAX_RETAINED_BUFFER), "the buffer is retained behind the current message");
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_buffers_sends_the_whole_request() {
        const REQUEST: usize = 32 << 10;
        let (near, mut far) = duplex(4 << 10);
        let mut framed = Framed::new(Box::new(BufWriter::with_capacity(8 << 10, near)));
        framed
            .write(|unsent| {
                unsent.resize(REQUEST, 0);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        let server = tokio::spawn(async move {
            far.read_exact(&mut vec![0; REQUEST]).await.unwrap();
            far.write_all(&message(READY_FOR_QUERY_TAG, b"I")).await.unwrap();
            far
        });
        let response = timeout(Duration::from_secs(5), framed.next(usize::MAX)).await;
        assert_eq!(response.expect("the request is stuck in the socket").unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
        let mut far = server.await.unwrap();
        framed.terminate();
        let mut terminate = [0; 5];
        timeout(Duration::from_secs(5), far.read_exact(&mut terminate)).await.unwrap().unwrap();
        assert_eq!(terminate, [b'X', 0, 0, 0, 4]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_message_are_an_error() {
        let (mut framed, far) = framed();
        let sending = tokio::spawn(send(far, b"HTTP\0\0\0\x03 nonsense".to_vec(), 100));
        assert!(framed.next(usize::MAX).await.is_err());
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn detects_a_closed_session() {
        let (mut framed, mut far) = framed();
        far.write_all(&message(READY_FOR_QUERY_TAG, b"I")).await.unwrap();
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
        assert!(!framed.is_closed());
        far.write_all(&message(b'S', b"TimeZone\0UTC\0")).await.unwrap();
        assert!(!framed.is_closed());
        drop(far);
        assert!(framed.is_closed());

        let (mut framed, mut far) = self::framed();
        far.write_all(&message(READY_FOR_QUERY_TAG, b"I")).await.unwrap();
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
        far.write_all(&message(ERROR_RESPONSE_TAG, b"SFATAL\0")).await.unwrap();
        assert!(framed.is_closed());
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_encoded_is_not_sent() {
        let (mut framed, mut far) = framed();
        framed.write(|unsent| frontend::query("SELECT 1", unsent)).unwrap();
        let refused = framed.write(|unsent| {
            frontend::sync(unsent);
            frontend::query("with a \0 in it", unsent)
        });
        assert!(refused.is_err());
        let mut expected = BytesMut::new();
        frontend::query("SELECT 1", &mut expected).unwrap();
        assert_eq!(framed.unsent, expected);
        far.write_all(&message(READY_FOR_QUERY_TAG, b"I")).await.unwrap();
        framed.next(usize::MAX).await.unwrap();
        let mut sent = vec![0; expected.len()];
        far.read_exact(&mut sent).await.unwrap();
        assert_eq!(sent, expected);
    }
}
