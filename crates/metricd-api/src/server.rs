//! The HTTP server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, web};
use metricd_access::Access;
use tokio::net::TcpStream;

use crate::connections::{ConnectionLimits, Registry, Socket};
use crate::middleware::{self, AllowedHost, AllowedOrigin, Cors, CrossOriginPolicy, CrossSiteGuard};
use crate::{ApiState, routes};

/// The options of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The number of worker threads.
    pub workers: usize,
    /// How long the head of a connection's first request may take to arrive.
    pub request_timeout: Duration,
    /// How long a connection may be idle between two requests. The head of the next request has `request_timeout` in
    /// addition.
    pub keep_alive: Duration,
    /// How long a graceful shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The origins whose pages may read responses.
    pub cors_origins: Vec<AllowedOrigin>,
    /// The hosts that are served in addition to loopback. Checked if there are any, and always if the server requires
    /// no tokens.
    pub allowed_hosts: Vec<AllowedHost>,
    /// The limits of connections.
    pub limits: ConnectionLimits,
}

impl Default for ServerOptions {
    /// A worker per core, 10 s for a request head, 5 s idle, 30 s to shut down, no other origins.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers,
            request_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            cors_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            limits: ConnectionLimits::default(),
        }
    }
}

/// Serves on the listener until the server is stopped through its handle. The caller handles signals.
///
/// # Errors
///
/// If the listener cannot be used.
pub fn start(listener: TcpListener, state: ApiState, options: ServerOptions) -> io::Result<Server> {
    let state = web::Data::new(state);
    let (cors_origins, mut allowed_hosts) = (options.cors_origins, options.allowed_hosts);
    let address = listener.local_addr()?.ip();
    if matches!(state.access, Access::Anonymous) && !address.is_unspecified() {
        allowed_hosts.push(AllowedHost::of_address(address));
    }
    let registry = Registry::new(options.limits, options.keep_alive + options.request_timeout);
    actix_web::rt::spawn(Registry::sweep(Arc::downgrade(&registry)));
    let builder =
        Server::build().workers(options.workers).shutdown_timeout(options.shutdown_timeout.as_secs()).disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let (keep_alive, request_timeout) = (options.keep_alive, options.request_timeout);
    let service = move || {
        let guard = CrossSiteGuard::new(&state.access, allowed_hosts.clone());
        let policy = Rc::new(CrossOriginPolicy { guard, cors: Cors::new(cors_origins.clone()) });
        let middleware =
            from_fn(move |request, next: Next<BoxBody>| middleware::handle(Rc::clone(&policy), request, next));
        let app = App::new().app_data(state.clone()).wrap(middleware).configure(routes::configure);
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(keep_alive)
            .client_request_timeout(request_timeout)
            // A client that closes its side has left: its request is dropped, and its statement cancelled.
            .h1_allow_half_closed(false)
            .on_connect_ext(|socket: &Socket, data: &mut Extensions| drop(data.insert(socket.data())))
            .h1(map_config(app, |()| AppConfig::default()));
        let registry = Arc::clone(&registry);
        fn_service(move |stream: TcpStream| {
            let registry = Arc::clone(&registry);
            async move { accept(&registry, stream) }
        })
        .and_then(http)
    };
    Ok(builder.listen("metricd", listener, service)?.run())
}

/// Registers a connection, unless there are too many.
fn accept(registry: &Arc<Registry>, stream: TcpStream) -> Result<(Socket, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    disable_nagle(&stream);
    let socket = registry.accept(stream).ok_or_else(|| {
        log::warn!("a connection is refused: the limit of connections is reached");
        DispatchError::Io(io::ErrorKind::ConnectionRefused.into())
    })?;
    Ok((socket, peer))
}

/// Disables Nagle's algorithm: a small response could otherwise wait 40 ms for a delayed acknowledgement.
fn disable_nagle(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("cannot disable Nagle's algorithm on a connection: {error}");
    }
}
