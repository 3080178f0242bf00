//! What can go wrong between "a database, please" and its address.

use std::io;
use std::path::{Path, PathBuf};

use crate::account::Account;

const HOW_TO_INSTALL: &str = "install PostgreSQL (Debian and Ubuntu: `apt-get install postgresql`, Fedora: `dnf install \
                              postgresql-server`, macOS: `brew install postgresql`) or set DATABASE_URL to a server that runs";

/// Why there is no database, or no address of one.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No folder holds both server programs.
    #[error("found no PostgreSQL server: looked for `initdb` and `postgres` in {looked_in}; {HOW_TO_INSTALL}")]
    NoInstallation {
        /// The places, in the order in which they were tried.
        looked_in: String,
    },
    /// There are server programs, all of them too old.
    #[error(
        "PostgreSQL {found} in `{bin_dir}` is too old: expected {minimum} or newer; {HOW_TO_INSTALL}",
        bin_dir = .bin_dir.display()
    )]
    TooOld {
        /// The newest major version that was found.
        found: u32,
        /// Where it was found.
        bin_dir: PathBuf,
        /// The oldest major version that will do.
        minimum: u32,
    },
    /// The data were written by a version that is not installed; PostgreSQL reads the files of its own major version only.
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
        /// The holder of the lock, unless it ended while being asked.
        pid: Option<u32>,
        /// The folder that both want.
        data_dir: PathBuf,
    },
    /// This user may not do that to this path.
    #[error(
        "cannot {action} `{path}` as user `{user}` ({source}): make it writable for that user, or give another --data-dir",
        path = .path.display()
    )]
    Folder {
        /// What was tried: `create`, `write`, …
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// As whom.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder, or the link that leads to it, belongs to another user, who could put files of their choice in it.
    #[error(
        "the data folder `{data_dir}` belongs to `{owner}`, and this is `{user}`: start metricd as `{owner}`, or give another \
         --data-dir",
        data_dir = .data_dir.display()
    )]
    ForeignFolder {
        /// The data folder.
        data_dir: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who wants to use it.
        user: String,
    },
    /// Other users may put files of their choice in the data folder.
    #[error(
        "other users may write to the data folder `{data_dir}`: run `chmod go-w` on it, or give another --data-dir",
        data_dir = .data_dir.display()
    )]
    WritableFolder {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// The folder has something else in it, and nothing of metricd's.
    #[error(
        "the folder `{data_dir}` is no data folder of metricd and not empty (it has `{content}`): give an empty or a new one \
         as --data-dir",
        data_dir = .data_dir.display(), content = .content.display()
    )]
    OtherContent {
        /// The data folder.
        data_dir: PathBuf,
        /// What is in it.
        content: PathBuf,
    },
    /// Root may read the data folder, but the user who gets the cluster may not.
    #[error(
        "PostgreSQL does not run as root, and the user `{user}` who would run it cannot enter `{blocking}` on the way to \
         `{data_dir}`: run `chmod o+x` on that folder, or give another --data-dir",
        blocking = .blocking.display(), data_dir = .data_dir.display()
    )]
    Unreachable {
        /// The data folder.
        data_dir: PathBuf,
        /// The first folder on the way which the user may not enter.
        blocking: PathBuf,
        /// Who would run PostgreSQL.
        user: String,
    },
    /// The process is root, and there is nobody to give the cluster to.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it: start as another user"
    )]
    NoAccount,
    /// The cluster is there, its passwords are not.
    #[error(
        "the data folder `{data_dir}` has a database but no `credentials.json`: restore that file, or remove the folder to \
         start with an empty one",
        data_dir = .data_dir.display()
    )]
    NoCredentials {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// `credentials.json` is not the JSON that was written.
    #[error("`{path}` is damaged: expected a JSON object of role names and passwords", path = .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Where it stops being what it should be.
        source: serde_json::Error,
    },
    /// There is no password for that role.
    #[error("no password is kept for the role `{role}`: expected one of {known}")]
    UnknownRole {
        /// The role that was asked for.
        role: String,
        /// The roles that have a password.
        known: String,
    },
    /// `initdb` gave up.
    #[error("`initdb` could not create the database:\n{log}")]
    Initialise {
        /// The last lines that it wrote.
        log: String,
    },
    /// `postgres` ended before it was ready.
    #[error("PostgreSQL did not start:\n{log}")]
    Start {
        /// The last lines that it wrote.
        log: String,
    },
    /// Something took longer than it is allowed to.
    #[error("gave up after {seconds} s of waiting until {awaited}")]
    TooSlow {
        /// What did not happen.
        awaited: String,
        /// For how long it was awaited.
        seconds: u64,
    },
    /// A program or a socket could not be used.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// What the system said.
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
