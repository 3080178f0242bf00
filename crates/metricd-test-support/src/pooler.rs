//! A connection pooler like `PgBouncer`: clients share a few backends.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use metricd_database::DatabaseUrl;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::config::Host;
use tokio_postgres::{CancelToken, Client, Config, NoTls};

use crate::{READER, TestDatabase, connect as connect_to};

const CANCEL_REQUEST_CODE: u32 = 80_877_102;
const SSL_REQUEST_CODE: u32 = 80_877_103;
const GSS_REQUEST_CODE: u32 = 80_877_104;

/// How long a cancel request takes.
const FORWARDING_TIME: Duration = Duration::from_millis(10);

/// What the pooler does with the `options` of a client's startup message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartupOptions {
    /// The pooler ignores them, like `PgBouncer` with `ignore_startup_parameters = options`.
    Ignored,
    /// The pooler refuses the client, like `PgBouncer` by default.
    Refused,
}

/// For how long a client keeps a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// Until it disconnects.
    Session,
    /// Until its transaction ends. The next one runs on a random backend.
    Transaction,
    /// Until its request ends. A client that leaves a transaction open is disconnected.
    Statement,
}

/// A pooler between the reader and PostgreSQL. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Pooler {
    /// The database through the pooler, as the reader.
    pub reader: DatabaseUrl,
    url: SecretString,
}

struct Shared {
    server: Config,
    mode: PoolMode,
    options: StartupOptions,
    idle: Mutex<Vec<Backend>>,
    slots: Semaphore,
    clients: AtomicI32,
    /// Whether the pooler has crashed.
    has_ended: AtomicBool,
    /// The backends that work for a client, by the cancellation key that the client got.
    busy: Mutex<HashMap<i32, CancelToken>>,
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A connection to a backend of PostgreSQL.
struct Backend {
    socket: Box<dyn Socket>,
    token: CancelToken,
}

impl Pooler {
    /// Starts a pooler in transaction mode with this number of backends.
    ///
    /// # Errors
    ///
    /// If PostgreSQL refuses the reader.
    pub async fn listen(database: &TestDatabase, backends: usize, options: StartupOptions) -> Result<Self> {
        Self::listen_in(PoolMode::Transaction, database, backends, options).await
    }

    /// Starts a pooler in this mode with this number of backends.
    ///
    /// # Errors
    ///
    /// If PostgreSQL refuses the reader.
    pub async fn listen_in(
        mode: PoolMode,
        database: &TestDatabase,
        backends: usize,
        options: StartupOptions,
    ) -> Result<Self> {
        let server: Config = database.reader_url.expose_secret().parse()?;
        let name = server.get_dbname().unwrap_or_default().to_owned();
        let mut idle = Vec::new();
        for _ in 0..backends {
            idle.push(Backend::open(&server).await?);
        }
        let (slots, idle) = (Semaphore::new(backends), Mutex::new(idle));
        let (clients, has_ended, busy) = (AtomicI32::new(1), AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { server, mode, options, idle, slots, clients, has_ended, busy });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // A client that disconnects during a request is ignored.
                tokio::spawn(async move { drop(shared.serve(client).await) });
            }
        });
        let url: SecretString = format!("postgres://{READER}:any@127.0.0.1:{port}/{name}").into();
        Ok(Self { reader: DatabaseUrl::parse(url.clone())?, url })
    }
}

impl Pooler {
    /// Connects through the pooler, without the runner.
    ///
    /// # Errors
    ///
    /// If the pooler refuses the connection.
    pub async fn connect(&self) -> Result<Client> {
        connect_to(&self.url).await
    }
}

impl Backend {
    async fn open(server: &Config) -> Result<Self> {
        let mut socket = connect(server).await?;
        let (client, driver) = server.connect_raw(&mut socket, NoTls).await?;
        let token = client.cancel_token();
        drop((client, driver));
        Ok(Self { socket, token })
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        if self.has_ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        client.set_nodelay(true)?;
        let startup = loop {
            let length = usize::try_from(client.read_u32().await?)?.checked_sub(4).context("a startup message")?;
            let mut startup = vec![0; length];
            client.read_exact(&mut startup).await?;
            let (code, rest) = startup.split_first_chunk().context("a startup message")?;
            match u32::from_be_bytes(*code) {
                SSL_REQUEST_CODE | GSS_REQUEST_CODE => client.write_all(b"N").await?,
                CANCEL_REQUEST_CODE => return self.cancel(rest, &mut client).await,
                _ => break rest.to_vec(),
            }
        };
        let has_options = startup.split(|byte| *byte == 0).any(|part| part == b"options");
        if has_options && self.options == StartupOptions::Refused {
            client.write_all(&refusal("unsupported startup parameter: options")).await?;
            return Ok(());
        }
        let key = self.clients.fetch_add(1, Ordering::Relaxed);
        let mut greeting = message(b'R', &0_u32.to_be_bytes());
        for (name, value) in
            [("client_encoding", "UTF8"), ("server_version", "15.0"), ("standard_conforming_strings", "on")]
        {
            greeting.extend(message(b'S', format!("{name}\0{value}\0").as_bytes()));
        }
        // As with PgBouncer, the process id belongs to no process.
        greeting.extend(message(b'K', &[key.to_be_bytes(), [7; 4]].concat()));
        greeting.extend(message(b'Z', b"I"));
        client.write_all(&greeting).await?;
        let mut assigned = None;
        let ended = self.relay(key, &mut client, &mut assigned).await;
        if let Some(backend) = assigned.take() {
            self.replace(backend).await?;
        }
        ended
    }

