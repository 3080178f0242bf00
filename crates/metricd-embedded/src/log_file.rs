//! The log file of PostgreSQL's programs. Its last lines are quoted in error messages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::account::Account;
use crate::ownership::{chown_file, open_file};

const ROTATE_AT_BYTES: u64 = 8 * 1024 * 1024;
const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 16 * 1024;

/// The log of one data folder.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    account: Account,
}

impl LogFile {
    pub(crate) fn new(path: PathBuf, account: Account) -> Self {
        Self { path, account }
    }

    /// Renames a log of more than 8 MiB to `postgres.log.old`, which replaces the previous one.
    pub(crate) fn rotate(&self) -> io::Result<()> {
        if self.size_bytes() > ROTATE_AT_BYTES {
            fs::rename(&self.path, self.path.with_extension("log.old"))?;
        }
        Ok(())
    }

    /// Copies the last 8 MiB of a larger log to `postgres.log.old` and empties the log. PostgreSQL has the log open for
    /// appending and continues at its start. What PostgreSQL writes between the two steps is lost.
    pub(crate) fn shorten(&self) -> io::Result<()> {
        let size_bytes = self.size_bytes();
        if size_bytes <= ROTATE_AT_BYTES {
            return Ok(());
        }
        let mut log = open_file(OpenOptions::new().read(true).write(true), &self.path)?;
        log.seek(SeekFrom::Start(size_bytes.saturating_sub(ROTATE_AT_BYTES)))?;
        let aside = self.path.with_extension("log.old");
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut old = open_file(OpenOptions::new().write(true).create_new(true).mode(0o600), &aside)?;
        io::copy(&mut (&mut log).take(ROTATE_AT_BYTES), &mut old)?;
        log.set_len(0)
    }

    /// Opens the log for appending.
    pub(crate) fn open(&self) -> io::Result<File> {
        // The log is private, since failed statements are logged in full.
        let file = open_file(OpenOptions::new().create(true).append(true).mode(0o600), &self.path)?;
        chown_file(&file, self.account)?;
        Ok(file)
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The last 12 lines that were written after the log had this size, in bytes.
    pub(crate) fn tail(&self, from_bytes: u64) -> String {
        let read = || -> io::Result<String> {
            let mut file = open_file(OpenOptions::new().read(true), &self.path)?;
            file.seek(SeekFrom::Start(from_bytes.max(self.size_bytes().saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_else(|error| format!("(`{}` cannot be read: {error})", self.path.display()));
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_is_truncated_while_it_is_written_and_its_end_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("log"), Account::Invoker);
        let mut writer = log.open().unwrap();
        let line = [b'x'; 1023];
        for number in 0..9 * 1024 {
            writer.write_all(&line).unwrap();
            writeln!(writer).unwrap();
            if number == 7 * 1024 {
                log.shorten().unwrap();
                assert!(log.size_bytes() > 7 << 20, "not yet too large");
            }
        }
        writeln!(writer, "the end").unwrap();
        for _ in 0..2 {
            log.shorten().unwrap();
            writeln!(writer, "new").unwrap();
        }
        assert_eq!(fs::read_to_string(&log.path).unwrap(), "new\nnew\n");
        let old = fs::read_to_string(log.path.with_extension("log.old")).unwrap();
        assert!(old.ends_with("\nthe end\n") && old.len() as u64 <= ROTATE_AT_BYTES);
    }

    #[test]
    fn the_tail_starts_at_the_given_size_and_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::new(folder.path().join("log"), Account::Invoker);
        fs::write(&log.path, "old\n").unwrap();
        let from = log.size_bytes();
        let lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        fs::write(&log.path, format!("old\n{}\n", lines.join("\n\n"))).unwrap();
        let tail = log.tail(from);
        assert!(tail.starts_with("line 28") && tail.ends_with("line 39"), "{tail}");
        fs::write(&log.path, "old\nnew\n").unwrap();
        assert_eq!(log.tail(from), "new");
    }
}
