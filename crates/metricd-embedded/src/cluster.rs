//! A cluster from start to stop.

use std::path::{self, Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::connection::ConnectionInfo;
use crate::credentials::Credentials;
use crate::folder::Folder;
use crate::initialise::{create_cluster, remove_unfinished};
use crate::installation::Installation;
use crate::janitor::Janitor;
use crate::lock::{self, Lock, LockState};
use crate::log_file::LogFile;
use crate::ownership::create_socket_folder;
use crate::search::Search;
use crate::server::Server;
use crate::{EmbeddedError, poll};

/// The timeout of [`Cluster::join`]. It is long because the other process may have to create the cluster first.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum length of a socket's path. The system's limit is about 108 bytes, on macOS 104.
const MAX_SOCKET_PATH_BYTES: usize = 100;

/// Which cluster to open, and with which programs.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The data folder, which is created if it does not exist.
    pub data_dir: PathBuf,
    /// Where to look for PostgreSQL.
    pub search: Search,
    /// The roles to store passwords for, in addition to [`OWNER_ROLE`](crate::OWNER_ROLE). The caller creates the
    /// roles.
    pub roles: Vec<String>,
}

/// A running PostgreSQL. It is stopped when this value is dropped and when this process ends, for whatever reason.
#[derive(Debug)]
pub struct Cluster {
    // The order of the fields is the order in which they are dropped.
    server: Server,
    janitor: Option<Janitor>,
    lock: Option<Lock>,
    connection: ConnectionInfo,
}

impl Cluster {
    /// Starts the cluster in a data folder. Creates the cluster first if the folder has none, which takes seconds.
    ///
    /// If an earlier owner of the folder was killed, its server is stopped first.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::InUse`] if another process, or another value in this one, serves the folder; otherwise the
    /// reason why there is no server.
    pub fn open(options: &ClusterOptions) -> Result<Self, EmbeddedError> {
        let data_dir = absolute(&options.data_dir)?;
        let account = Account::for_cluster(&data_dir.join("cluster"))?;
        let folder = Folder::at(data_dir, account);
        folder.check()?;
        // The programs are looked for first: without them nothing must be created.
        let installation = Installation::find(&options.search, folder.major()?)?;
        let folder = folder.create()?;
        // Another process may have created the folder in the meantime.
        folder.check()?;
        let mut lock = Lock::acquire(&folder)?;

        let credentials = Credentials::load_or_create(&folder, &options.roles)?;
        remove_unfinished(&folder);
        if !folder.has_cluster() {
            create_cluster(&folder, &installation, &credentials, None)?;
        }
        LogFile::new(folder.log(), account).rotate().map_err(EmbeddedError::folder("write", &folder.log()))?;
        let (socket_dir, janitor) = socket_dir(&folder)?;
        let mut server = Server::new(folder, installation, socket_dir, false);
        let port = server.start(None, janitor.as_ref())?;
        announce(&mut lock, &server, port)?;
        let connection = ConnectionInfo::new(port, server.socket_dir.clone(), credentials);
        Ok(Self { server, janitor, lock: Some(lock), connection })
    }

    /// The connection to the cluster that another process serves from this folder. Waits until it is ready, at most 60
    /// s. `None` if no process serves the folder.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::TooSlow`] if the cluster is not ready in time, [`EmbeddedError::Folder`] if this user may not
    /// read the folder.
    pub fn join(data_dir: &Path) -> Result<Option<ConnectionInfo>, EmbeddedError> {
        let folder = Folder::at(absolute(data_dir)?, Account::Invoker);
        folder.check()?;
        let mut holder = None;
        poll::until(
            JOIN_TIMEOUT,
            || format!("another metricd has started the database in `{}`", data_dir.display()),
            || match lock::inspect(&folder.lock()).map_err(EmbeddedError::folder("read", &folder.lock()))? {
                LockState::Free => Ok(Some(None)),
                LockState::Ready { port, socket_dir } => {
                    let credentials = Credentials::load(&folder)?;
                    Ok(Some(Some(ConnectionInfo::new(port, socket_dir, credentials))))
                }
                LockState::Starting { pid } => {
                    if holder != Some(pid) {
                        log::info!("waiting for the database that process {} starts", pid.unwrap_or_default());
                        holder = Some(pid);
                    }
                    Ok(None)
                }
            },
        )
    }

    /// Whether the data folder has a cluster, or a process is creating one. Nothing is created.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::ForeignFolder`] and [`EmbeddedError::WritableFolder`].
    pub fn exists(data_dir: &Path) -> Result<bool, EmbeddedError> {
        let folder = Folder::at(absolute(data_dir)?, Account::Invoker);
        folder.check()?;
        let holder = lock::inspect(&folder.lock()).map_err(EmbeddedError::folder("read", &folder.lock()))?;
        Ok(folder.has_cluster() || holder != LockState::Free)
    }

