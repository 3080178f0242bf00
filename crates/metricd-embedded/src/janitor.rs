//! A temporary folder that is removed after its last user has ended, for whatever reason.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::account::Account;
use crate::ownership::chown_folder;
use crate::{EmbeddedError, poll};

const SCRIPT: &str = include_str!("janitor.sh");
const REMOVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The parent of the temporary folders. The caller's `TMPDIR` is not used: its path is long on some systems, and a
/// socket's path must be short.
const TEMPORARY_DIR: &str = "/tmp";

/// A new folder of the account's, and the shell that removes it. The shell waits until this process and all processes
/// with a [`lease`](Self::lease) have ended.
#[derive(Debug)]
pub(crate) struct Janitor {
    folder: PathBuf,
    shell: Child,
    pipe: Option<OwnedFd>,
}

impl Janitor {
    pub(crate) fn spawn(account: Account) -> Result<Self, EmbeddedError> {
        Self::try_spawn(account).map_err(EmbeddedError::system(format!("make a temporary folder in `{TEMPORARY_DIR}`")))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file descriptor that keeps the folder in existence while a process has it open.
    pub(crate) fn lease(&self) -> Result<Option<OwnedFd>, EmbeddedError> {
        self.pipe.as_ref().map(OwnedFd::try_clone).transpose().map_err(EmbeddedError::system("copy a pipe"))
    }

    fn try_spawn(account: Account) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("metricd-")
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir_in(TEMPORARY_DIR)?;
        // The shell runs as the account, and only the owner of a folder may remove it from a shared one.
        chown_folder(folder.path(), account)?;
        let mut shell = account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "metricd-embedded"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = shell.stdin.take().map(OwnedFd::from);
        Ok(Self { folder: folder.keep(), shell, pipe })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.pipe = None;
        let removed = poll::until(
            REMOVE_TIMEOUT,
            || format!("`{}` is removed", self.folder.display()),
            || self.shell.try_wait().map_err(EmbeddedError::system("get the status of a process")),
        );
        if let Err(error) = removed {
            log::warn!("{error}");
        }
    }
}
