//! The load generator: clients on keep-alive connections, each of which sends its next request as soon as it has the
//! response.
//!
//! It competes with the server for the same cores, so it does little: it has one thread and no HTTP library, and checks
//! only that a response is complete. pgbench is measured with its own clients in the same way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::response::{Head, NOT_MODIFIED, header};

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
    /// The lines of further headers.
    headers: String,
    pub(crate) status: u16,
    /// The size of the body. `None` accepts any size.
    pub(crate) body_bytes: Option<usize>,
}

impl Request {
    /// A request whose expected response is 200 with a body of this size.
    pub(crate) fn ok(path: impl Into<String>, body_bytes: usize) -> Self {
        Self { body_bytes: Some(body_bytes), ..Self::any_size(path) }
    }

    /// A request whose expected response is 200 with a body of any size.
    pub(crate) fn any_size(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: String::new(), status: 200, body_bytes: None }
    }

    /// A request with this entity tag, whose expected response is 304.
    pub(crate) fn not_modified(path: impl Into<String>, tag: &str) -> Self {
        Self { status: NOT_MODIFIED, ..Self::ok(path, 0) }.with_header("If-None-Match", tag)
    }

    /// The request with another header.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers = format!("{}{name}: {value}\r\n", self.headers);
        self
    }

    fn encode(&self, address: SocketAddr) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: {address}\r\n{}\r\n", self.path, self.headers).into_bytes()
    }
}

/// The response to a single request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of the header with this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Checks that the response to the request is 200.
    pub(crate) fn check(self, Request { path, .. }: &Request) -> Result<Self> {
        ensure!(self.status == 200, "{path} responds with {}{}", self.status, reason(&self.body));
        Ok(self)
    }
}

/// What a problem document says, as the end of a sentence. Empty for any other body.
fn reason(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |object: &Value, name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let mut reasons: Vec<_> =
        errors.iter().map(|error| format!("`{}`: {}", text(error, "field"), text(error, "message"))).collect();
    if reasons.is_empty() {
        reasons.extend(problem["detail"].as_str().map(str::to_owned));
    }
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
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
    ensure!(requests > 0, "no response arrived within {} s: measure for more `--seconds`", duration.as_secs_f64());
    Ok(Load { requests_per_second: f64::from(requests) / duration.as_secs_f64(), latencies: all })
}

/// Sends one request, and returns the response whatever its status is.
pub(crate) async fn fetch(address: SocketAddr, request: &Request) -> Result<Response> {
    let mut client = Client::connect(address).await?;
    let Head { status, size_bytes, .. } = client.send(&request.encode(address)).await?;
    let body = client.buffer.split_off(size_bytes);
    Ok(Response { status, head: client.buffer, body })
}

/// Sends one request and returns the body of the response, which must be 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let request = Request::any_size(path);
    Ok(fetch(address, &request).await?.check(&request)?.body)
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
        let Request { path, status, body_bytes, .. } = request;
        if head.status != *status {
            bail!("{path} responds with {}{}", head.status, reason(&client.buffer[head.size_bytes..]));
        }
        if let Some(expected) = body_bytes.filter(|expected| *expected != head.body_bytes) {
            bail!("{path} responds with {} bytes, expected {expected}", head.body_bytes);
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
        let request = Request::not_modified("/", "\"a\"");
        let response = fetch(address, &request).await.unwrap();
        let tag = response.header("etag");
        assert_eq!((response.status, tag, response.body.len()), (304, Some("\"a\""), 0));
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
            assert_eq!(measure(&target, clients, Duration::from_millis(100)).await.is_ok(), is_good, "{clients}");
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
            let target = Target::identical(target.address, Request::any_size("/"));
            let is_accepted = measure(&target, 1, Duration::from_millis(50)).await.is_ok();
            assert_eq!(is_accepted, response.contains("200"), "{response}");
        }
    }

    #[tokio::test]
    async fn no_response_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::time::sleep(2 * WARM_UP).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        });
        let target = Target::identical(address, Request::any_size("/"));
        let error = measure(&target, 1, Duration::from_millis(10)).await.unwrap_err().to_string();
        assert_eq!(error, "no response arrived within 0.01 s: measure for more `--seconds`");
    }

    #[tokio::test]
    async fn the_error_has_what_the_problem_says() {
        let problem =
            r#"{"detail":"some parameters are wrong","errors":[{"field":"kind","message":"it needs a value"}]}"#;
        let text = format!("HTTP/1.1 422 No\r\nContent-Length: {}\r\n\r\n{problem}", problem.len());
        let address = server(text.leak().as_bytes()).await;
        let expected = ": `kind`: it needs a value";
        let error = get(address, "/metrics/a").await.unwrap_err();
        assert_eq!(error.to_string(), format!("/metrics/a responds with 422{expected}"));
        let target = Target::identical(address, Request::any_size("/"));
        let error = measure(&target, 1, Duration::from_millis(50)).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}
