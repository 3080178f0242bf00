//! `metricd serve`

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use metricd_access::Access;
use metricd_api::{ApiState, Definitions, Quotas, ServerOptions, start};
use metricd_domain::MetricDefinition;
use metricd_embedded::Cluster;
use metricd_ingestion::{Inputs, Options, render};
use metricd_postgres::{
    DatabaseUrl, DefinitionEvent, PgRepository, PgResolver, PgRunner, RepositoryConfig, RunnerConfig, watch_definitions,
};
use metricd_repository::{DefinitionFilter, MetricRepository};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::ingest::store;
use crate::access::{Exposure, access};
use crate::arguments::{DatabaseArguments, GuardArguments, ServeArguments};
use crate::database::Database;
use crate::tenants::tenants;
use crate::{output, sample};

/// How often it is looked whether a private PostgreSQL still runs.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How many requests the start suggests.
const SUGGESTED_REQUESTS: usize = 5;

/// Serves until a signal says to stop; then finishes the requests in flight and ends a private PostgreSQL.
pub(crate) async fn serve(
    arguments: &DatabaseArguments,
    guard: &GuardArguments,
    serve: ServeArguments,
) -> Result<ExitCode> {
    let exposure = Exposure { is_operators_database: arguments.database_url.is_some(), address: serve.listen };
    let access = access(&serve.access, exposure)?;
    let is_open = matches!(access, Access::Anonymous);
    let listener = bind(serve.listen)?;
    let query_timeout = Duration::from_secs(serve.query_timeout_seconds);
    let mut database = Database::open(arguments, query_timeout)?;
    let (repository, runner) = connect(&database, &serve)?;
    if database.is_private && !serve.no_sample && repository.check().await?.metric_count == 0 {
        load_sample(&database, guard).await?;
    }
    let (runner, tenants) = tenants(&serve.access, &database, runner).await?;
    let metrics = repository.list_definitions(&DefinitionFilter::default(), None, SUGGESTED_REQUESTS).await?;

    let stream_patience = Duration::from_secs(serve.stream_patience_seconds);
    let state = ApiState {
        access,
        quotas: Arc::new(Quotas::new(serve.quotas.rules(serve.query_connections))),
        tenants,
        query_timeout,
        results_timeout: Duration::from_secs(serve.results_timeout_seconds),
        stream_patience,
        max_upload_bytes: serve.max_upload_mib << 20,
        query_cost: serve.query_cost,
        allowed_functions: Arc::new(guard.allow_functions.iter().cloned().collect()),
        allowed_types: Arc::new(guard.allow_types.iter().cloned().collect()),
        ..ApiState::new(Arc::new(repository), Arc::new(runner), Arc::new(PgResolver::new(&database.owner)))
    };
    actix_web::rt::spawn(watch(database.owner.clone(), Arc::clone(&state.definitions)));
    let shutdown_timeout = Duration::from_secs(serve.shutdown_timeout_seconds);
    let address = listener.local_addr()?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let options = ServerOptions { shutdown_timeout, cors_origins: serve.cors_origins, ..ServerOptions::default() };
    let server = start(listener, state, options)?;
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    output::print(&greeting(address, &metrics, is_open));

    wait_for_stop(&mut database.cluster, &mut interrupt, &mut terminate).await;
    log::info!("stopping: requests in flight are finished; a second signal stops at once");
    let code = tokio::select! {
        () = handle.stop(true) => {
            server.await?.context("the server failed")?;
            ExitCode::SUCCESS
        }
        // What is still in flight ends with the process, and its statements with the database.
        _ = interrupt.recv() => ExitCode::FAILURE,
        _ = terminate.recv() => ExitCode::FAILURE,
    };
    database.close()?;
    Ok(code)
}

fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is taken by another program: stop it, or give another --listen")
        }
        io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("this user may not listen on {address}: give a --listen with a port from 1024 on")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}; give another --listen"),
    })
}

fn connect(database: &Database, serve: &ServeArguments) -> Result<(PgRepository, PgRunner)> {
    let catalog = RepositoryConfig { max_connections: serve.catalog_connections, ..Default::default() };
    let queries = RunnerConfig { max_connections: serve.query_connections.try_into()?, ..Default::default() };
    let runner = PgRunner::new(&database.reader, queries)?.exporting_as(&database.owner);
    Ok((PgRepository::new(&database.owner, catalog)?, runner))
}

async fn load_sample(database: &Database, guard: &GuardArguments) -> Result<()> {
    let folder = sample::write()?;
    let inputs = Inputs::find(&[folder.path().to_owned()])?;
    let report = store(database, guard, inputs, Options::default(), Arc::new(())).await?;
    let shown = render(&report).replace(&format!("{}/", folder.path().display()), "data/");
    output::print(&format!("{shown}\n"));
    Ok(())
}

/// Lets go of definitions in memory when they change.
async fn watch(owner: DatabaseUrl, definitions: Arc<Definitions>) {
    watch_definitions(&owner, |event| match event {
        DefinitionEvent::Watching => definitions.watch_began(),
        DefinitionEvent::Changed => definitions.changed(),
        DefinitionEvent::Lost => definitions.watch_ended(),
    })
    .await;
}

fn greeting(address: SocketAddr, metrics: &[MetricDefinition], is_open: bool) -> String {
    let mut lines = vec![format!("metricd listens on http://{address}; Ctrl-C stops it.")];
    let header = if is_open {
        lines.push("No token is asked for: whoever reaches this address may read, write and ingest. Try:".to_owned());
        ""
    } else {
        lines.push("A token is asked for; `metricd token --help` says how to make one. Try:".to_owned());
        "-H \"Authorization: Bearer $TOKEN\" "
    };
    lines.extend(metrics.iter().map(|of| format!("  curl {header}http://{address}/metrics/{}", of.metric.metric_id)));
    if metrics.is_empty() {
        lines.push(format!("  curl http://{address}/health/ready"));
        lines.push("  metricd ingest PATH…".to_owned());
    }
    lines.join("\n") + "\n"
}

/// Waits for a signal to stop. Meanwhile a private PostgreSQL that has ended by itself is started again.
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
        if let Err(error) = cluster.keep_log_small() {
            log::warn!("{error}");
        }
        if cluster.has_ended() {
            log::error!("the private PostgreSQL has ended by itself and is started again");
            if let Err(error) = cluster.start_database() {
                log::error!("{error}");
            }
        }
    }
}
