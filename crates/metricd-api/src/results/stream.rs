//! A result in another format than JSON, streamed while its statement runs.

use std::fmt;

use actix_web::http::header::{CONTENT_DISPOSITION, HeaderName, VARY};
use actix_web::rt::task::JoinHandle;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::Stream;
use futures_util::stream::unfold;
use metricd_domain::{MetricId, RowLimit, Tenant, TimeZone};
use metricd_execution::{
    BoundStatement, ChosenServer, EncodeError, Numbers, Permit, RowWriter, RunError, RunLimits, RunOutcome,
};

use super::format::Format;
use super::pipe::{Chunk, ChunkSize, PipeSource, pipe};
use super::{X_TIME_ZONE, X_TRUNCATED};
use crate::connections::ConnectionData;
use crate::middleware::{RequestId, note_run};

/// The row limit of a stream.
const X_ROW_LIMIT: HeaderName = HeaderName::from_static("x-row-limit");

/// The chunk size. A result of at most one chunk is sent as one body.
const STREAM_CHUNK_BYTES: usize = 64 << 10;

/// A bound request for a streamed result.
pub(crate) struct StreamedRequest {
    pub(crate) format: Format,
    pub(crate) writer: Box<dyn RowWriter>,
    pub(crate) numbers: Numbers,
    pub(crate) statement: BoundStatement,
    pub(crate) time_zone: TimeZone,
    /// The tenant that the statement runs for.
    pub(crate) tenant: Option<Tenant>,
    pub(crate) limits: RunLimits,
    /// The row limit of the request.
    pub(crate) limit: Option<RowLimit>,
    /// Whether the protocol has chunked transfer coding. Without it a client could not tell an aborted stream from a
    /// complete one, so the result is buffered.
    pub(crate) is_chunked: bool,
    /// The server that runs the statement.
    pub(crate) server: ChosenServer,
    /// Released when the backend is free again.
    pub(crate) permit: Permit,
}

/// Starts the run and waits for the first chunk. A result that ends within it is sent as one body; an error within it
/// is a problem. Otherwise the rest is streamed at the speed of the client.
pub(crate) async fn respond_streamed(
    request: &HttpRequest,
    metric_id: &MetricId,
    streamed: StreamedRequest,
) -> Result<HttpResponse, RunError> {
    let StreamedRequest { format, writer, numbers, statement, time_zone, tenant, limits, limit, .. } = streamed;
    let StreamedRequest { is_chunked, server, permit, .. } = streamed;
    let chunk_size = if is_chunked { ChunkSize::Bytes(STREAM_CHUNK_BYTES) } else { ChunkSize::Unlimited };
    let (mut sink, source) = pipe(writer, numbers, chunk_size);
    let connection = ConnectionData::of(request);
    // A task of its own enforces the run's time limits while the client reads nothing.
    let run = RunTask(actix_web::rt::spawn(async move {
        let outcome = server.runner.run(&statement, tenant.as_ref(), limits, permit, &mut sink).await;
        sink.end(outcome.and_then(|outcome| complete(format, outcome, limit)));
        // The run's limits no longer apply, but unread bytes may remain: the connection's minimum rate applies until
        // the response is dropped.
        let _response = connection.map(ConnectionData::paced);
        std::future::pending::<()>().await;
    }));

    let mut response = HttpResponse::Ok();
    response.content_type(format.content_type()).insert_header((VARY, "accept"));
    response.insert_header((X_TIME_ZONE, time_zone.as_str()));
    if let Some(disposition) = format.content_disposition(metric_id.as_str()) {
        response.insert_header((CONTENT_DISPOSITION, disposition));
    }
    let chunk = source.next().await;
    note_run(request, source.timing());
    match chunk {
        Chunk::Final(body, outcome) => {
            if outcome?.truncated {
                response.insert_header((X_TRUNCATED, "true"));
            }
            Ok(response.body(body))
        }
        Chunk::Partial(first) => {
            let request_id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
            let open = OpenStream { run, source, limit, metric_id: metric_id.clone(), request_id };
            response.insert_header((X_ROW_LIMIT, limits.rows.to_string()));
            Ok(response.streaming(chunks(first, open)))
        }
    }
}

/// Checks that a file would have all rows, or as many as the request's limit: it cannot say that rows are missing.
fn complete(format: Format, outcome: RunOutcome, limit: Option<RowLimit>) -> Result<RunOutcome, RunError> {
    if format.file().is_none() || !outcome.truncated || is_requested(outcome, limit) {
        return Ok(outcome);
    }
    let message = format!(
        "the server's limits end it after row {}: request fewer rows with `limit`, or another format",
        outcome.row_count
    );
    Err(RunError::Encode(EncodeError::TooLarge(message)))
}

/// Whether the result has as many rows as the request's limit.
fn is_requested(outcome: RunOutcome, limit: Option<RowLimit>) -> bool {
    limit.is_some_and(|limit| limit.rows() == outcome.row_count)
}

/// The task of a run, and afterwards of sending its response; aborted on drop.
struct RunTask(JoinHandle<()>);

impl Drop for RunTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A stream whose first chunk was sent.
struct OpenStream {
    #[expect(dead_code, reason = "is dropped with the stream")]
    run: RunTask,
    source: PipeSource,
    limit: Option<RowLimit>,
    metric_id: MetricId,
    request_id: String,
}

/// Why a stream is aborted.
#[derive(Debug)]
enum StreamError {
    Failed(RunError),
    /// The result exceeds the limits of a stream, and the request has no lower limit.
    Truncated(RunOutcome),
}

impl fmt::Display for StreamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(formatter),
            Self::Truncated(RunOutcome { row_count, .. }) => {
                write!(formatter, "the result is truncated after row {row_count}")
            }
        }
    }
}

impl std::error::Error for StreamError {}

/// The next step of a stream.
enum StreamState {
    Send(Vec<u8>, OpenStream),
    Read(OpenStream),
    Fail(StreamError),
    End,
}

fn chunks(first: Vec<u8>, open: OpenStream) -> impl Stream<Item = Result<Bytes, StreamError>> {
    unfold(StreamState::Send(first, open), async |next| match next {
        StreamState::Send(chunk, open) => Some((Ok(chunk.into()), StreamState::Read(open))),
        StreamState::Read(open) => match open.source.next().await {
            Chunk::Partial(chunk) => Some((Ok(chunk.into()), StreamState::Read(open))),
            Chunk::Final(chunk, outcome) => {
                let next = open.check_complete(outcome).map_or_else(StreamState::Fail, |()| StreamState::End);
                Some((Ok(chunk.into()), next))
            }
        },
        StreamState::Fail(error) => {
            // The server drops unsent chunks on an error; yielding lets it send them first.
            tokio::task::yield_now().await;
            Some((Err(error), StreamState::End))
        }
        StreamState::End => None,
    })
}

impl OpenStream {
    /// Checks that the stream has all rows, or as many as the request's limit.
    fn check_complete(&self, outcome: Result<RunOutcome, RunError>) -> Result<(), StreamError> {
        let error = match outcome {
            Ok(outcome) if outcome.truncated && !is_requested(outcome, self.limit) => StreamError::Truncated(outcome),
            Ok(_) => return Ok(()),
            Err(error) => StreamError::Failed(error),
        };
        let Self { metric_id, request_id, .. } = self;
        log::error!(
            metric_id = metric_id.as_str(), request_id = request_id.as_str();
            "metric {metric_id}: the stream is aborted: {error} [{request_id}]"
        );
        Err(error)
    }
}
