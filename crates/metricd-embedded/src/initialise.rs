//! Making an empty cluster.

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
use crate::ownership::{give_file, give_folder, open_file};
use crate::supervisor::Supervisor;
use crate::{EmbeddedError, OWNER_ROLE, poll};

/// What an unfinished cluster's name starts with. The rest is random, for an `initdb` whose owner was killed may still be writing.
const UNFINISHED: &str = "cluster.new";

const LIMIT: Duration = Duration::from_secs(120);

/// The first locale that the system has is used; both sort by code point, as the same data should on every machine.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// Removes what an interrupted [`create_cluster`] left.
pub(crate) fn remove_unfinished(folder: &Folder) {
    // Mostly there is none.
    let _ = fs::remove_file(PasswordFile::path(folder));
    for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("cannot remove the unfinished cluster `{}`: {error}", entry.path().display());
        }
    }
}

/// Makes an empty cluster under a provisional name and then gives it the proper one, so that there is never half a cluster.
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
        .prefix(&format!("{UNFINISHED}-"))
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder.path())
        .map_err(cannot())?;
    give_folder(cluster.path(), folder.account()).map_err(cannot())?;

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
    let pass = janitor.map(Janitor::pass).transpose()?.flatten();
    let mut initdb = Supervisor::spawn(folder.account(), &installation.program("initdb"), arguments, file, pass)
        .map_err(EmbeddedError::system("start `initdb`"))?;
    let status = poll::until(LIMIT, || "`initdb` has created the database".to_owned(), || initdb.status())?;
    if status.success() { Ok(()) } else { Err(EmbeddedError::Initialise { log: log.tail(size_before) }) }
}

/// A password which the account alone can read, for as long as `initdb` runs: the list of processes shows arguments to everyone.
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
        give_file(&file, folder.account())?;
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
