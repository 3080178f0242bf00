//! Reads PostgreSQL's `postmaster.pid`, and stops servers whose owner has ended.

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

/// The signals that stop a server, in order, each with its timeout. A fast shutdown waits for sessions to end. Some
/// functions of PostgreSQL prevent that, since they do not check for interrupts. An immediate shutdown ends them
/// nevertheless.
const STOP_SIGNALS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(10)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
    (Signal::SIGKILL, Duration::from_secs(10)),
];

/// The signals for processes whose server has ended, in order, each with its timeout. Such processes hold the server's
/// shared memory, so the next server cannot start.
const ORPHAN_STOP_SIGNALS: [(Signal, Duration); 2] =
    [(Signal::SIGQUIT, Duration::from_secs(2)), (Signal::SIGKILL, Duration::from_secs(10))];

/// The content of `postmaster.pid`. PostgreSQL's `pidfile.h` lists its lines.
#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    port: Option<u16>,
    is_ready: bool,
}

/// Whether the server of this folder accepts connections on this port.
pub(crate) fn is_ready(folder: &Folder, port: u16) -> Result<bool, EmbeddedError> {
    Ok(read(folder)?.is_some_and(|file| file.is_ready && file.port == Some(port)))
}

/// Stops a server whose owner has ended, and removes the remains of a killed server.
///
/// Only the holder of the lock may call this.
pub(crate) fn stop_stale_server(folder: &Folder) -> Result<(), EmbeddedError> {
    let Some(PidFile { pid, .. }) = read(folder)? else { return stop_orphans(folder) };
    if serves(pid, &folder.cluster()) {
        log::info!("stopping PostgreSQL (process {pid}), whose owner has ended");
        stop(&STOP_SIGNALS, || if serves(pid, &folder.cluster()) { vec![pid] } else { Vec::new() })?;
    }
    stop_orphans(folder)?;
    // If another process of the account had that process id now, as happens in a container, PostgreSQL would not start.
    // PostgreSQL detects backends that are still alive by other means: the shared memory block, whose key is the
    // folder's inode.
    let path = folder.cluster().join("postmaster.pid");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::folder("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Stops the processes of a server on this folder that has ended itself, for example because it was killed while a
/// backend was busy.
fn stop_orphans(folder: &Folder) -> Result<(), EmbeddedError> {
    let cluster = folder.cluster();
    let orphans = processes_in(&cluster);
    if orphans.is_empty() {
        return Ok(());
    }
    log::info!("stopping processes that a PostgreSQL server left behind: {orphans:?}");
    stop(&ORPHAN_STOP_SIGNALS, || processes_in(&cluster))
}

/// Sends the signals one after the other, each to the processes that are left, until there are none.
fn stop(stops: &[(Signal, Duration)], left: impl Fn() -> Vec<i32>) -> Result<(), EmbeddedError> {
    let mut slow = Ok(());
    for (signal, limit) in stops {
        let pids = left();
        if pids.is_empty() {
            return Ok(());
        }
        for pid in &pids {
            match kill(Pid::from_raw(*pid), *signal) {
                // The process has ended in the meantime.
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

/// The PostgreSQL processes whose working directory is this folder, as it is for all processes of its server. Only the
/// holder of the lock runs a server here, so these processes are its own or those of a dead holder. On a system without
/// `/proc` the result is empty.
fn processes_in(cluster: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let is_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster);
        // PostgreSQL changes its process title, which hides the program's name.
        is_there && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| is_postgres(&program))
    })
    .collect()
}

/// Whether this is PostgreSQL's program, even if the file was replaced by a newer one.
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
    // A process id of 0 or below would signal whole process groups.
    let pid = lines.first()?.trim().parse().ok().filter(|pid| *pid > 0)?;
    let port = lines.get(3).and_then(|line| line.trim().parse().ok());
    let is_ready = lines.get(7).is_some_and(|line| line.trim() == "ready");
    Some(PidFile { pid, port, is_ready })
}

/// Whether the process is a PostgreSQL server on this folder, and not an unrelated process with a reused id.
fn serves(pid: i32, cluster: &Path) -> bool {
    if !Path::new("/proc/self/cmdline").exists() {
        return command_line_from_ps(pid)
            .is_some_and(|line| line.contains("postgres") && line.contains(&*cluster.to_string_lossy()));
    }
    // The command line of a zombie is empty.
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
    fn a_server_is_ready_if_the_eighth_line_is_ready() {
        let start = "123\n/data/cluster\n1700000000\n5433\n/data/run\n127.0.0.1\n  1 2\n";
        let file = |is_ready| Some(PidFile { pid: 123, port: Some(5433), is_ready });
        assert_eq!(parse(&format!("{start}ready   \n")), file(true));
        assert_eq!(parse(&format!("{start}starting\n")), file(false));
        assert_eq!(parse(start), file(false));
    }

    #[test]
    fn incomplete_files_are_parsed_and_process_groups_are_refused() {
        assert_eq!(parse("123"), Some(PidFile { pid: 123, port: None, is_ready: false }));
        assert_eq!(parse(""), None);
        assert_eq!(parse("-1\n"), None);
        assert_eq!(parse("0\n"), None);
    }
}
