//! A data folder whose owners end in good order.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;

use metricd_embedded::{Cluster, ClusterAccess, EmbeddedError, open_or_join};
use nix::unistd::geteuid;

use crate::support::{eventually, open, options, project, query, runs, server_pid, try_query};

#[test]
fn the_data_and_the_passwords_persist() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    let first = open(&data_dir);
    query(first.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    let password = fs::read(data_dir.join("credentials.json")).unwrap();
    let pid = server_pid(&data_dir);
    first.stop().unwrap();
    assert!(!runs(pid));

    let second = open(&data_dir);
    assert_eq!(query(second.connection(), "SELECT value FROM kept"), "42");
    assert_eq!(fs::read(data_dir.join("credentials.json")).unwrap(), password);
    assert_eq!(query(second.connection(), "SHOW timezone"), "UTC");
}

#[test]
fn only_the_invoker_can_read_the_passwords() {
    let project = project();
    let cluster = open(project.path().join(".metricd"));
    let file = fs::metadata(cluster.data_dir().join("credentials.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(file.uid(), geteuid().as_raw());
    assert!(!cluster.data_dir().join("initdb.password").exists());
}

#[test]
fn a_second_owner_is_refused_with_the_id_of_the_first() {
    let project = project();
    let cluster = open(project.path().join(".metricd"));
    let error = Cluster::open(&options(cluster.data_dir())).unwrap_err();
    assert!(matches!(&error, EmbeddedError::InUse { pid: Some(pid), .. } if *pid == std::process::id()), "{error}");
    let start = format!("another metricd (process {}) serves the data folder", std::process::id());
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn join_finds_only_a_cluster_that_is_open() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    assert!(Cluster::join(&data_dir).unwrap().is_none());
    let cluster = open(&data_dir);
    let joined = Cluster::join(&data_dir).unwrap().unwrap();
    assert_eq!(joined.port(), cluster.connection().port());
    assert_eq!(query(&joined, "SELECT 1"), "1");
    cluster.stop().unwrap();
    assert!(Cluster::join(&data_dir).unwrap().is_none());
}

#[test]
fn of_several_concurrent_owners_one_opens_and_the_others_join() {
    let project = project();
    let options = options(project.path().join(".metricd"));
    let accesses: Vec<ClusterAccess> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| open_or_join(&options).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(accesses.iter().filter(|access| matches!(access, ClusterAccess::Opened(_))).count(), 1);
    for access in &accesses {
        assert_eq!(query(access.connection(), "SELECT 1"), "1");
    }
}

#[test]
fn a_stopped_database_starts_again_at_its_address() {
    let project = project();
    let mut cluster = open(project.path().join(".metricd"));
    query(cluster.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    cluster.stop_database().unwrap();
    assert!(cluster.has_ended());
    assert!(try_query(cluster.connection(), "SELECT 1").is_err());
    cluster.start_database().unwrap();
    assert!(!cluster.has_ended());
    assert_eq!(query(cluster.connection(), "SELECT value FROM kept"), "42");
}

#[test]
fn the_end_of_the_database_is_detected() {
    let project = project();
    let cluster = std::cell::RefCell::new(open(project.path().join(".metricd")));
    assert!(!cluster.borrow_mut().has_ended());
    // As an administrator may stop it: neither through this crate nor with a signal to its shell.
    let pid = query(cluster.borrow().connection(), "SELECT pg_read_file('postmaster.pid')");
    let pid = nix::unistd::Pid::from_raw(pid.lines().next().unwrap().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    eventually("the cluster notices", || cluster.borrow_mut().has_ended());
}

#[test]
fn an_added_role_gets_a_password_and_the_others_keep_theirs() {
    let project = project();
    let mut options = options(project.path().join(".metricd"));
    let before = Cluster::open(&options).unwrap();
    assert!(before.connection().url("writer", "postgres").is_err());
    before.stop().unwrap();
    options.roles.push("writer".to_owned());
    let after = Cluster::open(&options).unwrap();
    after.connection().url("writer", "postgres").unwrap();
    assert_eq!(query(after.connection(), "SELECT 1"), "1");
}
