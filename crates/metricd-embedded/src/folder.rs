//! The data folder: what lies where in it, and how it comes to be.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::EmbeddedError;
use crate::account::Account;
use crate::ownership::{other_content, require_own};
use crate::reach::blocking_folder;
use crate::search::leading_number;

/// A data folder and who runs PostgreSQL on it.
///
/// | name | what | owner |
/// |---|---|---|
/// | `lock` | held while somebody serves the folder; see [`crate::lock`] | the user of this process |
/// | `credentials.json` | the passwords of the roles | the user of this process |
/// | `cluster/` | PostgreSQL's own data folder | the account |
/// | `run/` | the Unix socket | the account |
/// | `postgres.log` | what PostgreSQL and `initdb` write | the account |
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    account: Account,
}

impl Folder {
    /// The folder at an absolute path; nothing is created.
    pub(crate) fn at(path: PathBuf, account: Account) -> Self {
        Self { path, account }
    }

    /// Refuses a folder that another user owns or may write to, and one that is something else than a data folder.
    pub(crate) fn require_own(&self) -> Result<(), EmbeddedError> {
        require_own(&self.path)?;
        match other_content(&self.path) {
            Some(content) => Err(EmbeddedError::OtherContent { data_dir: self.path.clone(), content }),
            None => Ok(()),
        }
    }

    /// Creates the folder unless it exists, and makes sure that the account can enter it.
    pub(crate) fn create(mut self) -> Result<Self, EmbeddedError> {
        create_for(&self.path, self.account, true).map_err(EmbeddedError::folder("create", &self.path))?;
        if let Some(blocking) = blocking_folder(self.account, &self.path) {
            return Err(EmbeddedError::Unreachable { data_dir: self.path, blocking, user: self.account.name() });
        }
        // PostgreSQL resolves links: only so can its working directory be compared with `cluster()`.
        self.path = fs::canonicalize(&self.path).map_err(EmbeddedError::folder("open", &self.path))?;
        Ok(self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path.join("credentials.json")
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.path.join("cluster")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("postgres.log")
    }

    /// Whether `initdb` has done its work here: `cluster` gets its name only afterwards.
    pub(crate) fn has_cluster(&self) -> bool {
        self.cluster().exists()
    }

    /// The major version of the PostgreSQL that wrote the data, if there are any.
    pub(crate) fn major(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(leading_number(text.trim())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(EmbeddedError::folder("read", &path)(error)),
        }
    }

    /// Makes a rename in the folder outlast a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn create_for(path: &Path, account: Account, innermost: bool) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_for(parent, account, false)?;
    }
    match fs::create_dir(path) {
        // Another process that starts at the same time has been faster by a moment, and means the same.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    // Another account has to get through, whatever the umask says; nobody has to list the data folder.
    let mode = match account {
        Account::Invoker if innermost => 0o700,
        Account::Invoker => return Ok(()),
        Account::Other { .. } if innermost => 0o711,
        Account::Other { .. } => 0o755,
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
}
