//! The stream on which the driver logs in.

use std::future::{self, Ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::error::Sentence;

/// The tags of messages.
const AUTHENTICATION: u8 = b'R';
const READY_FOR_QUERY: u8 = b'Z';

/// The codes of authentication messages.
const AUTHENTICATED: u8 = 0;
const PASSWORD_REQUEST: u8 = 3;

/// The size of the tag and the length of a message, and of those with the code of an authentication message.
const HEADER_BYTES: usize = 5;
const AUTHENTICATION_BYTES: usize = 9;

/// A socket that watches the login: it refuses the server's request for a password as it is, if that may not be sent,
/// and keeps what the server sends from the confirmation of the login to the first `ReadyForQuery`.
#[derive(Debug)]
pub struct LoginStream<S> {
    socket: S,
    /// The hash of the server's certificate, to which the login is bound.
    end_point_hash: Option<Vec<u8>>,
    may_send_password: bool,
    header: Vec<u8>,
    /// How many bytes of the current message are still to come.
    pending: usize,
    tag: u8,
    is_authenticated: bool,
    is_ready: bool,
    greeting: Vec<u8>,
}

impl<S> LoginStream<S> {
    pub(crate) fn new(socket: S, end_point_hash: Option<Vec<u8>>, may_send_password: bool) -> Self {
        Self {
            socket,
            end_point_hash,
            may_send_password,
            header: Vec::new(),
            pending: 0,
            tag: 0,
            is_authenticated: false,
            is_ready: false,
            greeting: Vec::new(),
        }
    }

    /// The socket, and what the server has sent from the confirmation of the login to the first `ReadyForQuery`.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.socket, self.greeting)
    }

    /// Follows the messages through any pieces in which they arrive.
    fn observe(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            if self.is_ready {
                return Ok(());
            }
            if self.is_authenticated {
                self.greeting.push(byte);
            }
            if self.pending > 0 {
                self.pending -= 1;
                self.is_ready = self.pending == 0 && self.tag == READY_FOR_QUERY;
                continue;
            }
            self.header.push(byte);
            self.read_header()?;
        }
        Ok(())
    }

    fn read_header(&mut self) -> io::Result<()> {
        let &[tag, l0, l1, l2, l3, ref code @ ..] = self.header.as_slice() else { return Ok(()) };
        let size = if tag == AUTHENTICATION && !self.is_authenticated { AUTHENTICATION_BYTES } else { HEADER_BYTES };
        if self.header.len() < size {
            return Ok(());
        }
        match code {
            [0, 0, 0, PASSWORD_REQUEST] if !self.may_send_password => {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, Sentence(PASSWORD_IN_THE_CLEAR)));
            }
            [0, 0, 0, AUTHENTICATED] => {
                self.is_authenticated = true;
                self.greeting.clone_from(&self.header);
            }
            _ => {}
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        self.pending = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1).saturating_sub(size);
        self.tag = tag;
        self.header.clear();
        Ok(())
    }
}

const PASSWORD_IN_THE_CLEAR: &str = "the server asks for the password as it is, on a connection without TLS: set `ssl = on` and use `sslmode=verify-full`, set the server's method to `scram-sha-256`, or write `sslmode=disable` if you trust the network";

impl<S: AsyncRead + Unpin> AsyncRead for LoginStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        if self.is_ready {
            return Poll::Ready(Ok(()));
        }
        let observed = self.observe(buffer.filled().get(before..).unwrap_or_default());
        if observed.is_err() {
            buffer.set_filled(before);
        }
        Poll::Ready(observed)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LoginStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Tells the driver that TLS runs already on the stream. The driver must be set to TLS without negotiation.
pub(crate) struct Established;

impl<S: TlsStream + Unpin> TlsConnect<S> for Established {
    type Stream = S;
    type Error = io::Error;
    type Future = Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        future::ready(Ok(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for LoginStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.end_point_hash.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for &mut LoginStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        (**self).channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server sends: a notice, a request or the confirmation, parameters, `ReadyForQuery`.
    fn login(code: u8) -> Vec<u8> {
        let notice = b"N\0\0\0\x0dMR\0\0\0\x08\0\0\0\x03";
        let rest = b"S\0\0\0\x0aa\0R\0\x03\0Z\0\0\0\x05IS\0\0\0";
        [&notice[..14], &[AUTHENTICATION, 0, 0, 0, 8, 0, 0, 0, code], rest].concat()
    }

    #[test]
    fn follows_the_messages_in_any_pieces() {
        for piece_bytes in 1..=login(0).len() {
            let observe = |may_send_password, code| {
                let mut stream = LoginStream::new((), None, may_send_password);
                let bytes = login(code);
                bytes.chunks(piece_bytes).try_for_each(|piece| stream.observe(piece)).map(|()| stream)
            };
            let refused = observe(false, PASSWORD_REQUEST).unwrap_err();
            assert!(refused.to_string().contains("sslmode=disable"), "{refused}");
            assert!(observe(true, PASSWORD_REQUEST).is_ok());
            let greeting = observe(false, AUTHENTICATED).unwrap().greeting;
            assert_eq!(greeting, b"R\0\0\0\x08\0\0\0\0S\0\0\0\x0aa\0R\0\x03\0Z\0\0\0\x05I");
        }
    }
}
