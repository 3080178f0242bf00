//! The log: lines on standard error.
//!
//! A server writes a line for each request, and one call of the system for each of them would be a tenth of what a request
//! costs. Where no person looks on, lines are therefore written some at a time, a moment later. A warning or an error is
//! written at once, with everything before it. Such lines do not pass the logger, which may colour them and takes more than
//! twice as long.

use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use env_logger::{Builder, Logger};
use log::{Level, Log, Metadata, Record, SetLoggerError};

use crate::log_format::LogFormat;

/// How long a line waits for others at most.
const WAIT: Duration = Duration::from_millis(20);

/// How many bytes are written at once.
const CAPACITY_BYTES: usize = 64 << 10;

/// Writes what is left when it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct LogGuard(Option<Lines>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(lines) = &self.0 {
            lines.write_out();
        }
    }
}

/// Begins to log what the filter lets through; many lines at once where there may be many of them.
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

/// Makes lines, and sees to those that must not wait.
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
            lines.write_out();
        }
    }
}

/// Lines that wait to be written.
#[derive(Debug, Clone)]
struct Lines {
    waiting: Arc<Mutex<BufWriter<Stderr>>>,
    writer: Thread,
}

impl Lines {
    fn start() -> Self {
        let waiting = Arc::new(Mutex::new(BufWriter::with_capacity(CAPACITY_BYTES, io::stderr())));
        let theirs = Arc::clone(&waiting);
        let writer = thread::spawn(move || {
            loop {
                thread::park();
                thread::sleep(WAIT);
                write_out(&theirs);
            }
        });
        Self { waiting, writer: writer.thread().clone() }
    }

    fn add(&self, line: &str) {
        let mut waiting = lock(&self.waiting);
        if waiting.buffer().is_empty() {
            self.writer.unpark();
        }
        // Who reads the log may have gone away, and there is nobody else to tell.
        drop(waiting.write_all(line.as_bytes()));
    }

    fn write_out(&self) {
        write_out(&self.waiting);
    }
}

fn lock(waiting: &Mutex<BufWriter<Stderr>>) -> MutexGuard<'_, BufWriter<Stderr>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_out(waiting: &Mutex<BufWriter<Stderr>>) {
    drop(lock(waiting).flush());
}
