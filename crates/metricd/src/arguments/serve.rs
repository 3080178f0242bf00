//! The options of `serve`.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use metricd_api::{AllowedHost, AllowedOrigin};
use metricd_domain::TimeZone;

use super::values::{boolean, whole_number};
use super::{AccessArguments, QuotaArguments};

/// The number of connections that run stored SQL, unless an option sets it.
pub(crate) const DEFAULT_QUERY_CONNECTIONS: u32 = 16;

/// The options of `serve`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServeArguments {
    /// The address to listen on: `HOST:PORT`, or `:PORT` for 127.0.0.1. A host name resolves to its first IPv4 address, or
    /// else its first address. With `0.0.0.0:PORT` and without tokens, name the hosts that other machines use with
    /// --allowed-host.
    #[arg(long, env = "METRICD_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,

    /// The time limit of a metric's SQL, in seconds. On your own database the reader's `statement_timeout` (5 s unless
    /// changed) applies too, except to streams.
    #[arg(long, env = "METRICD_QUERY_TIMEOUT_SECONDS", default_value_t = 5, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=3600))]
    pub(crate) query_timeout_seconds: u64,

    /// The time limit, in seconds, of all metrics of one call to `/results` or of a dashboard. Each metric also has its own
    /// limit.
    #[arg(long, env = "METRICD_RESULTS_TIMEOUT_SECONDS", default_value_t = 15, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=3600))]
    pub(crate) results_timeout_seconds: u64,

    /// The folder for uploaded files. It is created if absent; an existing one must belong to metricd's user and have mode
    /// 700. At startup, the folders of killed servers (`metricd-server-…`) are removed [default: `uploads` in the data
    /// folder, or a folder for this user in the temporary folder].
    #[arg(long, env = "METRICD_UPLOAD_DIR", value_name = "FOLDER")]
    pub(crate) upload_dir: Option<PathBuf>,

    /// The size limit of an upload to `/ingestions`, in MiB.
    #[arg(long, env = "METRICD_MAX_UPLOAD_MIB", default_value_t = 256, value_name = "MIB", value_parser = whole_number::<u64>(1..=1_048_576))]
    pub(crate) max_upload_mib: u64,

    /// The total time, in seconds, for which the client of a CSV or NDJSON stream may make the database wait, in addition to
    /// the time limit of the SQL. Afterwards the stream is aborted.
    #[arg(long, env = "METRICD_STREAM_PATIENCE_SECONDS", default_value_t = 300, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=86400))]
    pub(crate) stream_patience_seconds: u64,

    /// The minimum rate, in KiB per second, at which the client of a stream must read while it makes the database wait. If it
    /// lags more than 30 seconds behind, the stream is aborted. 0 sets no minimum.
    #[arg(long, env = "METRICD_STREAM_MIN_KIB_PER_SECOND", default_value_t = 16, value_name = "KIB", value_parser = whole_number::<u64>(0..=1_048_576))]
    pub(crate) stream_min_kib_per_second: u64,

    /// The highest estimated cost of a metric's SQL, in the planner's unit (1 is a sequential page read). More costly SQL
    /// is refused before it runs.
    #[arg(long, env = "METRICD_QUERY_COST", default_value_t = 10_000_000, value_name = "COST", value_parser = whole_number::<u64>(1..))]
    pub(crate) query_cost: u64,

    /// The time zone in which stored SQL runs, and whose days a period has, unless a request names another one: the full
    /// name of a zone that the database knows, such as `Europe/Berlin`.
    #[arg(long, env = "METRICD_TIME_ZONE", default_value = "UTC", value_name = "ZONE", value_parser = TimeZone::parse)]
    pub(crate) time_zone: TimeZone,

    /// The number of connections that run stored SQL. Streams may use half of them.
    #[arg(long, env = "METRICD_QUERY_CONNECTIONS", default_value_t = DEFAULT_QUERY_CONNECTIONS, value_name = "COUNT", value_parser = whole_number::<u32>(1..=50))]
    pub(crate) query_connections: u32,

    /// Read from the standbys among the hosts of --reader-database-url, round-robin, while they are at most this many
    /// seconds behind the primary; otherwise from the primary, which is one of the hosts. Each host gets its own
    /// --query-connections. A response says in `Metricd-Lag` how old its data may be; `Metricd-After` asks for data after
    /// the `Metricd-LSN` of a change.
    #[arg(long, env = "METRICD_MAX_REPLICA_LAG", value_name = "SECONDS", value_parser = whole_number::<u64>(1..=3_600))]
    pub(crate) max_replica_lag: Option<u64>,

    /// The lifetime of a connection for stored SQL, in seconds, less up to a tenth. Connections are replaced because
    /// PostgreSQL's sessions never free their caches.
    #[arg(long, env = "METRICD_QUERY_CONNECTION_LIFETIME_SECONDS", default_value_t = 1_800, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=604_800))]
    pub(crate) query_connection_lifetime_seconds: u64,

    /// How many seconds an unused connection for stored SQL stays open.
    #[arg(long, env = "METRICD_QUERY_CONNECTION_IDLE_SECONDS", default_value_t = 300, value_name = "SECONDS", value_parser = whole_number::<u64>(1..=604_800))]
    pub(crate) query_connection_idle_seconds: u64,

    /// Do not batch: send each statement in its own round trip, for example to see it alone in PostgreSQL's log, or to test
    /// whether batching adds latency. Batching sends cheap statements of several requests together and raises throughput
    /// under load.
    #[arg(long, env = "METRICD_NO_BATCHING", value_parser = boolean)]
    pub(crate) no_batching: bool,

    /// The number of connections that read and store definitions.
    #[arg(long, env = "METRICD_CATALOG_CONNECTIONS", default_value_t = 8, value_name = "COUNT", value_parser = whole_number::<u32>(1..=100))]
    pub(crate) catalog_connections: u32,

    /// How many seconds a graceful shutdown waits for requests in flight.
    #[arg(long, env = "METRICD_SHUTDOWN_TIMEOUT_SECONDS", default_value_t = 30, value_name = "SECONDS", value_parser = whole_number::<u64>(0..))]
    pub(crate) shutdown_timeout_seconds: u64,

    /// An origin whose pages may read responses, such as `https://example.org`, or `*` for any; by default only metricd's
    /// own pages may. Without tokens, these pages may also write. May be repeated, or separated by commas.
    #[arg(long = "cors-origin", env = "METRICD_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) cors_origins: Vec<AllowedOrigin>,

    /// A host by which clients reach the server, such as `metrics.example.org`: a name or an address, without a port.
    /// Without tokens, the server serves only these, loopback hosts and the address of --listen. With tokens, it serves any
    /// host unless this is given. May be repeated, or separated by commas.
    #[arg(long = "allowed-host", env = "METRICD_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub(crate) allowed_hosts: Vec<AllowedHost>,

    /// The highest number of connections from one address. A further one closes the connection of that address that has made
    /// no progress for the longest time. Raise the limit for a proxy.
    #[arg(long, env = "METRICD_CONNECTIONS_PER_ADDRESS", default_value_t = 512, value_name = "COUNT", value_parser = whole_number::<u32>(1..=1_000_000))]
    pub(crate) connections_per_address: u32,

    /// The memory, in MiB, for responses that clients have not read. One subject, or one address without tokens, may use
    /// half of it. A response that does not fit becomes 503, or 429 if the caller's share is full. Once half of the memory
    /// or of a share is used, clients that have read nothing for 2 seconds are disconnected.
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

/// Parses `HOST:PORT` or `:PORT`. A port alone means the loopback interface: to listen on all interfaces, an operator has to
/// write `0.0.0.0:PORT`.
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
