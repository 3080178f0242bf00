//! What PostgreSQL itself tells about its state, and the end of a server whose owner has gone.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::plain_command;
use crate::folder::Folder;
use crate::{EmbeddedError, poll};

const STOP_LIMIT: Duration = Duration::from_secs(60);

/// `postmaster.pid`, whose lines PostgreSQL's `pidfile.h` lists.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    port: Option<u16>,
    is_ready: bool,
}

/// Whether the server of this folder takes connections on this port.
pub(crate) fn is_ready(folder: &Folder, port: u16) -> Result<bool, EmbeddedError> {
    Ok(read(folder)?.is_some_and(|file| file.is_ready && file.port == Some(port)))
}

/// Stops the server that a dead owner left behind, and removes what one that was killed left behind.
///
/// To be called by the holder of the lock alone.
pub(crate) fn clear_away(folder: &Folder) -> Result<(), EmbeddedError> {
    let Some(PidFile { pid, .. }) = read(folder)? else { return Ok(()) };
    if serves(pid, &folder.cluster()) {
        log::info!("stopping the PostgreSQL (process {pid}) of an owner that has gone");
        kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|errno| {
            EmbeddedError::system(format!("stop the PostgreSQL with process id {pid}"))(errno.into())
        })?;
        let awaited = || format!("the PostgreSQL with process id {pid} has stopped");
        poll::until(STOP_LIMIT, awaited, || Ok((!serves(pid, &folder.cluster())).then_some(())))?;
    }
    // PostgreSQL would not start if another process of the account had got that number meanwhile, as happens in a container. Against
    // backends that are still alive it has another guard, the shared memory block with the folder's inode as its key.
    let path = folder.cluster().join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::folder("remove", &path)(error)),
        _ => Ok(()),
    }
}

fn read(folder: &Folder) -> Result<Option<PidFile>, EmbeddedError> {
    let path = folder.cluster().join("postmaster.pid");
    match fs::read(&path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EmbeddedError::folder("read", &path)(error)),
    }
}

fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().collect();
    // 0 and negative numbers would reach whole groups of processes.
    let pid = lines.first()?.trim().parse().ok().filter(|pid| *pid > 0)?;
    let port = lines.get(3).and_then(|line| line.trim().parse().ok());
    let is_ready = lines.get(7).is_some_and(|line| line.trim() == "ready");
    Some(PidFile { pid, port, is_ready })
}

/// Whether that process is a PostgreSQL server on that folder, and not one that got the number of one.
fn serves(pid: i32, cluster: &Path) -> bool {
    if !Path::new("/proc/self/cmdline").exists() {
        return command_line_from_ps(pid)
            .is_some_and(|line| line.contains("postgres") && line.contains(&*cluster.to_string_lossy()));
    }
    // A zombie has an empty one.
    let Ok(command_line) = fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let program = command_line.split(|byte| *byte == 0).next().unwrap_or_default();
    if Path::new(OsStr::from_bytes(program)).file_name() != Some(OsStr::new("postgres")) {
        return false;
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(working_dir) => working_dir == cluster,
        Err(_) => {
            command_line.windows(cluster.as_os_str().len()).any(|window| window == cluster.as_os_str().as_bytes())
        }
    }
}

fn command_line_from_ps(pid: i32) -> Option<String> {
    let output = plain_command("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_the_eighth_line_says_so() {
        let start = "123\n/data/cluster\n1700000000\n5433\n/data/run\n127.0.0.1\n  1 2\n";
        let file = |is_ready| Some(PidFile { pid: 123, port: Some(5433), is_ready });
        assert_eq!(parse(&format!("{start}ready   \n")), file(true));
        assert_eq!(parse(&format!("{start}starting\n")), file(false));
        assert_eq!(parse(start), file(false));
    }

    #[test]
    fn half_a_file_and_a_group_of_processes_are_not_signalled() {
        assert_eq!(parse("123"), Some(PidFile { pid: 123, port: None, is_ready: false }));
        assert_eq!(parse(""), None);
        assert_eq!(parse("-1\n"), None);
        assert_eq!(parse("0\n"), None);
    }
}
