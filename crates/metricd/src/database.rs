//! The database that a command uses: the operator's own, or a private one.

mod checks;

use std::env;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_embedded::{
    Cluster, ClusterAccess, ClusterOptions, ConnectionInfo, Search, default_data_dir, open_or_join,
};
use metricd_postgres::{
    DataPlace, ReaderLimits, ServerStart, check_data_schemas, check_reader, create_database, data_place, harden,
    migrate, open_classes, prepare_reader, reader_notices, reader_notices_elsewhere, require_recorded_data,
    server_start, survey_server,
};
use metricd_runner::PgResolver;

use self::checks::warn_of_newer;
pub(crate) use self::checks::{
    check_elsewhere, check_external, expected_place, newer_version, not_hardened, refuse_server, require_schema,
    require_server,
};
use crate::arguments::DatabaseArguments;

/// The database and the reader of the private PostgreSQL.
const DATABASE: &str = "metricd";
const READER: &str = "metricd_reader";

/// How much the reader's `statement_timeout` exceeds metricd's time limit, so that metricd ends a statement and reports why.
const STATEMENT_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// How long metricd tries to join a private PostgreSQL that does not answer, and the pause between attempts.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
const JOIN_PAUSE: Duration = Duration::from_millis(50);

/// A database with an up-to-date schema, and the URLs of its owner and its reader.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) owner: DatabaseUrl,
    pub(crate) reader: DatabaseUrl,
    /// Where the reader's data is, once that is known.
    data: OnceLock<DataPlace>,
    /// The schemas that stored SQL reads.
    pub(crate) schemas: DataSchemas,
    /// The private PostgreSQL, if this program runs it.
    pub(crate) cluster: Option<Cluster>,
    /// Whether the database is private, also if another program runs it.
    pub(crate) is_private: bool,
    /// The folder of the private PostgreSQL, if this program serves from it.
    pub(crate) data_dir: Option<PathBuf>,
    /// The start of the private PostgreSQL, if another program runs it.
    joined: Option<ServerStart>,
}

/// The database that the arguments name.
pub(crate) enum Source {
    /// The operator's own.
    External { owner: DatabaseUrl, reader: Option<DatabaseUrl> },
    /// A private one, in a data folder.
    Private(ClusterOptions),
}

