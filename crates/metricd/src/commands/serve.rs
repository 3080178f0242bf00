//! `metricd serve`

use std::env;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use metricd_access::Access;
use metricd_api::{AllowedOrigin, ApiState, ConnectionLimits, DefinitionCache, Quotas, ServerOptions, Uploads, start};
use metricd_connection::LatestTimeline;
use metricd_database::DatabaseUrl;
use metricd_domain::{MetricDefinition, TABLE_SCHEMA, TimeZone};
use metricd_embedded::Cluster;
use metricd_execution::{MetricRunner, Replicas, TimeZones};
use metricd_formats::{ResultFiles, read_formats};
use metricd_ingestion::{IngestOptions, Inputs, render};
use metricd_postgres::{
    DataPlace, PgRepository, ReaderError, RepositoryConfig, cluster_identifier, leads_through_pooler,
    require_recorded_data,
};
use metricd_repository::{DefinitionFilter, MetricRepository};
use metricd_runner::{DefinitionEvent, PgRunner, ReplicaSet, RunnerConfig, watch_definitions};
use nix::sys::resource::{Resource, getrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::OnceCell;
use tokio::time::MissedTickBehavior;

use super::ingest::store;
use crate::access::{Exposure, access};
use crate::arguments::{DatabaseArguments, GuardArguments, ServeArguments};
use crate::database::Database;
use crate::tenants::tenants;
use crate::{output, sample};

/// How often metricd checks whether a private PostgreSQL still runs.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How often metricd checks that the data is where it was validated.
const PLACE_INTERVAL: Duration = Duration::from_secs(5);

/// The number of requests that the greeting suggests.
const SUGGESTED_REQUESTS: usize = 5;

/// Serves until a signal arrives. Then finishes the requests in flight and stops a private PostgreSQL.
pub(crate) async fn serve(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    serve: ServeArguments,
) -> Result<ExitCode> {
    let exposure = Exposure { is_external_database: arguments.database_url.is_some(), address: serve.listen };
    let access = access(&serve.access, exposure)?;
    let is_open = matches!(access, Access::Anonymous);
    let listener = bind(serve.listen)?;
    let query_timeout = Duration::from_secs(serve.query_timeout_seconds);
    let mut database = Database::open(arguments, query_timeout)?;
    if nix::unistd::geteuid().is_root() {
        warn_of_root(exposure.is_external_database);
    }
    database.log_notices()?;
    if let Some(place) = database.data()?.note() {
        log::info!("the data is {place}");
    }
    let (time_zone, time_zones) = time_zone(&database, &serve.time_zone).await?;
    let timeline = LatestTimeline::default();
    let (repository, runner) = connect(&database, &serve, time_zone.clone(), &timeline)?;
    let replicas = replicas(&database, &serve, time_zone.clone(), &timeline).await?;
    // The sample's SQL reads the sample's records.
    let may_load_sample = database.is_private && !serve.no_sample && database.schemas.contains(TABLE_SCHEMA);
    if may_load_sample && repository.check().await?.metric_count == 0 {
        load_sample(&database, guard).await?;
    }
    let (runner, tenants) = tenants(&serve.access, &database, runner).await?;
    let metrics = repository.list_definitions(&DefinitionFilter::default(), None, SUGGESTED_REQUESTS).await?;

    let uploads = uploads(serve.upload_dir.as_deref(), database.data_dir.as_deref())?;
    let stream_write_timeout = Duration::from_secs(serve.stream_patience_seconds);
    let state = ApiState {
        access,
        quotas: Arc::new(Quotas::new(serve.quotas.rules(serve.query_connections))),
        tenants,
        query_timeout,
        results_timeout: Duration::from_secs(serve.results_timeout_seconds),
        stream_write_timeout,
        stream_min_bytes_per_second: serve.stream_min_kib_per_second << 10,
        max_upload_bytes: serve.max_upload_mib << 20,
        query_cost: serve.query_cost,
        time_zone,
        time_zones: Arc::new(time_zones),
        binary_formats: read_formats(),
        stores_tables: database.data()? != DataPlace::Elsewhere,
        data_place: database.data()?.note(),
        replicas,
        allowed_functions: Arc::new(guard.allow_functions.iter().cloned().collect()),
        allowed_types: Arc::new(guard.allow_types.iter().cloned().collect()),
        ..ApiState::new(
            Arc::new(repository),
            Arc::new(runner),
            Arc::new(database.resolver()?.following(timeline.clone())),
            Arc::new(ResultFiles),
            uploads,
        )
    };
    actix_web::rt::spawn(watch(database.owner.clone(), timeline, Arc::clone(&state.definitions)));
    // One server has one database of this name, until it is replaced.
    if exposure.is_external_database && (database.data()? != DataPlace::Catalog || database.reader.by_host()?.len() > 1)
    {
        let urls = (database.owner.clone(), database.reader.clone());
        actix_web::rt::spawn(watch_place(urls, Arc::clone(&state.has_data_moved)));
    }
    let shutdown_timeout = Duration::from_secs(serve.shutdown_timeout_seconds);
    let address = listener.local_addr()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    if is_open && serve.cors_origins.contains(&AllowedOrigin::Any) {
        log::warn!("every web page may read and write: `--cors-origin *` is set, and tokens are not required");
    }
    let has_hosts = !serve.allowed_hosts.is_empty();
    let pools = if serve.max_replica_lag.is_some() { database.reader.by_host()?.len() + 1 } else { 1 };
    let query_connections = serve.query_connections * u32::try_from(pools)?;
    let options = ServerOptions {
        shutdown_timeout,
        cors_origins: serve.cors_origins,
        allowed_hosts: serve.allowed_hosts,
        limits: ConnectionLimits {
            max_connections: max_connections(query_connections + serve.catalog_connections),
            max_connections_per_address: usize::try_from(serve.connections_per_address)?,
            max_unread_bytes: usize::try_from(serve.max_unread_mib)? << 20,
            ..ConnectionLimits::default()
        },
        ..ServerOptions::default()
    };
    let server = start(listener, state, options)?;
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    output::print(&greeting(address, &metrics, is_open, has_hosts));

    wait_for_stop(&mut database.cluster, &mut interrupt, &mut terminate).await;
    log::info!("stopping: finishing requests in flight; a second signal stops at once");
    let code = tokio::select! {
        () = handle.stop(true) => {
            server.await?.context("the server failed")?;
            ExitCode::SUCCESS
        }
        // Requests in flight end with the process. PostgreSQL then ends their statements.
        _ = interrupt.recv() => ExitCode::FAILURE,
        _ = terminate.recv() => ExitCode::FAILURE,
    };
    database.close()?;
    Ok(code)
}

/// Opens the folder for uploads: the named one, `uploads` in the data folder, or this user's folder in the temporary folder.
fn uploads(named: Option<&Path>, data_dir: Option<&Path>) -> Result<Uploads> {
    let folder = match (named, data_dir) {
        (Some(named), _) => named.to_owned(),
        (None, Some(data_dir)) => data_dir.join("uploads"),
        (None, None) => env::temp_dir().join(format!("metricd-uploads-{}", nix::unistd::geteuid())),
    };
    Uploads::below(&folder).with_context(|| format!("cannot store uploads in {} (see --upload-dir)", folder.display()))
}

/// File descriptors reserved for files, the log, pipes, and connections that close while others open.
const OTHER_DESCRIPTORS: u64 = 64;

/// The maximum number of client connections: one for each file descriptor that is left. Each database connection takes two,
/// because it may need a second one to cancel its statement.
fn max_connections(database_connections: u32) -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft);
    let others = OTHER_DESCRIPTORS + 2 * u64::from(database_connections);
    let most = u64::try_from(ConnectionLimits::default().max_connections).unwrap_or(u64::MAX);
    // With very few descriptors, clients get a quarter of them, and not all database connections can be open at once.
    let connections = descriptors.saturating_sub(others).max(descriptors / 4).clamp(1, most);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Warns that metricd runs as root. It does not drop root's privileges itself, because it cannot know which user may read the
