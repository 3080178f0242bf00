//! Sessions that end only with their process.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use metricd_embedded::{ClusterAccess, ConnectionInfo, OWNER_ROLE, open_or_join};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::ExposeSecret;

use crate::owner::Owner;
use crate::support::{children_of, eventually, open, options, parent_of, project, psql, query, runs, server_pid};

/// A statement that computes for minutes without checking for interrupts.
const UNINTERRUPTIBLE_SQL: &str =
    "SELECT path(polygon(20000, circle '<(0,0),1>')) <-> path(polygon(20000, circle '<(0,0),2>'))";

/// Starts the statement. Returns the client, and the process id of the backend that computes it.
fn begin(connection: &ConnectionInfo) -> (Child, u32) {
    let client = psql()
        .arg("--host")
        .arg(connection.socket_dir())
        .args(["--port", &connection.port().to_string(), "--username", OWNER_ROLE, "--dbname", "postgres"])
        .args(["-c", UNINTERRUPTIBLE_SQL])
        .env("PGPASSWORD", connection.password(OWNER_ROLE).unwrap().expose_secret())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let computing =
        "SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT path%'
                     AND clock_timestamp() - query_start > '300 ms'";
    eventually("the statement runs", || query(connection, computing) != "0");
    (client, query(connection, computing).parse().unwrap())
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn assert_opens(data_dir: &Path) {
    let cluster = open(data_dir);
    assert_eq!(query(cluster.connection(), "SELECT value FROM kept"), "42");
    cluster.stop().unwrap();
}

#[test]
fn the_database_stops_despite_an_uninterruptible_statement() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    let cluster = open(&data_dir);
    query(cluster.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    let (mut client, backend) = begin(cluster.connection());
    let began = Instant::now();
    cluster.stop().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(!runs(backend));
    client.wait().unwrap();
    assert_opens(&data_dir);
}

#[test]
fn a_hanging_server_is_killed_with_its_processes() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    let cluster = open(&data_dir);
    query(cluster.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    let (mut client, backend) = begin(cluster.connection());
    signal(server_pid(&data_dir), Signal::SIGSTOP);
    let began = Instant::now();
    cluster.stop().unwrap();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(35), "{took:?}");
    eventually("the statement's process ends", || !runs(backend));
    client.wait().unwrap();
    assert_opens(&data_dir);
}

#[test]
fn orphans_of_a_killed_server_are_stopped_before_the_next_start() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    let mut owner = Owner::open(&data_dir);
    let cluster = open_or_join(&options(&data_dir)).unwrap();
    let ClusterAccess::Joined(connection) = cluster else { panic!("the owner serves the folder") };
    query(&connection, "CREATE TABLE kept AS SELECT 42 AS value; CHECKPOINT");
    let (mut client, backend) = begin(&connection);
    let server = server_pid(&data_dir);
    // The supervisor is killed first, so that it does not stop the server in good order.
    let supervisor = parent_of(server);
    for process in children_of(supervisor).into_iter().chain([supervisor]) {
        signal(process, Signal::SIGKILL);
    }
    owner.kill();
    client.kill().unwrap();
    client.wait().unwrap();
    eventually("the server ends", || !runs(server));
    assert!(runs(backend), "it continues to compute");
    let began = Instant::now();
    assert_opens(&data_dir);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(!runs(backend));
}
