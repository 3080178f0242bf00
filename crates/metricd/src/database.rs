//! The database that the program runs on: the operator's, or a private one.

use std::env;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_embedded::{
    Cluster, ClusterAccess, ClusterOptions, ConnectionInfo, Search, default_data_dir, open_or_join,
};
use metricd_postgres::{
    ReaderLimits, ServerStart, check_reader, create_database, harden, migrate, open_classes, pending_migrations,
    prepare_reader, refuse_pooler, require_same_database, server_major, server_start,
};

use crate::arguments::DatabaseArguments;

/// The schema into which records of files are stored.
pub(crate) const RECORDS_SCHEMA: &str = "warehouse";

/// The database and the reader of the private PostgreSQL.
const DATABASE: &str = "metricd";
const READER: &str = "metricd_reader";

/// The oldest PostgreSQL that will do.
const MIN_MAJOR: u32 = 15;

/// The newest PostgreSQL that the rules for SQL, functions and rights were made for.
const NEWEST_KNOWN_MAJOR: u32 = 18;

/// How much longer than ours the reader's own time limit is, so that ours ends a statement and says why.
const GRACE: Duration = Duration::from_secs(1);

/// How long joining a private PostgreSQL is tried that does not answer, and how long each try waits for the next.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
const JOIN_PAUSE: Duration = Duration::from_millis(50);

/// A database with the schema in place, as its owner and as the reader.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) owner: DatabaseUrl,
    pub(crate) reader: DatabaseUrl,
    /// The schemas that stored SQL reads.
    pub(crate) schemas: DataSchemas,
    /// The private PostgreSQL, where this program runs it.
    pub(crate) cluster: Option<Cluster>,
    /// Whether it is a private one, whoever runs it.
    pub(crate) is_private: bool,
    /// The folder of the private PostgreSQL, where this program runs it.
    pub(crate) data_dir: Option<PathBuf>,
    /// When the private PostgreSQL that another program runs was started.
    joined: Option<ServerStart>,
}

/// Whose database the arguments name.
pub(crate) enum Source {
    /// The operator's.
    Operators { owner: DatabaseUrl, reader: Option<DatabaseUrl> },
    /// A private one, in a data folder.
    Private(ClusterOptions),
}

impl Source {
    pub(crate) fn of(arguments: &DatabaseArguments) -> Result<Self> {
        match (arguments.database_url.clone(), arguments.reader_database_url.clone()) {
            (Some(owner), reader) => Ok(Self::Operators { owner, reader }),
            (None, Some(_)) => bail!(
                "READER_DATABASE_URL is set and DATABASE_URL is not: set both to use a database of yours, or neither for a \
                 private one"
            ),
            (None, None) => {
                let cwd = env::current_dir().context("the current folder is gone")?;
                let data_dir = arguments.data_dir.clone().unwrap_or_else(|| default_data_dir(&cwd));
                ensure!(
                    data_dir.is_dir() || !data_dir.exists(),
                    "the data folder `{}` is a file: give another --data-dir",
                    data_dir.display()
                );
                let search =
                    Search { bin_dir: arguments.postgres_bin_dir.clone(), ..Search::system(env::var_os("PATH")) };
                Ok(Self::Private(ClusterOptions { data_dir, search, roles: vec![READER.to_owned()] }))
            }
        }
    }
}

impl Database {
    /// The database to serve from, where statements may run as long as that. A private one must not be in use by another
    /// server.
    pub(crate) fn open(arguments: &DatabaseArguments, query_timeout: Duration) -> Result<Self> {
        let schemas = arguments.schemas()?;
        match Source::of(arguments)? {
            Source::Operators { owner, reader } => Self::operators(owner, require_reader(reader)?, schemas),
            Source::Private(options) => {
                let cluster = Cluster::open(&options)?;
                let limits = ReaderLimits { statement_timeout: query_timeout + GRACE, ..private_limits() };
                let database = Self::private(cluster.connection(), schemas, Some(limits))?;
                Ok(Self { cluster: Some(cluster), data_dir: Some(options.data_dir), ..database })
            }
        }
    }

    /// The database to read from. A private one has to be there: what only reads makes none.
    pub(crate) fn open_or_join_existing(arguments: &DatabaseArguments) -> Result<Self> {
        if let Source::Private(ClusterOptions { data_dir, .. }) = Source::of(arguments)? {
            ensure!(
                Cluster::exists(&data_dir)?,
                "there is no database in `{}`: give the --data-dir of a server, or make one with `metricd serve` or \
                 `metricd ingest`",
                data_dir.display()
            );
        }
        Self::open_or_join(arguments)
    }

    /// The database to validate by, in which nothing is stored. If there is no private one yet, a temporary one is used, which
    /// is removed with this value or with this process.
    pub(crate) fn open_or_join_to_validate(arguments: &DatabaseArguments) -> Result<Self> {
        match Source::of(arguments)? {
            Source::Private(ClusterOptions { data_dir, search, .. }) if !Cluster::exists(&data_dir)? => {
                log::info!("there is no database in `{}`: a temporary one is used", data_dir.display());
                let cluster = Cluster::ephemeral(&search, &[READER])?;
                let database = Self::private(cluster.connection(), arguments.schemas()?, Some(private_limits()))?;
                Ok(Self { cluster: Some(cluster), ..database })
            }
            _ => Self::open_or_join(arguments),
        }
    }

