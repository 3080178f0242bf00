//! The errors of finding, creating, starting and joining a cluster.

use std::io;
use std::path::{Path, PathBuf};

use crate::account::Account;

const HOW_TO_INSTALL: &str = "install PostgreSQL (Debian and Ubuntu: `apt-get install postgresql`, Fedora: `dnf install \
                              postgresql-server`, macOS: `brew install postgresql`) or set DATABASE_URL to a running server";

/// Why there is no database, or no connection to it.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No folder contains both server programs.
    #[error("found no PostgreSQL server: looked for `initdb` and `postgres` in {looked_in}; {HOW_TO_INSTALL}")]
    NoInstallation {
        /// The places, in the order of the search.
        looked_in: String,
    },
    /// There are server programs, but all of them are too old.
    #[error(
        "PostgreSQL {found} in `{bin_dir}` is too old: expected {minimum} or newer; {HOW_TO_INSTALL}",
        bin_dir = .bin_dir.display()
    )]
    TooOld {
        /// The newest major version that was found.
        found: u32,
        /// The folder in which it was found.
        bin_dir: PathBuf,
        /// The oldest supported major version.
        minimum: u32,
    },
    /// The data were written by a major version that is not installed. PostgreSQL reads only files of its own major
    /// version.
    #[error(
        "the data were written by PostgreSQL {wanted}, but only {found} is installed: install PostgreSQL {wanted}, \
         or give another --data-dir"
    )]
    OtherMajor {
        /// The major version of the data.
        wanted: u32,
        /// The major versions that were found.
        found: String,
    },
    /// Another process serves this data folder.
    #[error(
        "another metricd{process} serves the data folder `{data_dir}`: stop it, or give another --data-dir",
        process = .pid.map_or_else(String::new, |pid| format!(" (process {pid})")),
        data_dir = .data_dir.display()
    )]
    InUse {
        /// The process that holds the lock. `None` if it ended before its id could be read.
        pid: Option<u32>,
        /// The data folder.
        data_dir: PathBuf,
    },
    /// This user may not perform the action on this path.
    #[error(
        "cannot {action} `{path}` as user `{user}` ({source}): make it writable for that user, or give another --data-dir",
        path = .path.display()
    )]
    Folder {
        /// The attempted action: `create`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The user of this process.
        user: String,
        /// The system's error.
        source: io::Error,
    },
    /// The data folder, or the link that leads to it, belongs to another user, who could put files of their choice in
    /// it.
    #[error(
        "the data folder `{data_dir}` belongs to `{owner}`, but metricd runs as `{user}`: start it as `{owner}`, or give \
         another --data-dir",
        data_dir = .data_dir.display()
    )]
    ForeignFolder {
        /// The data folder.
        data_dir: PathBuf,
        /// The folder's owner.
        owner: String,
        /// The user of this process.
        user: String,
    },
    /// Other users may write to the data folder, so they could put files of their choice in it.
    #[error(
        "other users may write to the data folder `{data_dir}`: run `chmod go-w` on it, or give another --data-dir",
        data_dir = .data_dir.display()
    )]
    WritableFolder {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The folder has other content and is not a data folder of metricd.
    #[error(
        "the folder `{data_dir}` is not empty and not a data folder of metricd (it contains `{content}`): give an empty or \
         a new folder as --data-dir",
        data_dir = .data_dir.display(), content = .content.display()
    )]
    OtherContent {
        /// The data folder.
        data_dir: PathBuf,
        /// The first foreign file or folder in it.
        content: PathBuf,
    },
    /// Root may enter the data folder, but the user who would run PostgreSQL may not.
    #[error(
        "PostgreSQL does not run as root, and the user `{user}` who would run it cannot enter `{blocking}` on the path to \
         `{data_dir}`: run `chmod o+x` on that folder, or give another --data-dir",
        blocking = .blocking.display(), data_dir = .data_dir.display()
    )]
    Unreachable {
        /// The data folder.
        data_dir: PathBuf,
        /// The first folder on the path that the user may not enter.
        blocking: PathBuf,
        /// The user who would run PostgreSQL.
        user: String,
    },
    /// The process runs as root, and there is no unprivileged user to run PostgreSQL.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it: start as another user"
    )]
    NoAccount,
    /// The folder has a cluster, but its passwords are lost.
    #[error(
        "the data folder `{data_dir}` has a database but no `credentials.json`: restore that file, or remove the folder to \
         start with an empty one",
        data_dir = .data_dir.display()
    )]
    NoCredentials {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// `credentials.json` is damaged.
    #[error("`{path}` is damaged: expected a JSON object of role names and passwords", path = .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The JSON error, with its position in the file.
        source: serde_json::Error,
    },
    /// No password is stored for the role.
    #[error("no password is stored for the role `{role}`: expected one of {known}")]
    UnknownRole {
        /// The requested role.
        role: String,
        /// The roles that have a password.
        known: String,
    },
    /// `initdb` failed.
    #[error("`initdb` could not create the database:\n{log}")]
    Initialise {
        /// The last lines of its output.
        log: String,
    },
    /// `postgres` ended before it was ready.
    #[error("PostgreSQL did not start:\n{log}")]
    Start {
        /// The last lines of its output.
        log: String,
    },
    /// A timeout expired.
    #[error("timed out after {seconds} s of waiting until {awaited}")]
    TooSlow {
        /// The condition that did not become true.
        awaited: String,
        /// The timeout, in seconds.
        seconds: u64,
    },
    /// A program or a socket could not be used.
    #[error("cannot {action}: {source}")]
    System {
        /// The attempted action.
        action: String,
        /// The system's error.
        source: io::Error,
    },
}

impl EmbeddedError {
    pub(crate) fn folder(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Folder { action, path, user: Account::Invoker.name(), source }
    }

    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        |source| Self::System { action, source }
    }
}
