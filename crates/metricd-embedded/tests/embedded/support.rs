//! Helpers for folders, queries and processes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use metricd_embedded::{Cluster, ClusterOptions, ConnectionInfo, Installation, OWNER_ROLE, Search};
use nix::unistd::{User, geteuid};
use secrecy::ExposeSecret;
use tempfile::TempDir;

pub(crate) fn search() -> Search {
    Search::system(std::env::var_os("PATH"))
}

/// A new folder that every user can enter, as most project folders are.
pub(crate) fn project() -> TempDir {
    let folder = tempfile::Builder::new().prefix("metricd-test-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

pub(crate) fn options(data_dir: impl Into<PathBuf>) -> ClusterOptions {
    ClusterOptions { data_dir: data_dir.into(), search: search(), roles: vec!["reader".to_owned()] }
}

pub(crate) fn open(data_dir: impl Into<PathBuf>) -> Cluster {
    Cluster::open(&options(data_dir)).unwrap()
}

/// psql, without the user's own settings.
pub(crate) fn psql() -> Command {
    let installation = Installation::find(&search(), None).unwrap();
    // The server program may be a link, for example in /usr/local/bin, without a link to psql next to it.
    let program = installation.bin_dir().join("postgres").canonicalize().unwrap().with_file_name("psql");
    let mut psql = Command::new(program);
    psql.arg("-XAtq").current_dir("/");
    psql
}

/// Runs a query with psql and returns its output, or its error.
pub(crate) fn try_query(connection: &ConnectionInfo, sql: &str) -> Result<String, String> {
    let output = psql()
        .arg("--host")
        .arg(connection.socket_dir())
        .args(["--port", &connection.port().to_string(), "--username", OWNER_ROLE, "--dbname", "postgres", "-c", sql])
        .env("PGPASSWORD", connection.password(OWNER_ROLE).unwrap().expose_secret())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

pub(crate) fn query(connection: &ConnectionInfo, sql: &str) -> String {
    try_query(connection, sql).unwrap()
}

/// The process id of the server, from `postmaster.pid`.
pub(crate) fn server_pid(data_dir: &Path) -> u32 {
    let text = fs::read_to_string(data_dir.join("cluster/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

/// Whether a process runs. A zombie does not.
pub(crate) fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

pub(crate) fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| Path::new(&format!("/proc/{number}/stat")).exists() && parent_of(*number) == parent)
        .collect()
}

#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(5));
    }
}

pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Makes the user `nobody` the owner of a folder.
pub(crate) fn give_to_nobody(path: &Path) {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    chown(path, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
}