/// files that it reads later.
fn warn_of_root(is_external_database: bool) {
    if is_external_database {
        log::warn!(
            "metricd runs as root and needs none of root's privileges: run it as another user, such as with `User=` of systemd, \
             `setpriv --reuid` or `USER` in a container's image"
        );
    } else {
        log::warn!(
            "metricd runs as root: PostgreSQL refuses root, so the private one runs as another user, and only root can \
             restart it; run metricd as another user, so that both run as that user"
        );
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is in use by another program: stop it, or give another --listen")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("this user may not listen on {address}: give a --listen with a port of 1024 or higher")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}; give another --listen"),
    })
}

/// Finds the time zone in the database, and returns the zones that the database knows. Every database knows UTC; then the
/// zones are read when a request names one.
async fn time_zone(database: &Database, named: &TimeZone) -> Result<(TimeZone, OnceCell<TimeZones>)> {
    if named.is_utc() {
        return Ok((named.clone(), OnceCell::new()));
    }
    let config = RunnerConfig { max_connections: 1, schemas: database.schemas.clone(), ..RunnerConfig::default() };
    let known = PgRunner::new(&database.reader, config)?.time_zones().await?;
    let found = known.find(named).context("--time-zone cannot be used")?;
    Ok((found, OnceCell::new_with(Some(known))))
}

