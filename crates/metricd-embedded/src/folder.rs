//! The data folder: its layout and its creation.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::EmbeddedError;
use crate::account::Account;
use crate::ownership::{check_owner, foreign_content};
use crate::reach::blocking_folder;
use crate::search::leading_number;

/// A data folder and the account that runs PostgreSQL on it.
///
/// | name | content | owner |
/// |---|---|---|
/// | `lock` | held while a process serves the folder; see [`crate::lock`] | the user of this process |
/// | `credentials.json` | the passwords of the roles | the user of this process |
/// | `cluster/` | PostgreSQL's own data folder | the account |
/// | `run/` | the Unix socket | the account |
/// | `postgres.log` | the output of PostgreSQL and `initdb` | the account |
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    account: Account,
}

impl Folder {
    /// The folder at an absolute path. Nothing is created.
    pub(crate) fn at(path: PathBuf, account: Account) -> Self {
        Self { path, account }
    }

    /// Refuses a folder that another user owns or may write to, and a folder with content that is not metricd's.
    pub(crate) fn check(&self) -> Result<(), EmbeddedError> {
        check_owner(&self.path)?;
        match foreign_content(&self.path) {
            Some(content) => Err(EmbeddedError::OtherContent { data_dir: self.path.clone(), content }),
            None => Ok(()),
        }
    }

    /// Creates the folder unless it exists, and checks that the account can enter it.
    pub(crate) fn create(mut self) -> Result<Self, EmbeddedError> {
        create_for(&self.path, self.account, true).map_err(EmbeddedError::folder("create", &self.path))?;
        if let Some(blocking) = blocking_folder(self.account, &self.path) {
            return Err(EmbeddedError::Unreachable { data_dir: self.path, blocking, user: self.account.name() });
        }
        // PostgreSQL resolves links, so only a resolved path can be compared with its working directory.
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

    /// Whether the folder has a complete cluster: `cluster` gets its name only after `initdb` has succeeded.
    pub(crate) fn has_cluster(&self) -> bool {
        self.cluster().exists()
    }

    /// The major version of the PostgreSQL that wrote the data. `None` if there are no data.
    pub(crate) fn major(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(leading_number(text.trim())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(EmbeddedError::folder("read", &path)(error)),
        }
    }

    /// Syncs the folder, so that a rename in it survives a power failure.
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
        // Another process that starts at the same time has created the folder first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    // Another account must be able to pass through, whatever the umask is. Nobody else needs to list the data folder.
    let mode = match account {
        Account::Invoker if innermost => 0o700,
        Account::Invoker => return Ok(()),
        Account::Other { .. } if innermost => 0o711,
        Account::Other { .. } => 0o755,
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
}
