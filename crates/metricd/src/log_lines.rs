//! Writes the log to standard error.
//!
//! A server logs a line per request. One system call per line would take a tenth of the time of a request. Therefore lines are
//! buffered, unless standard error is a terminal. A warning or an error flushes the buffer. Buffered lines are not formatted by
//! `env_logger`, which may add colours and takes more than twice as long.

use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use env_logger::{Builder, Logger};
use log::{Level, Log, Metadata, Record, SetLoggerError};

use crate::log_format::LogFormat;

/// The maximum time that a line stays in the buffer.
const MAX_DELAY: Duration = Duration::from_millis(20);

/// The size of the buffer. A full buffer is flushed.
const CAPACITY_BYTES: usize = 64 << 10;

/// Flushes the buffer when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct LogGuard(Option<Lines>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.flush();
        }
    }
}

/// Starts to log the records that the filter allows. Buffers lines if many are expected and standard error is no terminal.
pub(crate) fn start(filter: &str, format: LogFormat, are_many: bool) -> Result<LogGuard, SetLoggerError> {
    let mut builder = Builder::new();
    builder.parse_filters(filter);
    format.set_up(&mut builder);
    let lines = (are_many && !io::stderr().is_terminal()).then(Lines::start);
    let logger = builder.build();
    log::set_max_level(logger.filter());
    let log = LineLog { logger, format, lines: lines.clone() };
    log::set_boxed_logger(Box::new(log)).map(|()| LogGuard(lines))
}

/// The logger. It formats lines, and flushes after warnings and errors.
struct LineLog {
    logger: Logger,
    format: LogFormat,
    lines: Option<Lines>,
}

impl Log for LineLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.matches(record) {
            return;
        }
        match &self.lines {
            Some(lines) => lines.add(&self.format.line(record)),
            None => self.format.pass(record, &self.logger),
        }
        if record.level() <= Level::Warn {
            self.flush();
        }
    }

    fn flush(&self) {
        if let Some(lines) = &self.lines {
            lines.flush();
        }
    }
}

/// The buffered lines, and the thread that flushes them.
#[derive(Debug, Clone)]
struct Lines {
    buffer: Arc<Mutex<BufWriter<Stderr>>>,
    writer: Thread,
}

impl Lines {
    fn start() -> Self {
        let buffer = Arc::new(Mutex::new(BufWriter::with_capacity(CAPACITY_BYTES, io::stderr())));
        let shared = Arc::clone(&buffer);
        let writer = thread::spawn(move || {
            loop {
                thread::park();
                thread::sleep(MAX_DELAY);
                flush_buffer(&shared);
            }
        });
        Self { buffer, writer: writer.thread().clone() }
    }

    fn add(&self, line: &str) {
        let mut buffer = lock(&self.buffer);
        if buffer.buffer().is_empty() {
            self.writer.unpark();
        }
        // Standard error may be closed, and there is nowhere else to report that.
        drop(buffer.write_all(line.as_bytes()));
    }

    fn flush(&self) {
        flush_buffer(&self.buffer);
    }
}

fn lock(buffer: &Mutex<BufWriter<Stderr>>) -> MutexGuard<'_, BufWriter<Stderr>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flush_buffer(buffer: &Mutex<BufWriter<Stderr>>) {
    drop(lock(buffer).flush());
}
