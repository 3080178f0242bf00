//! Progress bars. They are shown only if standard error is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use metricd_ingestion::Progress;

/// A bar that counts the bytes read.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Makes a bar that appears when reading begins.
    pub(crate) fn new() -> Self {
        let template = "{msg} [{wide_bar}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_message("reading"))
    }
}

/// Makes a bar that counts items.
pub(crate) fn count_bar(total: u64, what: &'static str) -> ProgressBar {
    let template = "{msg} [{wide_bar}] {pos}/{len} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("=> ")).with_message(what)
}

impl Progress for Bar {
    fn begin(&self, total_bytes: u64) {
        self.0.set_length(total_bytes);
        self.0.enable_steady_tick(Duration::from_millis(200));
    }

    fn expect(&self, bytes: u64) {
        self.0.inc_length(bytes);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn wait(&self) {
        self.0.suspend(|| log::info!("waiting for another ingestion to end"));
    }

    fn validate(&self, done: u64, total: u64) {
        self.0.set_message(if done < total { format!("validating {done} of {total}") } else { "reading".to_owned() });
    }

    fn store(&self) {
        self.0.set_message("storing");
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
