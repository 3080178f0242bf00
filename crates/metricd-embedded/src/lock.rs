//! The lock on a data folder. It records which process serves the folder and where.
//!
//! The system releases the lock when its holder ends, for whatever reason. The file contains the holder's process id
//! and, once the database is ready, its port and the folder of its socket, one a line. `postmaster.pid` cannot serve
//! this purpose: after a crash it names a server that has ended, or one that the new holder is about to stop.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::folder::Folder;
use crate::ownership::{open_file, read_to_string};
use crate::{EmbeddedError, poll};

/// The timeout for the lock. A process that only inspects the lock holds it briefly.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// The state of a lock.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LockState {
    Free,
    Starting { pid: Option<u32> },
    Ready { port: u16, socket_dir: PathBuf },
}

impl Lock {
    pub(crate) fn acquire(folder: &Folder) -> Result<Self, EmbeddedError> {
        let path = folder.lock();
        let cannot = || EmbeddedError::folder("write", &path);
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false).mode(0o600);
        let file = open_file(&mut options, &path).map_err(cannot())?;
        let taken = poll::until(LOCK_TIMEOUT, String::new, || match file.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(cannot()(error)),
        });
        match taken {
            Ok(()) => {}
            Err(EmbeddedError::TooSlow { .. }) => {
                let pid = read_to_string(&path).ok().and_then(|text| text.lines().next()?.parse().ok());
                return Err(EmbeddedError::InUse { pid, data_dir: folder.path().to_owned() });
            }
            Err(error) => return Err(error),
        }
        let mut lock = Self { file };
        lock.announce_start().map_err(cannot())?;
        Ok(lock)
    }

    /// Records that the database is not ready.
    pub(crate) fn announce_start(&mut self) -> io::Result<()> {
        self.write(&format!("{}\n", process::id()))
    }

    /// Records the address of the database.
    pub(crate) fn announce_ready(&mut self, port: u16, socket_dir: &Path) -> io::Result<()> {
        self.write(&format!("{}\n{port}\n{}\n", process::id(), socket_dir.display()))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process between `fork` and `exec` has the file open too.
        let released = self.file.set_len(0).and_then(|()| self.file.unlock());
        if let Err(error) = released {
            log::warn!("cannot release the lock on the data folder: {error}");
        }
    }
}

/// Inspects the lock at this path.
pub(crate) fn inspect(path: &Path) -> io::Result<LockState> {
    let file = match open_file(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockState::Free),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock()?;
            Ok(LockState::Free)
        }
        Err(TryLockError::WouldBlock) => Ok(parse(&io::read_to_string(file)?)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn parse(text: &str) -> LockState {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let pid = lines.next().and_then(|line| line.parse().ok());
    let port = lines.next().and_then(|line| line.parse().ok());
    match (pid, port, lines.next()) {
        // A new holder may not have replaced the text of a dead one yet.
        (Some(pid), Some(port), Some(socket_dir)) if is_alive(pid) => {
            LockState::Ready { port, socket_dir: socket_dir.into() }
        }
        _ => LockState::Starting { pid },
    }
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_announcement_of_a_living_process_counts() {
        let me = process::id();
        let ready = LockState::Ready { port: 5433, socket_dir: "/run/x".into() };
        assert_eq!(parse(&format!("{me}\n5433\n/run/x\n")), ready);
        assert_eq!(parse(&format!("{me}\n5433\n/run")), LockState::Starting { pid: Some(me) });
        assert_eq!(parse("2147483646\n5433\n/run/x\n"), LockState::Starting { pid: Some(2_147_483_646) });
        assert_eq!(parse(""), LockState::Starting { pid: None });
    }
}
