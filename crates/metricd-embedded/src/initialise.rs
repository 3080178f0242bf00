//! Creates an empty cluster.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::credentials::Credentials;
use crate::folder::Folder;
use crate::installation::Installation;
use crate::janitor::Janitor;
use crate::log_file::LogFile;
use crate::ownership::{chown_file, chown_folder, open_file};
use crate::supervisor::Supervisor;
use crate::{EmbeddedError, OWNER_ROLE, poll};

/// The prefix of an unfinished cluster's name. The rest of the name is random, since an `initdb` whose owner was killed
/// may still be writing.
const UNFINISHED_PREFIX: &str = "cluster.new";

const INITDB_TIMEOUT: Duration = Duration::from_secs(120);

/// The locales, in order of preference: the first that the system has is used. Both sort by code point, so that the
/// same data sort alike on every machine.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// Removes the remains of an interrupted [`create_cluster`].
pub(crate) fn remove_unfinished(folder: &Folder) {
    // In most cases there is no such file.
    let _ = fs::remove_file(PasswordFile::path(folder));
    for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("cannot remove the unfinished cluster `{}`: {error}", entry.path().display());
        }
    }
}

/// Creates an empty cluster under a temporary name and renames it when it is complete, so that `cluster` is never
/// incomplete.
pub(crate) fn create_cluster(
    folder: &Folder,
    installation: &Installation,
    credentials: &Credentials,
    janitor: Option<&Janitor>,
) -> Result<(), EmbeddedError> {
    log::info!("creating a PostgreSQL {} database in `{}`", installation.major(), folder.path().display());
    let cannot = || EmbeddedError::folder("write", folder.path());
    let password = PasswordFile::write(folder, credentials.password(OWNER_ROLE)?.expose_secret()).map_err(cannot())?;
    let cluster = tempfile::Builder::new()
        .prefix(&format!("{UNFINISHED_PREFIX}-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder.path())
        .map_err(cannot())?;
    chown_folder(cluster.path(), folder.account()).map_err(cannot())?;

    let log = LogFile::new(folder.log(), folder.account());
    let [first, fallback] = LOCALES;
    match run_initdb(folder, installation, &arguments(cluster.path(), &password, first, janitor), &log, janitor) {
        Err(EmbeddedError::Initialise { log: reason }) if reason.contains("locale") => {
            run_initdb(folder, installation, &arguments(cluster.path(), &password, fallback, janitor), &log, janitor)?;
        }
        result => result?,
    }
    fs::rename(cluster.keep(), folder.cluster()).and_then(|()| folder.sync()).map_err(cannot())
}

fn arguments(cluster: &Path, password: &PasswordFile, locale: &str, janitor: Option<&Janitor>) -> Vec<OsString> {
    let mut password_file = OsString::from("--pwfile=");
    password_file.push(&password.path);
    let mut arguments: Vec<OsString> = vec![
        "--auth=scram-sha-256".into(),
        format!("--username={OWNER_ROLE}").into(),
        password_file,
        "--encoding=UTF8".into(),
        format!("--locale={locale}").into(),
        "--no-instructions".into(),
        "-D".into(),
        cluster.into(),
    ];
    if janitor.is_some() {
        arguments.push("--no-sync".into());
    }
    arguments
}

fn run_initdb(
    folder: &Folder,
    installation: &Installation,
    arguments: &[OsString],
    log: &LogFile,
    janitor: Option<&Janitor>,
) -> Result<(), EmbeddedError> {
    let size_before = log.size_bytes();
    let file = log.open().map_err(EmbeddedError::folder("write", &folder.log()))?;
    let lease = janitor.map(Janitor::lease).transpose()?.flatten();
    let mut initdb = Supervisor::spawn(folder.account(), &installation.program("initdb"), arguments, file, lease)
        .map_err(EmbeddedError::system("start `initdb`"))?;
    let status = poll::until(INITDB_TIMEOUT, || "`initdb` has created the database".to_owned(), || initdb.status())?;
    if status.success() { Ok(()) } else { Err(EmbeddedError::Initialise { log: log.tail(size_before) }) }
}

/// A file with a password that only the account can read. It exists while `initdb` runs. A password among the arguments
/// would be visible to every user in the list of processes.
#[derive(Debug)]
struct PasswordFile {
    path: PathBuf,
}

impl PasswordFile {
    fn path(folder: &Folder) -> PathBuf {
        folder.path().join("initdb.password")
    }

    fn write(folder: &Folder, password: &str) -> io::Result<Self> {
        let path = Self::path(folder);
        let mut file = open_file(OpenOptions::new().write(true).create_new(true).mode(0o600), &path)?;
        let this = Self { path };
        chown_file(&file, folder.account())?;
        writeln!(file, "{password}")?;
        Ok(this)
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::warn!("cannot remove `{}`: {error}", self.path.display());
        }
    }
}
