//! The load generator: clients on keep-alive connections, each of which asks again as soon as it has its answer.
//!
//! It takes time of the same cores as the server, so it does little: one thread, no HTTP library, and of a response only what
//! shows that it is whole. pgbench is measured with its own clients in the same way.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::response::{Head, header};

/// How long there is load before it counts: connections are opened and statements prepared meanwhile.
const WARM_UP: Duration = Duration::from_millis(500);

/// The longest latency that is told from longer ones, in microseconds.
const MAX_MICROSECONDS: u64 = 60_000_000;

/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Who is asked, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// What a client asks for, one after the other and then anew. The first has the first list, the next one the next, and after
    /// the last list comes the first once more.
    pub(crate) asked: Vec<Vec<Asked>>,
}

impl Target {
    /// Of which all clients ask the same.
    pub(crate) fn alike(address: SocketAddr, asked: Asked) -> Self {
        Self { address, asked: vec![vec![asked]] }
    }
}

/// A request, and what its answer has to be.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The entity tag that the client has.
    pub(crate) tag: Option<String>,
    pub(crate) status: u16,
    pub(crate) body_bytes: usize,
}

impl Asked {
    /// A request that is answered with a body of this size.
    pub(crate) fn ok(path: impl Into<String>, body_bytes: usize) -> Self {
        Self { path: path.into(), tag: None, status: 200, body_bytes }
    }

    fn request(&self, address: SocketAddr) -> Vec<u8> {
        let condition = self.tag.as_ref().map(|tag| format!("If-None-Match: {tag}\r\n")).unwrap_or_default();
        format!("GET {} HTTP/1.1\r\nHost: {address}\r\n{condition}\r\n", self.path).into_bytes()
    }
}

/// An answer to a single request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The entity tag.
    pub(crate) tag: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What the clients have seen.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests_per_second: f64,
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// An empty account of latencies in microseconds.
pub(crate) fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MAX_MICROSECONDS, 3)?)
}

/// Lets so many clients ask for so long.
pub(crate) async fn measure(target: &Target, clients: u32, duration: Duration) -> Result<Load> {
    let begin = Instant::now() + WARM_UP;
    let mut running = JoinSet::new();
    for (_, asked) in (0..clients).zip(target.asked.iter().cycle()) {
        running.spawn(ask_until(target.address, asked.clone(), begin, begin + duration));
    }
    let mut all = latencies()?;
    while let Some(ended) = running.join_next().await {
        all.add(ended??)?;
    }
    let requests = u32::try_from(all.len()).context("too many requests to count")?;
    Ok(Load { requests_per_second: f64::from(requests) / duration.as_secs_f64(), latencies: all })
}

/// Asks once, as a client that has this entity tag.
pub(crate) async fn ask(address: SocketAddr, path: &str, tag: Option<String>) -> Result<Answer> {
    let mut client = Client::connect(address).await?;
    let head = client.ask(&Asked { tag, ..Asked::ok(path, 0) }.request(address)).await?;
    let body = client.buffer.split_off(head.size_bytes);
    Ok(Answer { status: head.status, tag: header(&client.buffer, "etag").map(str::to_owned), body })
}

/// Asks once, and answers with the body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let Answer { status, body, .. } = ask(address, path, None).await?;
    ensure!(status == 200, "{path} answers with {status}");
    Ok(body)
}

/// What counts is what is answered between the two points in time.
async fn ask_until(address: SocketAddr, asked: Vec<Asked>, begin: Instant, end: Instant) -> Result<Histogram<u64>> {
    let mut client = Client::connect(address).await?;
    let requests: Vec<_> = asked.iter().map(|asked| (asked, asked.request(address))).collect();
    let mut latencies = latencies()?;
    let mut sent = Instant::now();
    for (asked, request) in requests.iter().cycle() {
        if sent >= end {
            break;
        }
        let head = client.ask(request).await?;
        let answered = Instant::now();
        if head.status != asked.status || head.body_bytes != asked.body_bytes {
            let Asked { path, status, body_bytes, .. } = asked;
            bail!("{path} answers with {} and {} bytes, not {status} and {body_bytes}", head.status, head.body_bytes);
        }
        if answered >= begin && answered < end {
            latencies.saturating_record(u64::try_from((answered - sent).as_micros())?);
        }
        sent = answered;
    }
    Ok(latencies)
}

/// A connection, and what was last read from it.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Asks, and reads the whole response.
    async fn ask(&mut self, request: &[u8]) -> Result<Head> {
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
                ensure!(self.buffer.len() == size_bytes, "the server has sent more than was asked for");
                return Ok(head);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each request with the bytes, in small pieces.
    async fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 1_024];
                    while stream.read(&mut request).await.unwrap_or_default() > 0 {
                        for piece in answer.chunks(7) {
                            stream.write_all(piece).await.unwrap();
                        }
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn counts_what_is_answered_in_full() {
        let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789").await;
        assert_eq!(get(address, "/").await.unwrap(), b"0123456789");
        let target = Target { address, asked: vec![vec![Asked::ok("/", 10), Asked::ok("/2", 10)]] };
        let load = measure(&target, 2, Duration::from_millis(50)).await.unwrap();
        assert!(load.requests_per_second > 0.0 && load.latencies.max() > 0);
    }

    #[tokio::test]
    async fn a_client_that_has_a_tag_says_so_and_may_be_told_that_nothing_has_changed() {
        let address = server(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n").await;
        let answer = ask(address, "/", Some("\"a\"".to_owned())).await.unwrap();
        assert_eq!((answer.status, answer.tag.as_deref(), answer.body.len()), (304, Some("\"a\""), 0));
        let asked = Asked { tag: answer.tag, status: 304, ..Asked::ok("/", 0) };
        assert!(String::from_utf8(asked.request(address)).unwrap().ends_with("\r\nIf-None-Match: \"a\"\r\n\r\n"));
        let target = Target::alike(address, asked);
        assert!(measure(&target, 1, Duration::from_millis(50)).await.unwrap().requests_per_second > 0.0);
    }

    #[tokio::test]
    async fn each_client_has_a_list_of_its_own() {
        let (good, bad) = (Asked::ok("/", 2), Asked::ok("/", 3));
        let address = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        let target = Target { address, asked: vec![vec![good.clone()], vec![good], vec![bad]] };
        for (clients, is_good) in [(1, true), (2, true), (3, false)] {
            assert_eq!(measure(&target, clients, Duration::from_millis(20)).await.is_ok(), is_good, "{clients}");
        }
    }

    #[tokio::test]
    async fn does_not_count_errors_or_other_sizes() {
        for answer in
            ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"]
        {
            let target = Target::alike(server(answer.as_bytes()).await, Asked::ok("/", 2));
            let error = measure(&target, 1, Duration::from_millis(50)).await.unwrap_err();
            assert!(error.to_string().contains("answers with"), "{error}");
        }
    }
}
