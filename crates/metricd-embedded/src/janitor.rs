//! A folder that does not outlive its users, however they end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::account::Account;
use crate::ownership::give_folder;
use crate::{EmbeddedError, poll};

const SCRIPT: &str = include_str!("janitor.sh");
const REMOVE_LIMIT: Duration = Duration::from_secs(20);

/// Not the `TMPDIR` of the caller: its path is long on some systems, and that of a socket has to be short.
const TEMPORARY: &str = "/tmp";

/// A fresh folder of the account's, and the shell that removes it when this process and all who hold a [`pass`](Self::pass) have ended.
#[derive(Debug)]
pub(crate) struct Janitor {
    folder: PathBuf,
    shell: Child,
    pipe: Option<OwnedFd>,
}

impl Janitor {
    pub(crate) fn hire(account: Account) -> Result<Self, EmbeddedError> {
        Self::try_hire(account).map_err(EmbeddedError::system(format!("make a temporary folder in `{TEMPORARY}`")))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Something to be kept open by a process that uses the folder.
    pub(crate) fn pass(&self) -> Result<Option<OwnedFd>, EmbeddedError> {
        self.pipe.as_ref().map(OwnedFd::try_clone).transpose().map_err(EmbeddedError::system("copy a pipe"))
    }

    fn try_hire(account: Account) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("metricd-")
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir_in(TEMPORARY)?;
        // The shell runs as the account, and only its owner may remove a folder from a shared one.
        give_folder(folder.path(), account)?;
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
            REMOVE_LIMIT,
            || format!("`{}` is removed", self.folder.display()),
            || self.shell.try_wait().map_err(EmbeddedError::system("ask for the state of a process")),
        );
        if let Err(error) = removed {
            log::warn!("{error}");
        }
    }
}
