//! For tests alone: databases of their own, on a PostgreSQL that the tests start.
//!
//! Each test binary starts one cluster when its first test asks for a database. The schema is migrated once, into a
//! template, of which every [`TestDatabase`] is a copy, hardened or not. The cluster ends with the test binary, in whatever way that ends.

mod pooler;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use metricd_database::DatabaseUrl;
use metricd_embedded::{Cluster, ConnectionInfo, Search};
use metricd_postgres::{ReaderLimits, create_database, harden, migrate, prepare_reader};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

pub use self::pooler::{Pooler, StartupOptions};

/// The role that stored SQL runs as.
pub const READER: &str = "metricd_reader";

/// The environment variable with the locale of the server's messages, such as `de_DE.UTF-8`; English without it.
const LC_MESSAGES: &str = "METRICD_TEST_LC_MESSAGES";

const TEMPLATE: &str = "template_metricd";
const HARDENED_TEMPLATE: &str = "template_metricd_hardened";

/// The cluster of this test binary. A copy of the template is made under the lock, since it is made one at a time.
static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A fresh database with the schema in place, and the reader with its rights.
#[derive(Debug)]
pub struct TestDatabase {
    owner_url: SecretString,
    reader_url: SecretString,
    /// The database as its owner.
    pub owner: DatabaseUrl,
    /// The database as the reader.
    pub reader: DatabaseUrl,
}

impl TestDatabase {
    /// A hardened database, as a private one is.
    ///
    /// # Errors
    ///
    /// Where PostgreSQL cannot be started, or refuses.
    pub async fn new() -> Result<Self> {
        let database = Self::copy(HARDENED_TEMPLATE).await?;
        // The rights on the database itself are not copied.
        let owner = database.owner.clone();
        tokio::task::spawn_blocking(move || harden(&owner)).await??;
        Ok(database)
    }

    /// A database as an operator's is before anybody hardens it: PUBLIC has what PostgreSQL gives it.
    ///
    /// # Errors
    ///
    /// Where PostgreSQL cannot be started, or refuses.
    pub async fn unhardened() -> Result<Self> {
        Self::copy(TEMPLATE).await
    }

    async fn copy(template: &str) -> Result<Self> {
        let mut cluster = CLUSTER.lock().await;
        let started = match cluster.take() {
            Some(started) => started,
            None => tokio::task::spawn_blocking(start).await??,
        };
        let started = cluster.insert(started);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let server = connect(&started.connection().owner_url("postgres")?).await?;
        server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        let database = Self::of(started.connection(), &name)?;
        let (owner, reader) = (database.owner.clone(), database.reader.clone());
        tokio::task::spawn_blocking(move || prepare_reader(&owner, &reader, ReaderLimits::default())).await??;
        Ok(database)
    }

    /// A database of that name, which need not exist, on the cluster of a test's own.
    ///
    /// # Errors
    ///
    /// Where the cluster keeps no password for [`READER`].
    pub fn of(cluster: &ConnectionInfo, name: &str) -> Result<Self> {
        let owner_url = cluster.owner_url(name)?;
        Ok(Self {
            owner: DatabaseUrl::parse(owner_url.clone())?,
            reader: DatabaseUrl::parse(cluster.url(READER, name)?)?,
            reader_url: cluster.url(READER, name)?,
            owner_url,
        })
    }

    /// The database as the reader, by a URL with one more parameter.
    ///
    /// # Errors
    ///
    /// If a URL must not have the parameter.
    pub fn reader_with(&self, parameter: &str) -> Result<DatabaseUrl> {
        Ok(DatabaseUrl::parse(format!("{}&{parameter}", self.reader_url.expose_secret()))?)
    }

    /// A connection as the reader, past the runner.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached.
    pub async fn connect_as_reader(&self) -> Result<Client> {
        connect(&self.reader_url).await
    }

    /// A connection as the owner, to look and to interfere.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.owner_url).await
    }
}

/// A cluster with the templates on it.
fn start() -> Result<Cluster> {
    let cluster = Cluster::ephemeral(&Search::system(env::var_os("PATH")), &[READER])?;
    speak(&cluster)?;
    for name in [TEMPLATE, HARDENED_TEMPLATE] {
        let template = TestDatabase::of(cluster.connection(), name)?;
        create_database(&template.owner)?;
        migrate(&template.owner)?;
        if name == HARDENED_TEMPLATE {
            harden(&template.owner)?;
        }
    }
    Ok(cluster)
}

/// Has the server speak the language that [`LC_MESSAGES`] names, in which no test may fail.
fn speak(cluster: &Cluster) -> Result<()> {
    let Ok(locale) = env::var(LC_MESSAGES) else { return Ok(()) };
    let url = cluster.connection().owner_url("postgres")?;
    let speak = async {
        let server = connect(&url).await?;
        server.batch_execute(&format!("ALTER ROLE ALL SET lc_messages = '{locale}'")).await?;
        let speaker = connect(&url).await?;
        let refused = speaker.batch_execute("SELECT nothing").await.err();
        let message =
            refused.as_ref().and_then(tokio_postgres::Error::as_db_error).map(|error| error.message().to_owned());
        anyhow::ensure!(
            message.as_deref().is_some_and(|message| !message.ends_with("does not exist")),
            "{LC_MESSAGES} is `{locale}` and PostgreSQL says {message:?}: its translations are not installed"
        );
        Ok(())
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(speak)
}

async fn connect(url: &SecretString) -> Result<Client> {
    let connected = tokio_postgres::connect(url.expose_secret(), NoTls).await;
    let (client, connection) = connected.context("connecting to the test database")?;
    tokio::spawn(connection);
    Ok(client)
}