fn connect(
    database: &Database,
    serve: &ServeArguments,
    time_zone: TimeZone,
    timeline: &LatestTimeline,
) -> Result<(PgRepository, PgRunner)> {
    let catalog = RepositoryConfig { max_connections: serve.catalog_connections, ..Default::default() };
    let place = (&database.reader, database.data()?);
    let runner = runner(database, place, runner_config(database, serve, time_zone)?)?;
    Ok((PgRepository::following(&database.owner, catalog, timeline.clone())?, runner))
}

fn runner_config(database: &Database, serve: &ServeArguments, time_zone: TimeZone) -> Result<RunnerConfig> {
    Ok(RunnerConfig {
        max_connections: serve.query_connections.try_into()?,
        max_lifetime: Duration::from_secs(serve.query_connection_lifetime_seconds),
        idle_timeout: Duration::from_secs(serve.query_connection_idle_seconds),
        batching: !serve.no_batching,
        schemas: database.schemas.clone(),
        time_zone,
        ..Default::default()
    })
}

/// Runs SQL on the server of this URL. A snapshot can be imported only on the server that has exported it.
fn runner(database: &Database, (reader, data): (&DatabaseUrl, DataPlace), config: RunnerConfig) -> Result<PgRunner> {
    let owner = &database.owner;
    let exporter = match data {
        // Behind a pooler, the reader has another address than PostgreSQL.
        DataPlace::Catalog if owner.by_host()?.len() == 1 && reader.by_host()?.len() == 1 => Some(owner.clone()),
        // Of several servers, another one might import it.
        DataPlace::Catalog | DataPlace::Standby
            if reader.by_host()?.len() == 1 && !leads_through_pooler(reader).unwrap_or(true) =>
        {
            Some(reader.as_role_of(owner)?)
        }
        _ => None,
    };
    exporting(PgRunner::new(reader, config)?, exporter, owner)
}

/// The runner with this exporter of snapshots, unless its password would be less protected than by the owner's URL.
fn exporting(runner: PgRunner, exporter: Option<DatabaseUrl>, owner: &DatabaseUrl) -> Result<PgRunner> {
    Ok(match exporter.filter(|exporter| exporter.is_as_protected_as(owner)) {
        Some(exporter) => runner.exporting_as(&exporter)?,
        None => runner,
    })
}

/// The servers that results are read from, if the arguments name several. From here on they are asked how far they are.
async fn replicas(
    database: &Database,
    serve: &ServeArguments,
    time_zone: TimeZone,
    timeline: &LatestTimeline,
) -> Result<Option<Arc<dyn Replicas>>> {
    let Some(max_lag) = serve.max_replica_lag else { return Ok(None) };
    let hosts = database.reader.by_host()?;
    ensure!(
        hosts.len() > 1,
        "--max-replica-lag reads from several servers: name the primary and its standbys in READER_DATABASE_URL, as in \
         `postgres://user:password@primary:5432,standby:5432/database`"
    );
    ensure!(
        serve.access.tenant_claim.is_none(),
        "--max-replica-lag cannot be used with --tenant-claim: row-level security that was just enabled on the primary is not \
         in force on a standby yet"
    );
    ensure!(
        database.data()? != DataPlace::Elsewhere,
        "--max-replica-lag reads from the catalog's server and its standbys, and the data is in another database"
    );
    let cluster = cluster_identifier(&database.owner)?.context(
        "--max-replica-lag needs EXECUTE on the function pg_control_system() for both roles, to tell the catalog's standbys from \
         others",
    )?;
    let config = runner_config(database, serve, time_zone)?;
    let mut servers = Vec::new();
    for host in hosts {
        // Each host is one server, with which no pooler interferes; one that hangs now is used later.
        let exporter = Some(host.as_role_of(&database.owner)?);
        let runner = exporting(PgRunner::new(&host, config.clone())?, exporter, &database.owner)?;
        servers.push((host, runner));
    }
    let replicas = Arc::new(ReplicaSet::new(servers, cluster, Duration::from_secs(max_lag), timeline.clone()));
    ensure!(
        replicas.poll_once().await,
        "--max-replica-lag needs exactly one primary in READER_DATABASE_URL, and found none or several: the lag of the standbys \
         is measured against it"
    );
    let watched = Arc::clone(&replicas);
    actix_web::rt::spawn(async move { watched.watch().await });
    Ok(Some(replicas))
}