    /// Relays one request after the other. A request of a client without a backend goes to a random one.
    async fn relay(&self, key: i32, client: &mut TcpStream, assigned: &mut Option<Backend>) -> Result<()> {
        loop {
            let mut request = Vec::new();
            loop {
                let (tag, message) = read(client).await?;
                request.extend(message);
                match tag {
                    b'X' => return Ok(()),
                    b'S' | b'Q' => break,
                    _ => {}
                }
            }
            if assigned.is_none() {
                *assigned = Some(self.acquire().await?);
            }
            let Some(backend) = assigned.as_mut() else { bail!("no process") };
            self.busy().insert(key, backend.token.clone());
            let ready = forward(&request, client, backend).await;
            self.busy().remove(&key);
            let ready = ready?;
            let is_idle = ready.ends_with(b"I");
            if !is_idle && self.mode == PoolMode::Statement {
                let error = refusal("transaction blocks not allowed in statement pooling mode");
                client.write_all(&error).await?;
                return Ok(());
            }
            client.write_all(&ready).await?;
            if is_idle
                && self.mode != PoolMode::Session
                && let Some(backend) = assigned.take()
            {
                self.release(backend);
            }
        }
    }

    async fn acquire(&self) -> Result<Backend> {
        self.slots.acquire().await?.forget();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let random = usize::try_from(RandomState::new().build_hasher().finish() % (1 << 16))?;
        let count = idle.len();
        Ok(idle.swap_remove(random % count.max(1)))
    }

    fn release(&self, backend: Backend) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(backend);
        self.slots.add_permits(1);
    }

    /// Replaces the backend of a client that has disconnected, after its statement was cancelled.
    async fn replace(&self, backend: Backend) -> Result<()> {
        drop(backend.token.cancel_query_raw(connect(&self.server).await?, NoTls).await);
        drop(backend);
        self.release(Backend::open(&self.server).await?);
        Ok(())
    }

    /// Forwards a cancel request to the backend that works for the client. Ignores it if there is none. Like `PgBouncer`
    /// 1.18, the pooler ends if the client closes its side before.
    async fn cancel(&self, request: &[u8], client: &mut TcpStream) -> Result<()> {
        if timeout(FORWARDING_TIME, client.read(&mut [0])).await.is_ok() {
            self.has_ended.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let key = i32::from_be_bytes(*request.first_chunk().context("a key")?);
        let token = self.busy().get(&key).cloned();
        if let Some(token) = token {
            let mut socket = connect(&self.server).await?;
            token.cancel_query_raw(&mut socket, NoTls).await?;
            while socket.read(&mut [0; 64]).await? > 0 {}
        }
        Ok(())
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<i32, CancelToken>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forwards a request to the backend and its response to the client, up to the final `ReadyForQuery`, which is returned.
/// Its last byte is the transaction status.
async fn forward(request: &[u8], client: &mut TcpStream, backend: &mut Backend) -> Result<Vec<u8>> {
    backend.socket.write_all(request).await?;
    loop {
        let (tag, message) = read(&mut backend.socket).await?;
        if tag == b'Z' {
            return Ok(message);
        }
        client.write_all(&message).await?;
    }
}

async fn connect(server: &Config) -> Result<Box<dyn Socket>> {
    let port = server.get_ports().first().copied().unwrap_or(5_432);
    Ok(match server.get_hosts().first().context("a host")? {
        Host::Tcp(host) => Box::new(TcpStream::connect((host.as_str(), port)).await?),
        Host::Unix(folder) => Box::new(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await?),
    })
}

/// Reads a message. Returns its tag, and its bytes with tag and length.
async fn read(socket: &mut (impl AsyncRead + Unpin)) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    socket.read_exact(&mut head).await?;
    let [tag, length @ ..] = head;
    let mut message = head.to_vec();
    let size_bytes = usize::try_from(u32::from_be_bytes(length))?;
    message.resize(1 + size_bytes, 0);
    socket.read_exact(message.get_mut(5..).unwrap_or_default()).await?;
    Ok((tag, message))
}

/// The message with which the pooler ends a client's connection.
fn refusal(text: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0VFATAL\0C08P01\0M{text}\0\0").as_bytes())
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let size_bytes = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag][..], &size_bytes.to_be_bytes(), body].concat()
}
