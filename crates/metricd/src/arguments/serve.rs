//! How the server is run.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use metricd_api::{AllowedHost, AllowedOrigin};

use super::values::{boolean, whole_number};
use super::{AccessArguments, QuotaArguments};

/// How to serve.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArguments {
    /// The address to listen on: `HOST:PORT`, or `:PORT` for that port of 127.0.0.1. Of a name its first IPv4 address counts,
    /// otherwise its first address. With `0.0.0.0:PORT`, and no token asked for, --allowed-host has to name each host by which
    /// other machines reach the server.
    #[arg(long, env = "METRICD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,

    /// How many seconds a metric's SQL may run. On a database of yours the reader's own limit, 5 seconds unless an
    /// administrator has changed it, holds as well, but for streams, in which PostgreSQL cannot tell its own time from that of the client.
    #[arg(long, env = "METRICD_QUERY_TIMEOUT_SECONDS", default_value_t = 5, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=3600))]
    pub(crate) query_timeout_seconds: u64,

    /// How many seconds the metrics of one call to `/results`, or of a dashboard, may run together. Each of them has its own
    /// limit beside.
    #[arg(long, env = "METRICD_RESULTS_TIMEOUT_SECONDS", default_value_t = 15, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=3600))]
    pub(crate) results_timeout_seconds: u64,

    /// The folder in which the files of uploads are kept while they are ingested. It is made unless it exists; one that exists
    /// has to belong to metricd's user, with mode 700. What a killed server has left there (`metricd-server-…`) is removed at
    /// the start [default: `uploads` in the data folder, or a folder of this user's among temporary files].
    #[arg(long, env = "METRICD_UPLOAD_DIR", value_name = "FOLDER")]
    pub(crate) upload_dir: Option<PathBuf>,

    /// How many MiB an upload to `/ingestions` may have.
    #[arg(long, env = "METRICD_MAX_UPLOAD_MIB", default_value_t = 256, value_name = "MIB", value_parser = whole_number::<u64>(1..=1_048_576))]
    pub(crate) max_upload_mib: u64,

    /// How many seconds the client of a CSV or NDJSON stream may keep the database waiting, all in all, beside the time that
    /// the SQL takes. Then the stream breaks off.
    #[arg(long, env = "METRICD_STREAM_PATIENCE_SECONDS", default_value_t = 300, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=86400))]
    pub(crate) stream_patience_seconds: u64,

    /// How many KiB a second the client of a stream has to take at least, on average over half a minute; 0 for any number. A
    /// client that is slower holds a database connection for longer than others can wait: its stream breaks off.
    #[arg(long, env = "METRICD_STREAM_MIN_KIB_PER_SECOND", default_value_t = 16, value_name = "KIB", value_parser = whole_number::<u64>(0..=1_048_576))]
    pub(crate) stream_min_kib_per_second: u64,

    /// What PostgreSQL's planner may estimate that a metric's SQL costs; 1 is the reading of a page in sequence. What would
    /// cost more is refused before it runs.
    #[arg(long, env = "METRICD_QUERY_COST", default_value_t = 10_000_000, value_name = "COST", value_parser = whole_number::<u64>(1..))]
    pub(crate) query_cost: u64,

    /// How many connections run stored SQL at once. Streams may have half of them.
    #[arg(long, env = "METRICD_QUERY_CONNECTIONS", default_value_t = 16, value_name = "COUNT", value_parser = whole_number::<u32>(1..=50))]
    pub(crate) query_connections: u32,

    /// How many seconds a connection runs stored SQL before another one takes its place, less up to a tenth: PostgreSQL's
    /// sessions keep what they have cached.
    #[arg(long, env = "METRICD_QUERY_CONNECTION_LIFETIME_SECONDS", default_value_t = 1_800, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=604_800))]
    pub(crate) query_connection_lifetime_seconds: u64,

    /// How many seconds a connection for stored SQL is kept that nobody uses.
    #[arg(long, env = "METRICD_QUERY_CONNECTION_IDLE_SECONDS", default_value_t = 300, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=604_800))]
    pub(crate) query_connection_idle_seconds: u64,

    /// Do not batch: send each metric's SQL in a round trip of its own. Use this to see each statement by itself in
    /// PostgreSQL's log and views, or to find out whether batching causes a latency. Batching sends cheap statements of
    /// several requests at once, which raises the rate of small requests under load.
    #[arg(long, env = "METRICD_NO_BATCHING", value_parser = boolean)]
    pub(crate) no_batching: bool,

    /// How many connections read and store definitions at once.
    #[arg(long, env = "METRICD_CATALOG_CONNECTIONS", default_value_t = 8, value_name = "COUNT", value_parser = whole_number::<u32>(1..=100))]
    pub(crate) catalog_connections: u32,

    /// How many seconds a graceful stop waits for the requests in flight.
    #[arg(long, env = "METRICD_SHUTDOWN_TIMEOUT_SECONDS", default_value_t = 30, value_name = "SECONDS", value_parser = whole_number::<u64>(0..))]
    pub(crate) shutdown_timeout_seconds: u64,

    /// An origin whose pages may read answers from a browser, as `https://example.org`, or `*` for anybody's; without one
    /// only the pages of metricd itself may. Where no token is asked for, these pages may also write. May be given several times, or with commas.
    #[arg(long = "cors-origin", env = "METRICD_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origins: Vec<AllowedOrigin>,

    /// A host by which the server may be reached, as `metrics.example.org`: a name or an address, without a port. A server that
    /// asks for no token answers only to these, to loopback hosts and to the address it listens on; one that asks for tokens
    /// answers to any host unless this is given. May be given several times, or with commas.
    #[arg(long = "allowed-host", env = "METRICD_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub(crate) allowed_hosts: Vec<AllowedHost>,

    /// How many connections there may be from one address. One more ends the one of them that has made no progress for the
    /// longest time; raise this for a proxy that keeps more.
    #[arg(long, env = "METRICD_CONNECTIONS_PER_ADDRESS", default_value_t = 512, value_name = "COUNT", value_parser = whole_number::<u32>(1..=1_000_000))]
    pub(crate) connections_per_address: u32,

    /// How many MiB answers may have altogether that their clients have not read yet; those of one subject, or of one address
    /// where no token is asked for, may have half of it. What does not fit is answered with 503, or with 429 if the caller's own
    /// answers are in the way. When half of either is taken, clients that read nothing for 2 seconds are let go of.
    #[arg(long, env = "METRICD_MAX_UNREAD_MIB", default_value_t = 256, value_name = "MIB", value_parser = whole_number::<u32>(32..=1_048_576))]
    pub(crate) max_unread_mib: u32,

    /// Do not load the sample into an empty private PostgreSQL.
    #[arg(long, env = "METRICD_NO_SAMPLE", value_parser = boolean)]
    pub(crate) no_sample: bool,

    #[command(flatten)]
    pub(crate) access: AccessArguments,

    #[command(flatten)]
    pub(crate) quotas: QuotaArguments,
}

/// The address that `HOST:PORT` or `:PORT` names. A port alone stays on the loopback interface: listening on all interfaces is
/// asked for with `0.0.0.0:PORT`, never by leaving something out.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    const EXPECTED: &str = "expected `HOST:PORT`, such as `127.0.0.1:8080`, or `:PORT`";
    let full = if text.starts_with(':') { format!("{}{text}", Ipv4Addr::LOCALHOST) } else { text.to_owned() };
    if let Ok(address) = full.parse() {
        return Ok(address);
    }
    let port = full.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err(EXPECTED.to_owned());
    }
    let addresses: Vec<_> = full.to_socket_addrs().map_err(|error| format!("{error}; {EXPECTED}"))?.collect();
    let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    address.copied().ok_or_else(|| format!("the name has no address; {EXPECTED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_name_or_a_port_alone() {
        let address = |text: &str| listen_address(text).map(|address| address.to_string());
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (":8080", "127.0.0.1:8080"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["8080", "", ":", "localhost", "localhost:http", "localhost:99999", "127.0.0.1", "::1"] {
            assert!(address(text).is_err(), "{text}: {:?}", address(text));
        }
    }
}
