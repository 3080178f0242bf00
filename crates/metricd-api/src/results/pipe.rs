//! A pipe of one chunk between a run, which writes rows, and a response, which is read as fast as its client reads.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metricd_execution::{Column, EncodeError, Fields, RowSink, RowWriter, RunError, RunOutcome, RunTiming};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long rows wait for others before they are handed on in a chunk that is not full.
const MAX_CHUNK_DELAY: Duration = Duration::from_millis(100);

/// How much is handed on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkSize {
    /// Chunks of about that many bytes, or of what there is when the next rows keep the client waiting.
    Bytes(usize),
    /// All of it.
    Unlimited,
}

/// What comes out of a pipe.
#[derive(Debug)]
pub(super) enum Chunk {
    /// A part of the result, of which more may come.
    Partial(Vec<u8>),
    /// The last part of the result, which may be empty, and how the run has ended.
    Final(Vec<u8>, Result<RunOutcome, RunError>),
}

/// A pipe: the end to write into, and the end to read from.
pub(super) fn pipe(writer: Box<dyn RowWriter>, chunks: ChunkSize) -> (PipeSink, PipeSource) {
    let shared = Arc::new(Shared { chunks, state: Mutex::default(), written: Notify::new(), taken: Notify::new() });
    (PipeSink { writer, shared: Arc::clone(&shared) }, PipeSource { shared })
}

#[derive(Debug)]
struct Shared {
    chunks: ChunkSize,
    state: Mutex<PipeState>,
    /// There is something to read, or more than there was.
    written: Notify,
    /// There is room to write again.
    taken: Notify,
}

#[derive(Debug, Default)]
struct PipeState {
    chunk: Vec<u8>,
    /// Whether the chunk has more than what stands before the rows.
    has_rows: bool,
    timing: RunTiming,
    outcome: Option<Result<RunOutcome, RunError>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_full(&self, state: &PipeState) -> bool {
        matches!(self.chunks, ChunkSize::Bytes(size_bytes) if state.chunk.len() >= size_bytes)
    }

    async fn until_written(&self, is_enough: impl Fn(&PipeState) -> bool) {
        loop {
            if is_enough(&self.state()) {
                return;
            }
            self.written.notified().await;
        }
    }
}

/// The end that rows are written into.
pub(super) struct PipeSink {
    writer: Box<dyn RowWriter>,
    shared: Arc<Shared>,
}

impl PipeSink {
    /// Says how the run has ended.
    pub(super) fn end(self, outcome: Result<RunOutcome, RunError>) {
        self.shared.state().outcome = Some(outcome);
        self.shared.written.notify_one();
    }
}

#[async_trait]
impl RowSink for PipeSink {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        // Nobody is told yet: what stands before the rows is handed on with the first of them.
        self.writer.head(columns, &mut self.shared.state().chunk)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        let mut state = self.shared.state();
        let is_taken = self.writer.row(fields, max_bytes, &mut state.chunk)?;
        if is_taken && (!state.has_rows || self.shared.is_full(&state)) {
            state.has_rows = true;
            self.shared.written.notify_one();
        }
        Ok(is_taken)
    }

    fn is_full(&self) -> bool {
        self.shared.is_full(&self.shared.state())
    }

    fn timed(&mut self, timing: RunTiming) {
        self.shared.state().timing = timing;
    }

    async fn flush(&mut self) {
        while self.is_full() {
            self.shared.taken.notified().await;
        }
    }
}

/// The end that chunks are read from.
#[derive(Debug)]
pub(super) struct PipeSource {
    shared: Arc<Shared>,
}

impl PipeSource {
    /// Where the run's time has gone, as far as it is known.
    pub(super) fn timing(&self) -> RunTiming {
        self.shared.state().timing
    }

    /// The next piece. After the last one there is none, and this waits for ever.
    pub(super) async fn next(&self) -> Chunk {
        match self.shared.chunks {
            ChunkSize::Unlimited => self.shared.until_written(|state| state.outcome.is_some()).await,
            ChunkSize::Bytes(_) => {
                self.shared.until_written(|state| state.has_rows || state.outcome.is_some()).await;
                let full = self.shared.until_written(|state| self.shared.is_full(state) || state.outcome.is_some());
                // Where the time is over, what there is will do.
                let _ = timeout(MAX_CHUNK_DELAY, full).await;
            }
        }
        let mut state = self.shared.state();
        let room = if state.outcome.is_none() { state.chunk.len() } else { 0 };
        let chunk = mem::replace(&mut state.chunk, Vec::with_capacity(room));
        state.has_rows = false;
        let outcome = state.outcome.take();
        drop(state);
        self.shared.taken.notify_one();
        match outcome {
            Some(outcome) => Chunk::Final(chunk, outcome),
            None => Chunk::Partial(chunk),
        }
    }
}
