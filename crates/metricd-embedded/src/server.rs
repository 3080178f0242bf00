//! The running PostgreSQL server of a cluster.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::installation::Installation;
use crate::janitor::Janitor;
use crate::log_file::LogFile;
use crate::supervisor::Supervisor;
use crate::{EmbeddedError, poll, postmaster};

/// The timeout for a server to accept connections, including recovery after a crash.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// How long starts are retried while the remains of a killed server prevent them.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

const SETTINGS: [&str; 4] = ["listen_addresses=127.0.0.1", "max_connections=100", "timezone=UTC", "log_timezone=UTC"];

/// The limit on the private memory of each PostgreSQL process, in KiB, in addition to the shared memory. A statement
/// that exceeds it fails with "out of memory" instead of exhausting the machine's memory. On a system without this
/// limit, there is none.
const MAX_PROCESS_KIB: &str = "1048576";
const ULIMIT_SCRIPT: &str = r#"ulimit -d "$1" 2>/dev/null; shift; exec "$@""#;

/// Settings for data that may be lost. If a setting is given twice, the last value counts.
const EPHEMERAL_SETTINGS: [&str; 6] = [
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "shared_buffers=32MB",
    "max_connections=300",
    "max_wal_size=256MB",
];

/// The parameters of a PostgreSQL server, and its process while it runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) folder: Folder,
    pub(crate) installation: Installation,
    pub(crate) socket_dir: PathBuf,
    is_ephemeral: bool,
    process: Option<Supervisor>,
}

impl Server {
    pub(crate) fn new(folder: Folder, installation: Installation, socket_dir: PathBuf, is_ephemeral: bool) -> Self {
        Self { folder, installation, socket_dir, is_ephemeral, process: None }
    }

    /// Starts PostgreSQL on this port, or on a free one, and waits until it accepts connections. Returns the port.
    pub(crate) fn start(&mut self, port: Option<u16>, janitor: Option<&Janitor>) -> Result<u16, EmbeddedError> {
        let deadline = Instant::now() + RETRY_TIMEOUT;
        loop {
            postmaster::stop_stale_server(&self.folder)?;
            let attempted = match port {
                Some(port) => port,
                None => free_port().map_err(EmbeddedError::system("find a free port"))?,
            };
            match self.try_start(attempted, janitor) {
                Ok(()) => return Ok(attempted),
                Err(EmbeddedError::Start { log })
                    if Instant::now() < deadline && is_transient(&log, port.is_none()) =>
                {
                    log::info!("PostgreSQL did not start, trying again:\n{log}");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether PostgreSQL has ended or was never started.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| !matches!(process.status(), Ok(None)))
    }

    /// Stops PostgreSQL if it runs.
    pub(crate) fn stop(&mut self) -> Result<(), EmbeddedError> {
        self.process.take().map_or(Ok(()), Supervisor::stop)
    }

    fn try_start(&mut self, port: u16, janitor: Option<&Janitor>) -> Result<(), EmbeddedError> {
        let log = LogFile::new(self.folder.log(), self.folder.account());
        let size_before = log.size_bytes();
        let file = log.open().map_err(EmbeddedError::folder("write", &self.folder.log()))?;
        let lease = janitor.map(Janitor::lease).transpose()?.flatten();
        let shell: [OsString; 4] =
            ["-c".into(), ULIMIT_SCRIPT.into(), "metricd-embedded".into(), MAX_PROCESS_KIB.into()];
        let program = self.installation.program("postgres").into_os_string();
        let arguments = shell.into_iter().chain([program]).chain(self.arguments(port));
        let mut process = Supervisor::spawn(self.folder.account(), Path::new("/bin/sh"), arguments, file, lease)
            .map_err(EmbeddedError::system("start `postgres`"))?;
        poll::until(
            READY_TIMEOUT,
            || "PostgreSQL is ready".to_owned(),
            || {
                if process.status()?.is_some() {
                    return Err(EmbeddedError::Start { log: log.tail(size_before) });
                }
                Ok(postmaster::is_ready(&self.folder, port)?.then_some(()))
            },
        )?;
        self.process = Some(process);
        Ok(())
    }

    fn arguments(&self, port: u16) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.folder.cluster().into()];
        let mut set = |setting: &str| arguments.extend(["-c".into(), setting.into()]);
        SETTINGS.into_iter().for_each(&mut set);
        if self.is_ephemeral {
            EPHEMERAL_SETTINGS.into_iter().for_each(&mut set);
        }
        set(&format!("port={port}"));
        set(&format!("unix_socket_directories={}", quoted(&self.socket_dir)));
        arguments
    }
}

/// Quotes the folder's name as one item of a list: the setting is a list, and the name may contain a separator.
fn quoted(folder: &Path) -> String {
    format!("\"{}\"", folder.display().to_string().replace('"', "\"\""))
}

/// Whether the reason why PostgreSQL did not start is transient: a port in use, if another port may be used; processes
/// of a killed server; another server that was starting when its owner was killed.
fn is_transient(log: &str, may_change_port: bool) -> bool {
    (may_change_port && log.contains("could not create any TCP/IP sockets"))
        || log.contains("pre-existing shared memory block")
        || log.contains("lock file \"postmaster.pid\" already exists")
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_item_of_the_list() {
        assert_eq!(quoted(Path::new("/a, \"b\"")), "\"/a, \"\"b\"\"\"");
    }

    #[test]
    fn a_fixed_port_in_use_is_not_transient() {
        let taken = "FATAL:  could not create any TCP/IP sockets";
        assert!(is_transient(taken, true));
        assert!(!is_transient(taken, false));
    }
}