async fn load_sample(database: &Database, guard: &GuardArguments) -> Result<()> {
    let folder = sample::write()?;
    let inputs = Inputs::find(&[folder.path().to_owned()])?;
    let report = store(database, guard, inputs, IngestOptions::default(), Arc::new(())).await?;
    let shown = render(&report).replace(&format!("{}/", folder.path().display()), "data/");
    output::print(&format!("{shown}\n"));
    Ok(())
}

/// Invalidates the definition cache when definitions change, and disables it while notifications are lost.
async fn watch(owner: DatabaseUrl, timeline: LatestTimeline, definitions: Arc<DefinitionCache>) {
    watch_definitions(&owner, &timeline, |event| match event {
        DefinitionEvent::Watching => definitions.enable(),
        DefinitionEvent::Changed => definitions.invalidate(),
        DefinitionEvent::Lost => definitions.disable(),
    })
    .await;
}

/// Notices when the reader's URL leads to another database than the one in which SQL was validated, for example because a
/// standby was promoted.
async fn watch_place((owner, reader): (DatabaseUrl, DatabaseUrl), has_moved: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(PLACE_INTERVAL).await;
        let urls = (owner.clone(), reader.clone());
        let checked = tokio::task::spawn_blocking(move || require_recorded_data(&urls.0, Some(&urls.1))).await;
        let moved = match checked {
            Ok(Ok(())) => false,
            Ok(Err(error @ ReaderError::OtherData { .. })) => {
                if !has_moved.load(Ordering::Relaxed) {
                    log::error!("the data has moved, for example because a standby was promoted: {error}, and restart");
                }
                true
            }
            // An unreachable server is reported elsewhere.
            _ => continue,
        };
        has_moved.store(moved, Ordering::Relaxed);
    }
}

fn greeting(mut address: SocketAddr, metrics: &[MetricDefinition], is_open: bool, has_hosts: bool) -> String {
    let listens = address;
    if address.ip().is_unspecified() {
        // The unspecified address is not one to connect to, although some systems map it to loopback.
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let mut lines = vec![format!("metricd listens on http://{listens}; Ctrl-C stops it.")];
    let header = if is_open {
        lines.push("Tokens are not required: anyone who reaches this address may read, write and ingest.".to_owned());
        if listens.ip().is_unspecified() && !has_hosts {
            lines.push(
                "Only loopback hosts are served; requests for others get 421. Name other hosts with --allowed-host."
                    .to_owned(),
            );
        }
        lines.push("Try:".to_owned());
        ""
    } else {
        lines.push("Tokens are required; `metricd token --help` explains how to issue one. Try:".to_owned());
        "-H \"Authorization: Bearer $TOKEN\" "
    };
    lines.extend(metrics.iter().map(|of| format!("  curl {header}http://{address}/metrics/{}", of.metric.metric_id)));
    if metrics.is_empty() {
        lines.push(format!("  curl http://{address}/health/ready"));
        lines.push("  metricd ingest PATH…".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Waits for a signal to stop. Meanwhile restarts a private PostgreSQL that has stopped unexpectedly.
async fn wait_for_stop(cluster: &mut Option<Cluster>, interrupt: &mut Signal, terminate: &mut Signal) {
    let mut watch = tokio::time::interval(WATCH_INTERVAL);
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return,
            _ = terminate.recv() => return,
            _ = watch.tick() => {}
        }
        let Some(cluster) = cluster.as_mut() else { continue };
        if let Err(error) = cluster.truncate_log() {
            log::warn!("{error}");
        }
        if cluster.has_ended() {
            log::error!("the private PostgreSQL has stopped unexpectedly; restarting it");
            if let Err(error) = cluster.start_database() {
                log::error!("{error}");
            }
        }
    }
}