    /// The database to store into. A private one may be in use by a server, which then shows what is stored.
    pub(crate) fn open_or_join(arguments: &DatabaseArguments) -> Result<Self> {
        match Source::of(arguments)? {
            Source::Operators { owner, reader } => {
                require_schema(&owner)?;
                let (reader, schemas) = (reader.unwrap_or_else(|| owner.clone()), arguments.schemas()?);
                Ok(Self { owner, reader, schemas, cluster: None, is_private: false, data_dir: None, joined: None })
            }
            Source::Private(options) => Self::open_or_join_private(&options, &arguments.schemas()?),
        }
    }

    fn open_or_join_private(options: &ClusterOptions, schemas: &DataSchemas) -> Result<Self> {
        let began = Instant::now();
        loop {
            let (connection, cluster) = match open_or_join(options)? {
                ClusterAccess::Opened(cluster) => (cluster.connection().clone(), Some(cluster)),
                ClusterAccess::Joined(connection) => (connection, None),
            };
            // Whoever has the database open has prepared the reader, with limits of its own.
            let limits = cluster.is_some().then(private_limits);
            let database = Self::private(&connection, schemas.clone(), limits).and_then(|database| {
                let joined = cluster.is_none().then(|| server_start(&database.owner)).transpose()?;
                Ok(Self { joined, ..database })
            });
            match database {
                // Whoever has it open may just be ending it.
                Err(error) if cluster.is_none() && began.elapsed() < JOIN_TIMEOUT => {
                    log::debug!("joining the private PostgreSQL is tried again: {error}");
                    thread::sleep(JOIN_PAUSE);
                }
                database => return Ok(Self { cluster, ..database? }),
            }
        }
    }

    /// Whether it is a private database that another program ran and has ended. Somebody may have started it again since.
    pub(crate) fn has_ended(&self) -> bool {
        self.joined.is_some_and(|joined| server_start(&self.owner).ok() != Some(joined))
    }

    /// The operator's database, which has to be in order: nothing is changed there without being asked for.
    fn operators(owner: DatabaseUrl, reader: DatabaseUrl, schemas: DataSchemas) -> Result<Self> {
        require_schema(&owner)?;
        require_same_database(&owner, &reader)?;
        check_reader(&reader, &schemas)?;
        let open = open_classes(&reader)?;
        if !open.is_empty() {
            log::warn!(
                "{owner} is not hardened: stored SQL runs as `{}`, which PostgreSQL's defaults let do harm in a read-only \
                 transaction ({}); see docs/hardening.md, and run `metricd migrate --harden`",
                reader.user(),
                open.join(", ")
            );
        }
        Ok(Self { owner, reader, schemas, cluster: None, is_private: false, data_dir: None, joined: None })
    }

    fn private(connection: &ConnectionInfo, schemas: DataSchemas, limits: Option<ReaderLimits>) -> Result<Self> {
        let owner = DatabaseUrl::parse(connection.owner_url(DATABASE)?)?;
        let reader = DatabaseUrl::parse(connection.url(READER, DATABASE)?)?;
        create_database(&owner)?;
        warn_of_newer(server_major(&owner)?);
        migrate(&owner)?;
        // Nobody else has a use for what this takes.
        harden(&owner)?;
        if let Some(limits) = limits {
            prepare_reader(&owner, &reader, &schemas, limits)?;
            check_reader(&reader, &schemas)?;
        }
        Ok(Self { owner, reader, schemas, cluster: None, is_private: true, data_dir: None, joined: None })
    }

    /// Ends a private PostgreSQL that this program runs.
    pub(crate) fn close(self) -> Result<()> {
        self.cluster.map_or(Ok(()), Cluster::stop)?;
        Ok(())
    }
}

fn private_limits() -> ReaderLimits {
    ReaderLimits { on_private_server: true, ..ReaderLimits::default() }
}

pub(crate) fn require_reader(reader: Option<DatabaseUrl>) -> Result<DatabaseUrl> {
    reader.context(
        "DATABASE_URL is set and READER_DATABASE_URL is not: stored SQL runs as a role of its own, so set it to the same \
         database for another user, and run `metricd migrate` to make that user",
    )
}

pub(crate) fn require_version(owner: &DatabaseUrl) -> Result<()> {
    refuse_pooler(owner)?;
    let major = server_major(owner)?;
    ensure!(major >= MIN_MAJOR, "the server at {owner} is PostgreSQL {major}: version {MIN_MAJOR} or newer is needed");
    warn_of_newer(major);
    Ok(())
}

fn warn_of_newer(major: u32) {
    if major > NEWEST_KNOWN_MAJOR {
        log::warn!(
            "PostgreSQL {major} is newer than this version of metricd, which knows {MIN_MAJOR} to {NEWEST_KNOWN_MAJOR}: what it \
             has added may be missing in the rules for stored SQL and in the hardening"
        );
    }
}

pub(crate) fn require_schema(owner: &DatabaseUrl) -> Result<()> {
    require_version(owner)?;
    let pending = pending_migrations(owner)?;
    ensure!(pending == 0, "the database {owner} lacks {pending} migrations: run `metricd migrate`");
    Ok(())
}
