//! A pipe of one chunk between a run, which writes rows, and a response, which reads at the speed of its client. A full
//! chunk applies back-pressure to the run.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use metricd_execution::{Column, EncodeError, Fields, Numbers, RowSink, RowWriter, RunError, RunOutcome, RunTiming};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long rows wait in a chunk that is not full.
const MAX_CHUNK_DELAY: Duration = Duration::from_millis(100);

/// The size of the chunks that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkSize {
    /// About this many bytes; fewer after [`MAX_CHUNK_DELAY`].
    Bytes(usize),
    /// The whole result in one chunk.
    Unlimited,
}

/// A chunk of the encoded result.
#[derive(Debug)]
pub(super) enum Chunk {
    /// A chunk that others may follow.
    Partial(Vec<u8>),
    /// The last chunk, which may be empty, and the outcome of the run.
    Final(Vec<u8>, Result<RunOutcome, RunError>),
}

/// Creates a pipe: the end to write to, and the end to read from.
pub(super) fn pipe(writer: Box<dyn RowWriter>, numbers: Numbers, chunks: ChunkSize) -> (PipeSink, PipeSource) {
    let shared = Arc::new(Shared { chunks, state: Mutex::default(), written: Notify::new(), taken: Notify::new() });
    (PipeSink { writer, numbers, shared: Arc::clone(&shared) }, PipeSource { shared })
}

#[derive(Debug)]
struct Shared {
    chunks: ChunkSize,
    state: Mutex<PipeState>,
    /// Notified when a chunk begins, when it is full, and at the end.
    written: Notify,
    /// Notified when the chunk was read.
    taken: Notify,
}

#[derive(Debug, Default)]
struct PipeState {
    chunk: Vec<u8>,
    /// Whether the chunk has rows, not only the header.
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

/// The writing end of a pipe.
pub(super) struct PipeSink {
    writer: Box<dyn RowWriter>,
    numbers: Numbers,
    shared: Arc<Shared>,
}

impl PipeSink {
    /// Closes the pipe with the outcome of the run. After a successful run, the writer finishes its document.
    pub(super) fn end(mut self, outcome: Result<RunOutcome, RunError>) {
        let mut state = self.shared.state();
        state.outcome = Some(outcome.and_then(|outcome| {
            self.writer.finish(&mut state.chunk)?;
            Ok(outcome)
        }));
        drop(state);
        self.shared.written.notify_one();
    }
}

#[async_trait]
impl RowSink for PipeSink {
    fn columns(&mut self, columns: &[Column]) -> Result<(), EncodeError> {
        // The reader is not notified: the header is sent with the first row.
        self.writer.head(&self.numbers.columns(columns), &mut self.shared.state().chunk)
    }

    fn row(&mut self, fields: Fields<'_>, max_bytes: usize) -> Result<bool, EncodeError> {
        let mut state = self.shared.state();
        let size_bytes = state.chunk.len();
        let is_taken = self.writer.row(fields, max_bytes, &mut state.chunk)?;
        // A writer may hold rows back.
        let is_written = is_taken && state.chunk.len() > size_bytes;
        if is_written && (!state.has_rows || self.shared.is_full(&state)) {
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

/// The reading end of a pipe.
#[derive(Debug)]
pub(super) struct PipeSource {
    shared: Arc<Shared>,
}

impl PipeSource {
    /// The run's timing so far.
    pub(super) fn timing(&self) -> RunTiming {
        self.shared.state().timing
    }

    /// Returns the next chunk. Never returns after [`Chunk::Final`].
    pub(super) async fn next(&self) -> Chunk {
        match self.shared.chunks {
            ChunkSize::Unlimited => self.shared.until_written(|state| state.outcome.is_some()).await,
            ChunkSize::Bytes(_) => {
                self.shared.until_written(|state| state.has_rows || state.outcome.is_some()).await;
                let full = self.shared.until_written(|state| self.shared.is_full(state) || state.outcome.is_some());
                // After the delay, an incomplete chunk is sent.
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
