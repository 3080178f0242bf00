//! Whose processes and files the cluster's are: PostgreSQL refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use crate::EmbeddedError;

/// The users who may run PostgreSQL for root, the best one first.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Who runs PostgreSQL and owns its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user of this process.
    Invoker,
    /// An unprivileged user, for a process of root's.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// The account for the cluster at this path, which need not exist: for root, whoever owns it already.
    pub(crate) fn for_cluster(cluster: &Path) -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self::Invoker);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Self::Other { uid: metadata.uid(), gid: metadata.gid() });
        }
        UNPRIVILEGED
            .iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// A command that runs as this account, in a folder which it can enter and with nothing of the caller's environment: variables
    /// such as `PGDATA` and `LC_ALL` change what PostgreSQL's programs do, and English messages are needed to tell failures apart.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = plain_command(program);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The name for messages.
    pub(crate) fn name(self) -> String {
        let uid = match self {
            Self::Invoker => geteuid(),
            Self::Other { uid, .. } => Uid::from_raw(uid),
        };
        User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
    }
}

/// A command that runs as the caller, apart from that like [`Account::command`].
pub(crate) fn plain_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/");
    command
}
