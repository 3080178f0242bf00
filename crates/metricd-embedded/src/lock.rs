//! The lock on a data folder, which tells who serves it and where.
//!
//! The system releases it however its holder ends. The text inside is the holder's process id and, once the database is ready, its port
//! and the folder of its socket, a line each. `postmaster.pid` would not do for that: after a crash it names a server that has gone, or
//! one that the new holder is about to stop.

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

/// Whoever only looks at the lock has it for a moment.
const PATIENCE: Duration = Duration::from_millis(200);

/// The lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// What a look at the lock shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Starting { pid: Option<u32> },
    Ready { port: u16, socket_dir: PathBuf },
}

impl Lock {
    pub(crate) fn take(folder: &Folder) -> Result<Self, EmbeddedError> {
        let path = folder.lock();
        let cannot = || EmbeddedError::folder("write", &path);
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false).mode(0o600);
        let file = open_file(&mut options, &path).map_err(cannot())?;
        let taken = poll::until(PATIENCE, String::new, || match file.try_lock() {
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

    /// Tells that the database is not ready.
    pub(crate) fn announce_start(&mut self) -> io::Result<()> {
        self.write(&format!("{}\n", process::id()))
    }

    /// Tells where the database is.
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
        // Closing the file is not enough: a process that is just being forked off has it open too, until it becomes another program.
        let released = self.file.set_len(0).and_then(|()| self.file.unlock());
        if let Err(error) = released {
            log::warn!("cannot release the lock on the data folder: {error}");
        }
    }
}

/// Looks who holds the lock at this path.
pub(crate) fn inspect(path: &Path) -> io::Result<Holder> {
    let file = match open_file(OpenOptions::new().read(true), path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock()?;
            Ok(Holder::Nobody)
        }
        Err(TryLockError::WouldBlock) => Ok(parse(&io::read_to_string(file)?)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn parse(text: &str) -> Holder {
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let pid = lines.next().and_then(|line| line.parse().ok());
    let port = lines.next().and_then(|line| line.parse().ok());
    match (pid, port, lines.next()) {
        // A holder that has just taken the lock has not yet replaced what a dead one left.
        (Some(pid), Some(port), Some(socket_dir)) if is_alive(pid) => {
            Holder::Ready { port, socket_dir: socket_dir.into() }
        }
        _ => Holder::Starting { pid },
    }
}

fn is_alive(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_announcement_of_a_living_process_is_believed() {
        let me = process::id();
        let ready = Holder::Ready { port: 5433, socket_dir: "/run/x".into() };
        assert_eq!(parse(&format!("{me}\n5433\n/run/x\n")), ready);
        assert_eq!(parse(&format!("{me}\n5433\n/run")), Holder::Starting { pid: Some(me) });
        assert_eq!(parse("2147483646\n5433\n/run/x\n"), Holder::Starting { pid: Some(2_147_483_646) });
        assert_eq!(parse(""), Holder::Starting { pid: None });
    }
}
