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

use crate::response::Head;

/// How long there is load before it counts: connections are opened and statements prepared meanwhile.
const WARM_UP: Duration = Duration::from_millis(500);

/// The longest latency that is told from longer ones, in microseconds.
const MAX_MICROSECONDS: u64 = 60_000_000;

/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What is asked for, and how large the answer has to be.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) body_bytes: usize,
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
    for _ in 0..clients {
        running.spawn(ask_until(target.clone(), begin, begin + duration));
    }
    let mut all = latencies()?;
    while let Some(ended) = running.join_next().await {
        all.add(ended??)?;
    }
    let requests = u32::try_from(all.len()).context("too many requests to count")?;
    Ok(Load { requests_per_second: f64::from(requests) / duration.as_secs_f64(), latencies: all })
}

/// Asks once, and answers with the body.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Vec<u8>> {
    let mut client = Client::connect(address, path).await?;
    let head = client.ask().await?;
    ensure!(head.status == 200, "{path} answers with {}", head.status);
    let mut body = client.buffer.split_off(head.size_bytes);
    body.truncate(head.body_bytes);
    Ok(body)
}

/// What counts is what is answered between the two points in time.
async fn ask_until(target: Target, begin: Instant, end: Instant) -> Result<Histogram<u64>> {
    let mut client = Client::connect(target.address, &target.path).await?;
    let mut latencies = latencies()?;
    let mut asked = Instant::now();
    while asked < end {
        let head = client.ask().await?;
        let answered = Instant::now();
        if head.status != 200 || head.body_bytes != target.body_bytes {
            let expected = target.body_bytes;
            bail!("{} answers with {} and {} bytes, not {expected}", target.path, head.status, head.body_bytes);
        }
        if answered >= begin && answered < end {
            latencies.saturating_record(u64::try_from((answered - asked).as_micros())?);
        }
        asked = answered;
    }
    Ok(latencies)
}

/// A connection, and the bytes that are sent on it for each request.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        Ok(Self { stream, request, buffer: Vec::with_capacity(BUFFER_BYTES) })
    }

    /// Asks, and reads the whole response.
    async fn ask(&mut self) -> Result<Head> {
        self.stream.write_all(&self.request).await?;
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
        let target = Target { address, path: "/".to_owned(), body_bytes: 10 };
        let load = measure(&target, 2, Duration::from_millis(50)).await.unwrap();
        assert!(load.requests_per_second > 0.0 && load.latencies.max() > 0);
    }

    #[tokio::test]
    async fn does_not_count_errors_or_other_sizes() {
        for answer in
            ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"]
        {
            let target = Target { address: server(answer.as_bytes()).await, path: "/".to_owned(), body_bytes: 2 };
            let error = measure(&target, 1, Duration::from_millis(50)).await.unwrap_err();
            assert!(error.to_string().contains("answers with"), "{error}");
        }
    }
}
