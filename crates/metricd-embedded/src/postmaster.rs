//! What PostgreSQL itself tells about its state, and the end of a server whose owner has gone.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::account::plain_command;
use crate::folder::Folder;
use crate::{EmbeddedError, poll};

/// How a server is stopped: by which signal, and how long that is waited for. A fast shutdown waits for sessions to end, which
/// some functions of PostgreSQL prevent, since they do not look for interrupts; an immediate one ends them all the same.
const STOPS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(10)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// The same for processes whose server has gone. They hold its shared memory, so that the next one cannot start.
const ORPHAN_STOPS: [(Signal, Duration); 2] =
    [(Signal::SIGQUIT, Duration::from_secs(2)), (Signal::SIGKILL, Duration::from_secs(10))];

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
    let Some(PidFile { pid, .. }) = read(folder)? else { return end_orphans(folder) };
    if serves(pid, &folder.cluster()) {
        log::info!("stopping the PostgreSQL (process {pid}) of an owner that has gone");
        stop(&STOPS, || if serves(pid, &folder.cluster()) { vec![pid] } else { Vec::new() })?;
    }
    end_orphans(folder)?;
    // PostgreSQL would not start if another process of the account had got that number meanwhile, as happens in a container. Against
    // backends that are still alive it has another guard, the shared memory block with the folder's inode as its key.
    let path = folder.cluster().join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::folder("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Ends processes of a server on this folder that has gone itself, as when it was killed while one of them computed.
fn end_orphans(folder: &Folder) -> Result<(), EmbeddedError> {
    let cluster = folder.cluster();
    let orphans = processes_in(&cluster);
    if orphans.is_empty() {
        return Ok(());
    }
    log::info!("ending processes of a PostgreSQL that has gone: {orphans:?}");
    stop(&ORPHAN_STOPS, || processes_in(&cluster))
}

/// Sends the signals one after the other, each to those that are left then, until none is.
fn stop(stops: &[(Signal, Duration)], left: impl Fn() -> Vec<i32>) -> Result<(), EmbeddedError> {
    let mut slow = Ok(());
    for (signal, limit) in stops {
        let pids = left();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in &pids {
            match kill(Pid::from_raw(*pid), *signal) {
                // It has ended since.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    let action = format!("stop the PostgreSQL with process id {pid}");
                    return Err(EmbeddedError::system(action)(errno.into()));
                }
            }
        }
        let awaited = || format!("the PostgreSQL with process id {} has stopped", pids[0]);
        slow = poll::until(*limit, awaited, || Ok(left().is_empty().then_some(())));
        if !matches!(slow, Err(EmbeddedError::TooSlow { .. })) {
            return slow;
        }
    }
    slow
}

/// The processes of a PostgreSQL on this folder, which is where all of them work. Only the holder of the lock has one, so that
/// these are its own or a dead holder's. Where the system does not show them (it has no `/proc`), none is known.
fn processes_in(cluster: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let is_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster);
        // The title that a process of PostgreSQL gives itself hides its name.
        is_there && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| is_postgres(&program))
    })
    .collect()
}

/// Whether this is PostgreSQL's program, also where a newer one has replaced it since.
fn is_postgres(program: &Path) -> bool {
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.trim_end_matches(" (deleted)") == "postgres"
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
