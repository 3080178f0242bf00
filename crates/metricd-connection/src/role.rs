//! Checks the role of a server that has accepted a login: whether it is the primary or a standby, and its timeline.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{Client, Connection, SimpleQueryMessage};

use crate::error::ConnectError;
use crate::timeline::{LatestTimeline, ServerTimeline};

/// Checks that the server is what `target_session_attrs` asks for. Asks the server whether it is in recovery: a session
/// of the reader is read-only in any case.
pub(crate) async fn check_target<S, T>(
    client: &Client,
    driver: &mut Connection<S, T>,
    wants_standby: Option<bool>,
) -> Result<(), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let Some(wants_standby) = wants_standby else { return Ok(()) };
    let is_standby = query_text(client, driver, "SELECT pg_catalog.pg_is_in_recovery()").await? == "t";
    if is_standby == wants_standby {
        return Ok(());
    }
    let wanted = if wants_standby { "a standby" } else { "a primary" };
    Err(ConnectError::OtherRole(format!("`target_session_attrs` asks for {wanted}, which the server is not")))
}

/// Checks that the server was not replaced by a fail-over, and returns its timeline. As long as none is known, it is not
/// asked.
pub(crate) async fn check_timeline<S, T>(
    client: &Client,
    driver: &mut Connection<S, T>,
    latest: &LatestTimeline,
) -> Result<ServerTimeline, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    if !latest.is_known() {
        return Ok(ServerTimeline::STANDBY);
    }
    let own = ServerTimeline::parse(&query_text(client, driver, ServerTimeline::SQL).await?);
    if latest.accepts(own) {
        return Ok(own);
    }
    Err(ConnectError::OtherRole("the server is not the primary, or a fail-over has replaced it".to_owned()))
}

/// The first value of the result.
async fn query_text<S, T>(client: &Client, driver: &mut Connection<S, T>, sql: &str) -> Result<String, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut query = pin!(client.simple_query(sql));
    let answer = poll_fn(|context| {
        let ended = Pin::new(&mut *driver).poll(context);
        match (query.as_mut().poll(context), ended) {
            (Poll::Ready(answer), _) => Poll::Ready(answer.map_err(ConnectError::from)),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(Err(ConnectError::failed("the connection was closed"))),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    });
    let value = answer.await?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(value.unwrap_or_default())
}
