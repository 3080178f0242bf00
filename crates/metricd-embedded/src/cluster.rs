//! A cluster from its opening to its end.

use std::path::{self, Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::connection::ConnectionInfo;
use crate::credentials::Credentials;
use crate::folder::Folder;
use crate::initialise::{create_cluster, remove_unfinished};
use crate::installation::Installation;
use crate::janitor::Janitor;
use crate::lock::{self, Holder, Lock};
use crate::log_file::LogFile;
use crate::ownership::create_socket_folder;
use crate::search::Search;
use crate::server::Server;
use crate::{EmbeddedError, poll};

/// Creating a cluster may be part of what the holder does.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

/// The path of a socket has about 108 bytes, on macOS 104.
const SOCKET_PATH_BYTES: usize = 100;

/// Which cluster to open, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder, which is created if it does not exist.
    pub data_dir: PathBuf,
    /// Where to look for PostgreSQL.
    pub search: Search,
    /// Roles besides [`OWNER_ROLE`](crate::OWNER_ROLE) to keep a password for. Creating them is the caller's business.
    pub roles: Vec<String>,
}

/// A running PostgreSQL, which is stopped with this value or with this process, however that ends.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they have to go.
    server: Server,
    janitor: Option<Janitor>,
    lock: Option<Lock>,
    connection: ConnectionInfo,
}

impl Cluster {
    /// Starts the cluster in a data folder, which gets one if it has none. The first time takes seconds.
    ///
    /// What an earlier owner left that was killed is no obstacle, be it a server that still runs.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::InUse`] if another process, or another value in this one, serves the folder; otherwise why there is no server.
    pub fn open(options: &Options) -> Result<Self, EmbeddedError> {
        let data_dir = absolute(&options.data_dir)?;
        let account = Account::for_cluster(&data_dir.join("cluster"))?;
        let folder = Folder::at(data_dir, account);
        folder.require_own()?;
        // Before anything is created: without the programs there is nothing to create it for.
        let installation = Installation::find(&options.search, folder.major()?)?;
        let folder = folder.create()?;
        // It may have been made in between, by somebody else.
        folder.require_own()?;
        let mut lock = Lock::take(&folder)?;

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

    /// The address of the cluster which another process serves from this folder, once it is ready; `None` if nobody does.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::TooSlow`] if it does not get ready, [`EmbeddedError::Folder`] if this user may not read the folder.
    pub fn join(data_dir: &Path) -> Result<Option<ConnectionInfo>, EmbeddedError> {
        let folder = Folder::at(absolute(data_dir)?, Account::Invoker);
        folder.require_own()?;
        let mut holder = None;
        poll::until(
            JOIN_LIMIT,
            || format!("another metricd has started the database in `{}`", data_dir.display()),
            || match lock::inspect(&folder.lock()).map_err(EmbeddedError::folder("read", &folder.lock()))? {
                Holder::Nobody => Ok(Some(None)),
                Holder::Ready { port, socket_dir } => {
                    let credentials = Credentials::load(&folder)?;
                    Ok(Some(Some(ConnectionInfo::new(port, socket_dir, credentials))))
                }
                Holder::Starting { pid } => {
                    if holder != Some(pid) {
                        log::info!("waiting for the database that process {} starts", pid.unwrap_or_default());
                        holder = Some(pid);
                    }
                    Ok(None)
                }
            },
        )
    }

    /// Whether the data folder has a cluster, or somebody is making one. Nothing is created.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::ForeignFolder`] and [`EmbeddedError::WritableFolder`].
    pub fn exists(data_dir: &Path) -> Result<bool, EmbeddedError> {
        let folder = Folder::at(absolute(data_dir)?, Account::Invoker);
        folder.require_own()?;
        let holder = lock::inspect(&folder.lock()).map_err(EmbeddedError::folder("read", &folder.lock()))?;
        Ok(folder.has_cluster() || holder != Holder::Nobody)
    }

    /// Starts a cluster for tests and for trying something out, in a fresh temporary folder: fast, and gone with this value or
    /// with this process.
    ///
    /// # Errors
    ///
    /// Why there is no server.
    pub fn ephemeral(search: &Search, roles: &[&str]) -> Result<Self, EmbeddedError> {
        let account = Account::for_cluster(Path::new(""))?;
        let installation = Installation::find(search, None)?;
        let janitor = Janitor::hire(account)?;
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

    /// How to connect.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// The data folder, with links resolved.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.server.folder.path()
    }

    /// The programs that serve this cluster.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.server.installation
    }

    /// Whether PostgreSQL has ended, by itself or by [`stop_database`](Self::stop_database).
    pub fn has_ended(&mut self) -> bool {
        self.server.has_ended()
    }

    /// Keeps the log from growing without end, while PostgreSQL writes to it. To be called every now and then.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::Folder`] if the log cannot be written.
    pub fn keep_log_small(&self) -> Result<(), EmbeddedError> {
        let folder = &self.server.folder;
        let log = LogFile::new(folder.log(), folder.account());
        log.shorten().map_err(EmbeddedError::folder("write", &folder.log()))
    }

    /// Stops PostgreSQL but keeps the folder and the port, as if it had failed.
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
    /// Why there is no server: the port may have been taken meanwhile.
    pub fn start_database(&mut self) -> Result<(), EmbeddedError> {
        if !self.has_ended() {
            return Ok(());
        }
        let port = self.server.start(Some(self.connection.port()), self.janitor.as_ref())?;
        self.lock.as_mut().map_or(Ok(()), |lock| announce(lock, &self.server, port))
    }

    /// Stops PostgreSQL, waits for its end and gives the folder free. Dropping does the same, but can only log an error.
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

/// `run` in the data folder; if its path is too long for a socket, or has what an address cannot hold, a temporary folder.
fn socket_dir(folder: &Folder) -> Result<(PathBuf, Option<Janitor>), EmbeddedError> {
    let run = folder.run();
    let fits = run.join(".s.PGSQL.65535").as_os_str().len() <= SOCKET_PATH_BYTES;
    // Clients take a comma for the next of several hosts.
    if fits && run.to_str().is_some_and(|text| !text.contains([',', '\n'])) {
        create_socket_folder(&run, folder.account()).map_err(EmbeddedError::folder("create", &run))?;
        return Ok((run, None));
    }
    let janitor = Janitor::hire(folder.account())?;
    Ok((janitor.folder().to_owned(), Some(janitor)))
}
