//! Cancels the running statement of a session.

use std::{fmt, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::CancelToken;

use crate::login::{Established, LoginStream};
use crate::socket::{Peer, TlsTarget, connect_again};

/// Cancels the running statement of a session. The request goes to the very server of the session, with TLS if the
/// session has it.
#[derive(Clone)]
pub struct CancelRequest {
    peer: Peer,
    security: Option<TlsTarget>,
    message: Vec<u8>,
}

impl CancelRequest {
    pub(crate) async fn new(
        peer: Peer,
        security: Option<TlsTarget>,
        token: &CancelToken,
    ) -> Result<Self, tokio_postgres::Error> {
        // The driver does not expose the key, and closes its side of a connection on which it sends it.
        let mut request = tokio::io::join(tokio::io::empty(), Vec::new());
        token.cancel_query_raw(LoginStream::new(&mut request, None, true), Established).await?;
        Ok(Self { peer, security, message: request.into_inner().1 })
    }

    /// The process id that the login reported.
    pub(crate) fn process_id(&self) -> Option<i32> {
        // The length and a code precede it.
        let (_, process_id) = self.message.split_first_chunk::<8>()?;
        process_id.first_chunk().map(|process_id| i32::from_be_bytes(*process_id))
    }

    /// Sends the request. Once it completes, PostgreSQL has signalled the session. It has no time limit.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn send(&self) -> io::Result<()> {
        let mut socket = connect_again(&self.peer, self.security.as_ref()).await?;
        socket.write_all(&self.message).await?;
        socket.flush().await?;
        // PostgreSQL closes the connection once it has processed the request. TLS reports that as an error if there
        // was no notice of closure. Until then this side stays open: PgBouncer 1.18 exits if a client closes its side
        // while its request is being forwarded.
        loop {
            match socket.read(&mut [0; 64]).await {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            };
        }
    }
}

impl fmt::Debug for CancelRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CancelRequest").field("peer", &self.peer).finish_non_exhaustive()
    }
}
