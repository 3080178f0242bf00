//! The two directions of a session's socket: messages of PostgreSQL's protocol.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::{
    DATA_ROW_TAG, ERROR_RESPONSE_TAG, Header, PARAMETER_DESCRIPTION_TAG, ROW_DESCRIPTION_TAG,
};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::timing::Stopwatch;

/// How much is read at once. PostgreSQL sends pieces of 8 KiB.
const CHUNK_BYTES: usize = 64 << 10;

/// Memory past this is given back when there is nothing more to come.
const MAX_RETAINED_BUFFER: usize = 1 << 20;

/// How much is held of a message that may hold a whole value in its words, as an error's does.
const MAX_ERROR_BYTES: usize = 4 << 10;

/// The tag of a message and its length precede what it says.
const HEADER_BYTES: usize = 5;

/// What messages go through.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message with this tag: [`Wire::body`].
    Message(u8),
    /// A row of more bytes than were asked for. It is passed over.
    OversizedRow,
}

pub(super) struct Framed {
    socket: Box<dyn Socket>,
    unsent: BytesMut,
    /// What has come, with the message that is looked at in front.
    received: BytesMut,
    /// How much is held of that message.
    held: usize,
    /// How much of what follows is not looked at.
    skipped: usize,
    /// The most that was to be held of a message since memory was last given back.
    largest: usize,
    /// Stands still while something is waited for.
    pub(super) encoding: Stopwatch,
}

impl Framed {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        let (unsent, received) = (BytesMut::new(), BytesMut::new());
        Self { socket, unsent, received, held: 0, skipped: 0, largest: 0, encoding: Stopwatch::default() }
    }

    /// Writes messages, which are sent while something is waited for. Of messages that cannot be written, nothing is sent.
    pub(super) fn write<E>(&mut self, messages: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<(), E> {
        let before = self.unsent.len();
        let written = messages(&mut self.unsent);
        if written.is_err() {
            self.unsent.truncate(before);
        }
        written
    }

    /// The next message. An error or a notice is cut after [`CUT_BYTES`].
    ///
    /// # Errors
    ///
    /// Where the connection has ended, or what comes is not PostgreSQL's protocol.
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

    /// What the message says that has come last.
    pub(super) fn body(&self) -> &[u8] {
        self.received.get(HEADER_BYTES..self.held).unwrap_or_default()
    }

    /// Gives memory back that an answer has needed.
    pub(super) fn shrink(&mut self) {
        if std::mem::take(&mut self.largest) > MAX_RETAINED_BUFFER {
            self.received = BytesMut::from(&self.received[..]);
        }
    }

    /// Whether PostgreSQL has ended the session. Only to be asked when nothing is to come: PostgreSQL may still tell of a
    /// setting that has changed, but of an error only when it closes the session.
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

    /// Says goodbye where that takes no waiting, so that PostgreSQL has nothing to wonder about.
    pub(super) fn terminate(&mut self) {
        if self.unsent.is_empty() {
            frontend::terminate(&mut self.unsent);
            let mut context = Context::from_waker(Waker::noop());
            drop(Pin::new(&mut *self.socket).poll_write(&mut context, &self.unsent));
        }
    }

    /// Sends what is to be sent, and waits until more has come. Both at once, since PostgreSQL may not read on before its
    /// own answers are read.
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
            pin!(socket.read_buf(received)).poll(context)
        });
        let count = exchanged.await?;
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
    use postgres_protocol::message::backend::READY_FOR_QUERY_TAG;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn framed() -> (Framed, DuplexStream) {
        let (near, far) = duplex(8 << 10);
        (Framed::new(Box::new(near)), far)
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let size_bytes = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &size_bytes.to_be_bytes(), body].concat()
    }

    /// Sends all of it in pieces of that size, and then nothing more.
    async fn send(mut far: DuplexStream, bytes: Vec<u8>, piece_bytes: usize) {
        for piece in bytes.chunks(piece_bytes) {
            far.write_all(piece).await.unwrap();
            far.flush().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_message_may_come_in_any_pieces() {
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
    async fn neither_a_row_that_is_too_large_nor_a_long_error_is_held() {
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
    async fn gives_back_the_memory_of_a_large_row() {
        let (mut framed, far) = framed();
        let sent = [message(DATA_ROW_TAG, &vec![0; 8 << 20]), message(READY_FOR_QUERY_TAG, b"I")];
        let sending = tokio::spawn(send(far, sent.concat(), 1 << 20));
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(DATA_ROW_TAG));
        assert_eq!(framed.next(usize::MAX).await.unwrap(), Frame::Message(READY_FOR_QUERY_TAG));
        framed.shrink();
        assert_eq!(framed.body(), b"I");
        assert!(framed.received.capacity() <= MAX_RETAINED_BUFFER);
        assert!(!framed.received.try_reclaim(MAX_RETAINED_BUFFER), "the memory is kept behind what is looked at");
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let (mut framed, far) = framed();
        let sending = tokio::spawn(send(far, b"HTTP\0\0\0\x03 nonsense".to_vec(), 100));
        assert!(framed.next(usize::MAX).await.is_err());
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn notices_that_the_session_is_closed() {
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
    async fn of_messages_that_cannot_be_written_nothing_is_sent() {
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
