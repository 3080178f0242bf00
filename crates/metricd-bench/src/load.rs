//! The load generator: clients on keep-alive connections, each of which sends its next request as soon as it has the
//! response.
//!
//! It competes with the server for the same cores, so it does little: it has one thread and no HTTP library, and checks
//! only that a response is complete. pgbench is measured with its own clients in the same way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::response::{Head, header};

/// The warm-up before the measurement, in which connections are opened and statements prepared.
const WARM_UP: Duration = Duration::from_millis(500);

/// The greatest latency that is recorded, in microseconds. Longer ones count as this.
const MAX_LATENCY_MICROSECONDS: u64 = 60_000_000;

/// The initial capacity of a client's read buffer.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// A server, and the requests to send to it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The lists of requests. A client sends those of one list in turn, and repeats them. The clients get the lists in
    /// order; after the last list the first is used again.
    pub(crate) requests: Vec<Vec<Request>>,
}

impl Target {
    /// A target to which all clients send the same request.
    pub(crate) fn identical(address: SocketAddr, request: Request) -> Self {
        Self { address, requests: vec![vec![request]] }
    }
}

/// A request, and the expected response.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// The entity tag to send as `If-None-Match`.
    pub(crate) tag: Option<String>,
    pub(crate) status: u16,
    pub(crate) body_bytes: usize,
}

impl Request {
    /// A request whose expected response is 200 with a body of this size.
    pub(crate) fn ok(path: impl Into<String>, body_bytes: usize) -> Self {
        Self { path: path.into(), tag: None, status: 200, body_bytes }
    }

    fn encode(&self, address: SocketAddr) -> Vec<u8> {
        let condition = self.tag.as_ref().map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
        format!("GET {} HTTP/1.1\r\nHost: {address}\r\n{condition}\r\n", self.path).into_bytes()
    }
}

/// The response to a single request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The entity tag.
    pub(crate) tag: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The measurements of a load.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    /// The latencies of all clients, in microseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// An empty histogram of latencies in microseconds.
pub(crate) fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MAX_LATENCY_MICROSECONDS, 3)?)
}

/// Runs this number of clients for this duration, after the warm-up.
pub(crate) async fn measure(target: &Target, clients: u32, duration: Duration) -> Result<Load> {
    let begin = Instant::now() + WARM_UP;
    let mut running = JoinSet::new();
    for (_, requests) in (0..clients).zip(target.requests.iter().cycle()) {
        running.spawn(run_client(target.address, requests.clone(), begin, begin + duration));
    }
    let mut all = latencies()?;
    while let Some(ended) = running.join_next().await {
        all.add(ended??)?;
    }
    let requests = u32::try_from(all.len()).context("too many requests to count")?;
    Ok(Load { requests_per_second: f64::from(requests) / duration.as_secs_f64(), latencies: all })
}

/// Sends one request, with this entity tag if one is given.
pub(crate) async fn fetch(address: SocketAddr, path: &str, tag: Option<String>) -> Result<Response> {
    let mut client = Client::connect(address).await?;
    let head = client.send(&Request { tag, ..Request::ok(path, 0) }.encode(address)).await?;
    let body = client.buffer.split_off(head.size_bytes);
    Ok(Response { status: head.status, tag: header(&client.buffer, "etag").map(str::to_owned), body })
}

/// Sends one request and returns the body of the response, which must be 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let Response { status, body, .. } = fetch(address, path, None).await?;
    ensure!(status == 200, "{path} responds with {status}");
    Ok(body)
}

/// Sends the requests in turn until `end`. Counts the responses between `begin` and `end`.
async fn run_client(
    address: SocketAddr,
    requests: Vec<Request>,
    begin: Instant,
    end: Instant,
) -> Result<Histogram<u64>> {
    let mut client = Client::connect(address).await?;
    let encoded: Vec<_> = requests.iter().map(|request| (request, request.encode(address))).collect();
    let mut latencies = latencies()?;
    let mut sent = Instant::now();
    for (request, bytes) in encoded.iter().cycle() {
        if sent >= end {
            break;
        }
        let head = client.send(bytes).await?;
        let received = Instant::now();
        if head.status != request.status || head.body_bytes != request.body_bytes {
            let Request { path, status, body_bytes, .. } = request;
            bail!(
                "{path} responds with {} and {} bytes, expected {status} and {body_bytes}",
                head.status,
                head.body_bytes
            );
        }
        if received >= begin && received < end {
            latencies.saturating_record(u64::try_from((received - sent).as_micros())?);
        }
        sent = received;
    }
    Ok(latencies)
}

/// A connection, and the bytes of the last response.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BUFFER_BYTES) })
    }

    /// Sends a request and reads the complete response.
    async fn send(&mut self, request: &[u8]) -> Result<Head> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            let count = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(count > 0, "the server has closed a connection");
            if let Some(head) = Head::parse(&self.buffer)? {
                let size_bytes = head.size_bytes + head.body_bytes;
                self.buffer.reserve(size_bytes.saturating_sub(self.buffer.len()));
                while self.buffer.len() < size_bytes {
                    let count = self.stream.read_buf(&mut self.buffer).await?;
                    ensure!(count > 0, "the server has closed a connection within a response");
                }
                ensure!(self.buffer.len() == size_bytes, "the server has sent more than one response");
                return Ok(head);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server that sends these bytes in response to each request, in small pieces.
    async fn server(response: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 1_024];
                    while stream.read(&mut request).await.unwrap_or_default() > 0 {
                        for piece in response.chunks(7) {
                            stream.write_all(piece).await.unwrap();
                        }
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn counts_complete_responses() {
        let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789").await;
        assert_eq!(get(address, "/").await.unwrap(), b"0123456789");
        let target = Target { address, requests: vec![vec![Request::ok("/", 10), Request::ok("/2", 10)]] };
        let load = measure(&target, 2, Duration::from_millis(50)).await.unwrap();
        assert!(load.requests_per_second > 0.0 && load.latencies.max() > 0);
    }

    #[tokio::test]
    async fn a_client_sends_its_tag_and_accepts_304() {
        let address = server(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n").await;
        let response = fetch(address, "/", Some("\"a\"".to_owned())).await.unwrap();
        assert_eq!((response.status, response.tag.as_deref(), response.body.len()), (304, Some("\"a\""), 0));
        let request = Request { tag: response.tag, status: 304, ..Request::ok("/", 0) };
        assert!(String::from_utf8(request.encode(address)).unwrap().ends_with("\r\nIf-None-Match: \"a\"\r\n\r\n"));
        let target = Target::identical(address, request);
        assert!(measure(&target, 1, Duration::from_millis(50)).await.unwrap().requests_per_second > 0.0);
    }

    #[tokio::test]
    async fn each_client_has_its_own_list() {
        let (good, bad) = (Request::ok("/", 2), Request::ok("/", 3));
        let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        let target = Target { address, requests: vec![vec![good.clone()], vec![good], vec![bad]] };
        for (clients, is_good) in [(1, true), (2, true), (3, false)] {
            assert_eq!(measure(&target, clients, Duration::from_millis(20)).await.is_ok(), is_good, "{clients}");
        }
    }

    #[tokio::test]
    async fn refuses_errors_and_other_sizes() {
        for response in
            ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"]
        {
            let target = Target::identical(server(response.as_bytes()).await, Request::ok("/", 2));
            let error = measure(&target, 1, Duration::from_millis(50)).await.unwrap_err();
            assert!(error.to_string().contains("responds with"), "{error}");
        }
    }
}
