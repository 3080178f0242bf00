//! For tests only: databases of their own, on a PostgreSQL that the tests start.
//!
//! Each test binary starts one cluster when its first test needs a database. The schema is migrated once into each of
//! two templates, one hardened and one not. Every [`TestDatabase`] is a copy of a template. The cluster ends with the
//! test binary, however that ends.

mod foreign_server;
mod pooler;
mod standby;
pub mod tls;

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_embedded::{Cluster, ConnectionInfo, Search};
use metricd_postgres::{ReaderLimits, create_database, harden, migrate, prepare_reader};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

pub use self::pooler::{PoolMode, Pooler, StartupOptions};
pub use self::standby::Standby;

/// The role that runs stored SQL.
pub const READER: &str = "metricd_reader";

/// The environment variable with the locale of the server's messages, such as `de_DE.UTF-8`. Messages are English if it
/// is not set.
const LC_MESSAGES: &str = "METRICD_TEST_LC_MESSAGES";

const TEMPLATE: &str = "template_metricd";
const HARDENED_TEMPLATE: &str = "template_metricd_hardened";

/// The cluster of this test binary. The lock also serialises the copies: PostgreSQL makes one copy of a template at a
/// time.
static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);

static NEXT_DATABASE_NUMBER: AtomicU32 = AtomicU32::new(1);

/// A new database with the migrated schema, and the reader with its privileges.
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
    /// Creates a hardened database, as a private one is.
    ///
    /// # Errors
    ///
    /// If PostgreSQL cannot be started or refuses a statement.
    pub async fn new() -> Result<Self> {
        let database = Self::copy(HARDENED_TEMPLATE).await?;
        // A copy does not include the privileges on the database itself.
        let owner = database.owner.clone();
        tokio::task::spawn_blocking(move || harden(&owner)).await??;
        Ok(database)
    }

    /// Creates a database that is not hardened: PUBLIC has the default privileges of PostgreSQL.
    ///
    /// # Errors
    ///
    /// If PostgreSQL cannot be started or refuses a statement.
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
        let name = format!("test_{}", NEXT_DATABASE_NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = connect(&started.connection().owner_url("postgres")?).await?;
        server.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        let database = Self::on(started.connection(), &name)?;
        let (owner, reader) = (database.owner.clone(), database.reader.clone());
        tokio::task::spawn_blocking(move || {
            prepare_reader(&owner, &reader, &DataSchemas::default(), ReaderLimits::default())
        })
        .await??;
        Ok(database)
    }

    /// The database of this name on the given cluster. It need not exist.
    ///
    /// # Errors
    ///
    /// If the cluster has no password for [`READER`].
    pub fn on(cluster: &ConnectionInfo, name: &str) -> Result<Self> {
        let owner_url = cluster.owner_url(name)?;
        Ok(Self {
            owner: DatabaseUrl::parse(owner_url.clone())?,
            reader: DatabaseUrl::parse(cluster.url(READER, name)?)?,
            reader_url: cluster.url(READER, name)?,
            owner_url,
        })
    }

    /// The database as the reader, with one more parameter in the URL.
    ///
    /// # Errors
    ///
    /// If the URL does not accept the parameter.
    pub fn reader_with(&self, parameter: &str) -> Result<DatabaseUrl> {
        Ok(DatabaseUrl::parse(format!("{}&{parameter}", self.reader_url.expose_secret()))?)
    }

    /// Connects as the reader, without the runner.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn connect_as_reader(&self) -> Result<Client> {
        connect(&self.reader_url).await
    }

    /// Connects as the owner, to inspect and to manipulate the database.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.owner_url).await
    }
}

/// Adds a function to PostgreSQL's own, as a later version may have it. `declaration` is its name in `pg_catalog` with its
/// arguments and result: `later(integer) RETURNS void`. It is volatile unless that says something else, and must not be
/// called.
///
/// # Errors
///
/// If PostgreSQL refuses it.
pub async fn add_built_in_function(owner: &Client, declaration: &str) -> Result<()> {
    let create = format!("CREATE FUNCTION pg_catalog.{declaration} LANGUAGE internal AS 'int4abs'");
    // Built-in objects have lower oids than all others.
    let oid = "UPDATE pg_proc SET oid = (SELECT max(p.oid)::oid FROM pg_proc AS p WHERE p.oid < 16384)::bigint + 1
               WHERE oid = (SELECT max(p.oid) FROM pg_proc AS p WHERE p.oid >= 16384)";
    Ok(owner.batch_execute(&format!("{create}; {oid}")).await?)
}

/// Makes the table that SQL of tests reads: with the columns of the sample's, and without rows.
pub const METRICS: &str = "
    CREATE TABLE warehouse.metrics (
        id text NOT NULL, date date NOT NULL, obsolescence numeric, alert_type text, parts_flagged bigint,
        obsolescence_val numeric, alert_category text
    );
    CREATE INDEX metrics_id_date_idx ON warehouse.metrics (id, date)";

/// Runs statements on a database, before any runtime exists.
fn run(owner: &DatabaseUrl, statements: &str) -> Result<()> {
    let run = async { Ok(connect(&owner.driver_url()).await?.batch_execute(statements).await?) };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run)
}

/// Starts a cluster and creates the templates.
fn start() -> Result<Cluster> {
    let cluster = Cluster::ephemeral(&Search::system(env::var_os("PATH")), &[READER])?;
    set_language(&cluster)?;
    for name in [TEMPLATE, HARDENED_TEMPLATE] {
        let template = TestDatabase::on(cluster.connection(), name)?;
        create_database(&template.owner)?;
        migrate(&template.owner)?;
        run(&template.owner, METRICS)?;
        if name == HARDENED_TEMPLATE {
            harden(&template.owner)?;
        }
    }
    Ok(cluster)
}

/// Sets the language of the server's messages to the one that [`LC_MESSAGES`] names. Tests must pass in every language.
fn set_language(cluster: &Cluster) -> Result<()> {
    let Ok(locale) = env::var(LC_MESSAGES) else { return Ok(()) };
    let url = cluster.connection().owner_url("postgres")?;
    let set = async {
        let server = connect(&url).await?;
        server.batch_execute(&format!("ALTER ROLE ALL SET lc_messages = '{locale}'")).await?;
        let client = connect(&url).await?;
        let refused = client.batch_execute("SELECT nothing").await.err();
        let message =
            refused.as_ref().and_then(tokio_postgres::Error::as_db_error).map(|error| error.message().to_owned());
        anyhow::ensure!(
            message.as_deref().is_some_and(|message| !message.ends_with("does not exist")),
            "{LC_MESSAGES} is `{locale}`, but PostgreSQL reports {message:?}: its translations are not installed"
        );
        Ok(())
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(set)
}

async fn connect(url: &SecretString) -> Result<Client> {
    let connected = tokio_postgres::connect(url.expose_secret(), NoTls).await;
    let (client, connection) = connected.context("connecting to the test database")?;
    tokio::spawn(connection);
    Ok(client)
}

/// The examples of the README, which `cargo test --doc` runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
