//! A program that does not outlive this process.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use crate::account::Account;
use crate::{EmbeddedError, poll};

const SCRIPT: &str = include_str!("supervisor.sh");

/// The timeout for a stop. A fast shutdown ends the sessions and writes a checkpoint. After 10 s the shell requests an
/// immediate shutdown, and after 20 s it kills the remaining processes.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);

/// A shell that runs a program for as long as the other end of its standard input is open.
///
/// A parent-death signal was rejected: it exists on Linux only, and is lost if the user changes between fork and exec.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts the program, which writes to `log`. The shell keeps `lease` open until the program has ended.
    pub(crate) fn spawn(
        account: Account,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        log: File,
        lease: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let mut shell = account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "metricd-embedded"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(lease.map_or_else(Stdio::null, Stdio::from))
            .stderr(log)
            // Ctrl-C must reach only the owner, which then stops the program in good order.
            .process_group(0)
            .spawn()?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, lifeline })
    }

    /// The program's exit status. `None` while it runs.
    pub(crate) fn status(&mut self) -> Result<Option<ExitStatus>, EmbeddedError> {
        self.shell.try_wait().map_err(EmbeddedError::system("get the status of PostgreSQL"))
    }

    /// Stops the program, PostgreSQL by a fast shutdown if possible, and waits until it has ended.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        self.interrupt()
    }

    fn interrupt(&mut self) -> Result<(), EmbeddedError> {
        self.lifeline = None;
        poll::until(STOP_TIMEOUT, || "PostgreSQL has stopped".to_owned(), || self.status()).map(drop)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if self.lifeline.is_some()
            && let Err(error) = self.interrupt()
        {
            log::warn!("{error}");
        }
    }
}
