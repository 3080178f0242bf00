//! Cancels the running statement of a session.

use std::{fmt, io};

use tokio::io::AsyncReadExt;
use tokio_postgres::CancelToken;

use crate::login::{Established, LoginStream};
use crate::socket::{Peer, TlsTarget, connect_again};

/// Cancels the running statement of a session. The request goes to the very server of the session, with TLS if the
/// session has it.
#[derive(Clone)]
pub struct CancelRequest {
    pub(crate) peer: Peer,
    pub(crate) security: Option<TlsTarget>,
    pub(crate) token: CancelToken,
}

impl CancelRequest {
    /// Sends the request. Once it completes, PostgreSQL has signalled the session. It has no time limit.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached.
    pub async fn send(&self) -> io::Result<()> {
        let mut socket = connect_again(&self.peer, self.security.as_ref()).await?;
        let stream = LoginStream::new(&mut socket, None, true);
        self.token.cancel_query_raw(stream, Established).await.map_err(io::Error::other)?;
        // PostgreSQL closes the connection once it has processed the request. TLS reports that as an error if there
        // was no notice of closure.
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
