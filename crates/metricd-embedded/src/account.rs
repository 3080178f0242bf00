//! The user account that runs PostgreSQL and owns its files. PostgreSQL refuses to run as root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use crate::EmbeddedError;

/// The users who may run PostgreSQL if this process runs as root, in order of preference.
const UNPRIVILEGED_USERS: [&str; 2] = ["postgres", "nobody"];

/// The user who runs PostgreSQL and owns its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user of this process.
    Invoker,
    /// An unprivileged user, if this process runs as root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account for the cluster at this path, which need not exist. Root uses the cluster's present owner,
    /// unless that is root.
    pub(crate) fn for_cluster(cluster: &Path) -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self::Invoker);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Self::Other { uid: metadata.uid(), gid: metadata.gid() });
        }
        UNPRIVILEGED_USERS
            .iter()
            .filter_map(|name| User::from_name(name).ok().flatten())
            .find(|user| !user.uid.is_root())
            .map(|user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(EmbeddedError::NoAccount)
    }

    /// A command that runs as this account, in a folder that the account can enter and without the caller's
    /// environment. Variables such as `PGDATA` and `LC_ALL` change what PostgreSQL's programs do, and failures are
    /// recognised by their English messages.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = plain_command(program);
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The user's name, for messages.
    pub(crate) fn name(self) -> String {
        let uid = match self {
            Self::Invoker => geteuid(),
            Self::Other { uid, .. } => Uid::from_raw(uid),
        };
        user_name(uid)
    }
}

/// The user's name, or its number if it has none.
pub(crate) fn user_name(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// A command that runs as the caller, otherwise like [`Account::command`].
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