impl Source {
    pub(crate) fn of(arguments: &DatabaseArguments) -> Result<Self> {
        match (arguments.database_url.clone().map(DatabaseUrl::of_owner), arguments.reader_database_url.clone()) {
            (Some(owner), reader) => Ok(Self::External { owner, reader }),
            (None, Some(_)) => bail!(
                "READER_DATABASE_URL is set and DATABASE_URL is not: set both to use your own database, or neither \
                 to use a private one"
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
    /// Opens the database to serve from, with this time limit for statements. Fails if another process runs the private
    /// database.
    pub(crate) fn open(arguments: &DatabaseArguments, query_timeout: Duration) -> Result<Self> {
        let schemas = arguments.schemas()?;
        match Source::of(arguments)? {
            Source::External { owner, reader } => Self::external(owner, require_reader(reader)?, schemas),
            Source::Private(options) => {
                let cluster = Cluster::open(&options)?;
                let limits =
                    ReaderLimits { statement_timeout: query_timeout + STATEMENT_TIMEOUT_MARGIN, ..private_limits() };
                let database = Self::private(cluster.connection(), schemas, Some(limits))?;
                Ok(Self { cluster: Some(cluster), data_dir: Some(options.data_dir), ..database })
            }
        }
    }

    /// Opens or joins the database to read from. A private one must exist: a command that only reads creates none.
    pub(crate) fn open_or_join_existing(arguments: &DatabaseArguments) -> Result<Self> {
        if let Source::Private(ClusterOptions { data_dir, .. }) = Source::of(arguments)? {
            ensure!(
                Cluster::exists(&data_dir)?,
                "there is no database in `{}`: give the --data-dir of a server, or create one with `metricd serve` or \
                 `metricd ingest`",
                data_dir.display()
            );
        }
        Self::open_or_join(arguments)
    }

    /// Opens or joins the database to validate with. Nothing is stored in it. If there is no private one, opens a temporary
    /// one, which is removed with this value or with this process.
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

    /// Opens or joins the database to store into. A server that uses a private one serves what is stored.
    pub(crate) fn open_or_join(arguments: &DatabaseArguments) -> Result<Self> {
        match Source::of(arguments)? {
            Source::External { owner, reader } => {
                require_schema(&owner)?;
                let data = if reader.is_some() { OnceLock::new() } else { DataPlace::Catalog.into() };
                Ok(Self::of_operator(owner.clone(), reader.unwrap_or(owner), data, arguments.schemas()?))
            }
            Source::Private(options) => Self::open_or_join_private(&options, &arguments.schemas()?),
        }
    }

    fn open_or_join_private(options: &ClusterOptions, schemas: &DataSchemas) -> Result<Self> {
        let started = Instant::now();
        loop {
            let (connection, cluster) = match open_or_join(options)? {
                ClusterAccess::Opened(cluster) => (cluster.connection().clone(), Some(cluster)),
                ClusterAccess::Joined(connection) => (connection, None),
            };
            // The program that runs a joined database has prepared the reader, with its own limits.
            let limits = cluster.is_some().then(private_limits);
            let database = Self::private(&connection, schemas.clone(), limits).and_then(|database| {
                let joined = cluster.is_none().then(|| server_start(&database.owner)).transpose()?;
                Ok(Self { joined, ..database })
            });
            match database {
                // The program that runs it may be stopping it.
                Err(error) if cluster.is_none() && started.elapsed() < JOIN_TIMEOUT => {
                    log::debug!("cannot join the private PostgreSQL yet, retrying: {error}");
                    thread::sleep(JOIN_PAUSE);
                }
                database => return Ok(Self { cluster, ..database? }),
            }
        }
    }

    /// Whether another program ran this private database and has stopped it, even if it was started again since.
    pub(crate) fn has_ended(&self) -> bool {
        self.joined.is_some_and(|joined| server_start(&self.owner).ok() != Some(joined))
    }

    /// Checks the operator's own database and opens it. Changes nothing in it.
    fn external(owner: DatabaseUrl, reader: DatabaseUrl, schemas: DataSchemas) -> Result<Self> {
        require_schema(&owner)?;
        require_recorded_data(&owner, Some(&reader))?;
        let data = check_external(&owner, &reader, &schemas)?;
        let open = open_classes(&reader)?;
        if let Some(warning) = not_hardened(&reader, data, &open) {
            log::warn!("{warning}");
        }
        Ok(Self::of_operator(owner, reader, data.into(), schemas))
    }

    fn of_operator(owner: DatabaseUrl, reader: DatabaseUrl, data: OnceLock<DataPlace>, schemas: DataSchemas) -> Self {
        Self { owner, reader, data, schemas, cluster: None, is_private: false, data_dir: None, joined: None }
    }

    fn private(connection: &ConnectionInfo, schemas: DataSchemas, limits: Option<ReaderLimits>) -> Result<Self> {
        let owner = DatabaseUrl::parse(connection.owner_url(DATABASE)?)?;
        let reader = DatabaseUrl::parse(connection.url(READER, DATABASE)?)?;
        create_database(&owner)?;
        warn_of_newer(&owner, survey_server(&owner)?.major)?;
        migrate(&owner)?;
        // No other program uses a private database, so none needs the revoked privileges.
        harden(&owner)?;
        if let Some(limits) = limits {
            prepare_reader(&owner, &reader, &schemas, limits)?;
            check_reader(&reader, &schemas)?;
        }
        let data = DataPlace::Catalog.into();
        Ok(Self { owner, reader, data, schemas, cluster: None, is_private: true, data_dir: None, joined: None })
    }

    /// The role that runs stored SQL, unless this command was given no reader.
    fn role(&self) -> Option<&str> {
        let is_other = self.reader.user() != self.owner.user() || self.reader.hosts() != self.owner.hosts();
        is_other.then(|| self.reader.user())
    }

    /// Where the reader's data is. A command that needs no data does not ask, and needs no reader.
    pub(crate) fn data(&self) -> Result<DataPlace> {
        if let Some(data) = self.data.get() {
            return Ok(*data);
        }
        let data = data_place(&self.owner, &self.reader)?;
        Ok(*self.data.get_or_init(|| data))
    }

    /// Resolves SQL where its data is. A standby has the tables of its primary, where the owner may create the view that a
    /// standby cannot have.
    pub(crate) fn resolver(&self) -> Result<PgResolver> {
        Ok(match self.data()? {
            DataPlace::Catalog | DataPlace::Standby => PgResolver::new(&self.owner, &self.schemas),
            DataPlace::Elsewhere => PgResolver::of_reader(&self.reader, &self.schemas),
        })
    }

    /// Refuses other data schemas than the reader was prepared for: SQL would be validated against tables that it does
    /// not run on.
    pub(crate) fn require_data_schemas(&self) -> Result<()> {
        if !self.is_private {
            require_recorded_data(&self.owner, self.role().map(|_| &self.reader))?;
        }
        match self.data()? {
            DataPlace::Catalog | DataPlace::Standby => Ok(check_data_schemas(&self.owner, self.role(), &self.schemas)?),
            DataPlace::Elsewhere => check_elsewhere(&self.owner, &self.reader, &self.schemas),
        }
    }

    /// Logs what looks different to metrics than to the owner of the tables.
    pub(crate) fn log_notices(&self) -> Result<()> {
        let Some(role) = self.role() else { return Ok(()) };
        let notices = match self.data()? {
            DataPlace::Catalog | DataPlace::Standby => reader_notices(&self.owner, role, &self.schemas)?,
            DataPlace::Elsewhere => reader_notices_elsewhere(&self.reader, &self.schemas)?,
        };
        for notice in notices {
            log::info!("{notice}");
        }
        Ok(())
    }

    /// Stops a private PostgreSQL that this program runs.
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
        "DATABASE_URL is set and READER_DATABASE_URL is not: stored SQL runs as a role of its own, so set it to the database \
         that has the data, usually the same one, for another user, and run `metricd migrate` to create that user",
    )
}