    /// Starts a cluster in a new temporary folder, for tests and for trying something out. It starts fast, and its
    /// folder is removed when this value is dropped or this process ends.
    ///
    /// # Errors
    ///
    /// The reason why there is no server.
    pub fn ephemeral(search: &Search, roles: &[&str]) -> Result<Self, EmbeddedError> {
        let account = Account::for_cluster(Path::new(""))?;
        let installation = Installation::find(search, None)?;
        let janitor = Janitor::spawn(account)?;
        let folder = Folder::at(janitor.folder().to_owned(), account).create()?;
        let credentials = Credentials::generate(roles.iter().copied());
        create_cluster(&folder, &installation, &credentials, Some(&janitor))?;
        let socket_dir = folder.run();
        create_socket_folder(&socket_dir, account).map_err(EmbeddedError::folder("create", &socket_dir))?;
        let mut server = Server::new(folder, installation, socket_dir, true);
        let port = server.start(None, Some(&janitor))?;
        let connection = ConnectionInfo::new(port, server.socket_dir.clone(), credentials);
        Ok(Self { server, janitor: Some(janitor), lock: None, connection })
    }

    /// How to connect to the cluster.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// The path of the data folder, with links resolved.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.server.folder.path()
    }

    /// The installation of PostgreSQL that serves this cluster.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.server.installation
    }

    /// Whether PostgreSQL has ended, by itself or by [`stop_database`](Self::stop_database).
    pub fn has_ended(&mut self) -> bool {
        self.server.has_ended()
    }

    /// Truncates a large log while PostgreSQL writes to it. Call this periodically to bound the log's size.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Folder`] if the log cannot be written.
    pub fn truncate_log(&self) -> Result<(), EmbeddedError> {
        let folder = &self.server.folder;
        let log = LogFile::new(folder.log(), folder.account());
        log.shorten().map_err(EmbeddedError::folder("write", &folder.log()))
    }

    /// Stops PostgreSQL but keeps the folder and the port, as if the server had failed.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::TooSlow`] if PostgreSQL does not stop.
    pub fn stop_database(&mut self) -> Result<(), EmbeddedError> {
        if let Some(lock) = &mut self.lock {
            lock.announce_start().map_err(EmbeddedError::system("write to the lock"))?;
        }
        self.server.stop()
    }

    /// Starts PostgreSQL again after it has ended, at the same address and with the same data.
    ///
    /// # Errors
    ///
    /// The reason why there is no server. For example, another program may use the port now.
    pub fn start_database(&mut self) -> Result<(), EmbeddedError> {
        if !self.has_ended() {
            return Ok(());
        }
        let port = self.server.start(Some(self.connection.port()), self.janitor.as_ref())?;
        self.lock.as_mut().map_or(Ok(()), |lock| announce(lock, &self.server, port))
    }

    /// Stops PostgreSQL, waits until it has ended and releases the folder. Dropping the value does the same, but can
    /// only log an error.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::TooSlow`] if PostgreSQL does not stop.
    pub fn stop(mut self) -> Result<(), EmbeddedError> {
        self.server.stop()
    }
}

fn announce(lock: &mut Lock, server: &Server, port: u16) -> Result<(), EmbeddedError> {
    lock.announce_ready(port, &server.socket_dir).map_err(EmbeddedError::system("write to the lock"))
}

fn absolute(path: &Path) -> Result<PathBuf, EmbeddedError> {
    path::absolute(path).map_err(EmbeddedError::system(format!("make `{}` an absolute path", path.display())))
}

/// The folder for the socket: `run` in the data folder. A temporary folder is used if the path is too long for a socket
/// or has characters that a connection URL cannot hold.
fn socket_dir(folder: &Folder) -> Result<(PathBuf, Option<Janitor>), EmbeddedError> {
    let run = folder.run();
    let fits = run.join(".s.PGSQL.65535").as_os_str().len() <= MAX_SOCKET_PATH_BYTES;
    // Clients read a comma as the separator between several hosts.
    if fits && run.to_str().is_some_and(|text| !text.contains([',', '\n'])) {
        create_socket_folder(&run, folder.account()).map_err(EmbeddedError::folder("create", &run))?;
        return Ok((run, None));
    }
    let janitor = Janitor::spawn(folder.account())?;
    Ok((janitor.folder().to_owned(), Some(janitor)))
}
