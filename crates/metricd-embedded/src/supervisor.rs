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

/// A fast shutdown ends the sessions and writes a checkpoint. The shell makes it an immediate one after 10 s, and kills what is
/// left after 20 s.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// A shell that runs a program for as long as the other end of its standard input is open.
///
/// A signal at the death of the parent would do on Linux alone, and is lost where the user changes in between.
#[derive(Debug)]
pub(crate) struct Supervisor {
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts the program, which writes to `log`. The shell keeps `held` open until the program has ended.
    pub(crate) fn spawn(
        account: Account,
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        log: File,
        held: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let mut shell = account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "metricd-embedded"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(held.map_or_else(Stdio::null, Stdio::from))
            .stderr(log)
            // Ctrl-C is for the owner, who then stops the program in good order.
            .process_group(0)
            .spawn()?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, lifeline })
    }

    /// How the program ended, if it has.
    pub(crate) fn status(&mut self) -> Result<Option<ExitStatus>, EmbeddedError> {
        self.shell.try_wait().map_err(EmbeddedError::system("ask for the state of PostgreSQL"))
    }

    /// Has the program stopped, by a fast shutdown where PostgreSQL can do one, and waits for its end.
    pub(crate) fn stop(mut self) -> Result<(), EmbeddedError> {
        self.interrupt()
    }

    fn interrupt(&mut self) -> Result<(), EmbeddedError> {
        self.lifeline = None;
        poll::until(STOP_LIMIT, || "PostgreSQL has stopped".to_owned(), || self.status()).map(drop)
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
