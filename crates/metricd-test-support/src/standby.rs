//! A physical standby.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metricd_embedded::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::connect;

/// How long the standby may take to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A hot standby that streams from a cluster. It is stopped when this is dropped.
#[derive(Debug)]
pub struct Standby {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Standby {
    /// Copies the running cluster, and starts the copy as its standby.
    ///
    /// # Errors
    ///
    /// If the cluster cannot be copied, or the standby does not start.
    pub async fn of(primary: &Cluster) -> Result<Self> {
        let source = primary.data_dir().join("cluster");
        let folder = tempfile::Builder::new().prefix("metricd-standby-").tempdir_in("/tmp")?;
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let copy = folder.path().join("cluster");
        let owner = connect(&primary.connection().owner_url("postgres")?).await?;
        owner.batch_execute("SELECT pg_backup_start('standby', true)").await?;
        // Files that PostgreSQL removes meanwhile are not missed.
        Command::new("cp").arg("-a").args([&source, &copy]).stderr(Stdio::null()).status()?;
        let label: String = owner.query_one("SELECT labelfile FROM pg_backup_stop(false)", &[]).await?.get(0);
        let (uid, gid) = fs::metadata(&source).map(|of| (of.uid(), of.gid()))?;
        let write = |name: &str, text: &str| {
            let path = copy.join(name);
            fs::write(&path, text)?;
            std::os::unix::fs::chown(path, Some(uid), Some(gid))
        };
        fs::remove_file(copy.join("postmaster.pid"))?;
        write("backup_label", &label)?;
        write("standby.signal", "")?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (user, of_primary) = (metricd_embedded::OWNER_ROLE, primary.connection());
        let password = of_primary.password(user)?.expose_secret();
        let settings = [
            format!("primary_conninfo=host=127.0.0.1 port={} user={user} password={password}", of_primary.port()),
            format!("port={port}"),
            format!("unix_socket_directories={}", copy.display()),
            "listen_addresses=127.0.0.1".to_owned(),
            // At least as many as the primary has.
            "max_connections=300".to_owned(),
            "fsync=off".to_owned(),
        ];
        let mut command = Command::new(primary.installation().bin_dir().join("postgres"));
        command.arg("-D").arg(&copy).args(settings.iter().flat_map(|setting| ["-c", setting]));
        let log = fs::File::create(folder.path().join("log"))?;
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if nix::unistd::geteuid().is_root() {
            command.uid(uid).gid(gid);
        }
        let mut standby = Self { process: command.spawn()?, port, folder };
        let began = Instant::now();
        while standby.connect(primary).await.is_err() {
            let is_starting = standby.process.try_wait()?.is_none() && began.elapsed() < START_TIMEOUT;
            ensure!(
                is_starting,
                "the standby does not start: {}",
                fs::read_to_string(standby.folder.path().join("log"))?
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(standby)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the role of the primary, with this database, on the standby.
    ///
    /// # Errors
    ///
    /// If the primary has no password for the role.
    pub fn url(&self, primary: &Cluster, role: &str, database: &str) -> Result<String> {
        let password = primary.connection().password(role)?.expose_secret();
        Ok(format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port))
    }

    /// Connects as the owner of the primary.
    ///
    /// # Errors
    ///
    /// If the standby does not accept connections.
    pub async fn connect(&self, primary: &Cluster) -> Result<Client> {
        connect(&self.url(primary, metricd_embedded::OWNER_ROLE, "postgres")?.into()).await
    }

    /// Waits until it has replayed what the primary has written by now.
    ///
    /// # Errors
    ///
    /// If that takes longer than half a minute, or one of them is unreachable.
    pub async fn catch_up(&self, primary: &Cluster) -> Result<()> {
        let owner = connect(&primary.connection().owner_url("postgres")?).await?;
        let written: String = owner.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await?.get(0);
        let replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)";
        let (standby, began) = (self.connect(primary).await?, Instant::now());
        while !standby.query_one(replayed, &[&written]).await?.get::<_, bool>(0) {
            ensure!(began.elapsed() < START_TIMEOUT, "the standby does not catch up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Makes it a primary of its own.
    ///
    /// # Errors
    ///
    /// If it refuses.
    pub async fn promote(&self, primary: &Cluster) -> Result<()> {
        let promoted = self.connect(primary).await?.query_one("SELECT pg_promote()", &[]).await?;
        ensure!(promoted.get::<_, bool>(0), "the standby was not promoted");
        Ok(())
    }

    /// Makes it neither accept nor refuse new connections. Those that it has go on.
    ///
    /// # Errors
    ///
    /// If its process is gone.
    pub fn hang(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Ends [`Self::hang`].
    ///
    /// # Errors
    ///
    /// If its process is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.process.id())?), signal)?)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let stopped = self.signal(Signal::SIGQUIT).and_then(|()| self.resume());
        // Nothing can be done about one that does not stop.
        drop(stopped.map(|()| self.process.wait()));
    }
}
