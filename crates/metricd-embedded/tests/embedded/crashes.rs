//! Owners that are killed, and the remains that they leave.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid};

use crate::owner::Owner;
use crate::support::{children_of, eventually, open, parent_of, project, query, runs, server_pid};

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap())
}

fn with_data(data_dir: &Path) {
    let cluster = open(data_dir);
    query(cluster.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    cluster.stop().unwrap();
}

fn assert_opens_with_data(data_dir: &Path) {
    let cluster = open(data_dir);
    assert_eq!(query(cluster.connection(), "SELECT value FROM kept"), "42");
}

#[test]
fn the_database_ends_if_its_owner_is_killed() {
    let project = project();
    let mut owner = Owner::open(&project.path().join(".metricd"));
    let server = server_pid(&owner.data_dir);
    let shell = parent_of(server);
    owner.kill();
    eventually("the server ends", || !runs(server));
    eventually("its shell ends", || !runs(shell));
}

#[test]
fn the_folder_opens_at_once_after_its_owner_was_killed() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    with_data(&data_dir);
    let mut owner = Owner::open(&data_dir);
    owner.kill();
    assert_opens_with_data(&data_dir);
}

#[test]
fn the_folder_opens_after_all_processes_were_killed() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    with_data(&data_dir);
    let mut owner = Owner::open(&data_dir);
    let server = server_pid(&data_dir);
    let group = getpgid(Some(pid(server))).unwrap();
    assert_ne!(group, getpgid(Some(pid(owner.pid()))).unwrap());
    // The owner is killed last: otherwise its shell would stop the server in good order.
    killpg(group, Signal::SIGKILL).unwrap();
    owner.kill();
    assert!(data_dir.join("cluster/postmaster.pid").exists());
    assert_opens_with_data(&data_dir);
}

#[test]
fn an_orphaned_server_is_stopped() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    with_data(&data_dir);
    let mut owner = Owner::open(&data_dir);
    let server = server_pid(&data_dir);
    let shell = parent_of(server);
    // Both processes of the shell: the one that waits for the server and the one that watches the owner.
    for process in children_of(shell).into_iter().filter(|child| *child != server).chain([shell]) {
        kill(pid(process), Signal::SIGKILL).unwrap();
    }
    owner.kill();
    assert!(runs(server));
    assert_opens_with_data(&data_dir);
    assert!(!runs(server));
}

#[test]
fn a_dead_servers_process_id_may_be_in_use_by_another_process() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    with_data(&data_dir);
    let stale =
        format!("{}\n{}\n1\n5432\n{}\n127.0.0.1\n1 1\nready   \n", std::process::id(), data_dir.display(), "/tmp");
    fs::write(data_dir.join("cluster/postmaster.pid"), stale).unwrap();
    assert_opens_with_data(&data_dir);
}

#[test]
fn an_unfinished_cluster_is_created_again() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    fs::create_dir_all(data_dir.join("cluster.new/base")).unwrap();
    fs::create_dir_all(data_dir.join("cluster.new-abc/base")).unwrap();
    fs::write(data_dir.join("initdb.password"), "left over").unwrap();
    fs::write(data_dir.join("lock"), "").unwrap();
    let cluster = open(&data_dir);
    assert_eq!(query(cluster.connection(), "SELECT 1"), "1");
    let names: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let left_over = |name: &str| name.starts_with("cluster.new") || name.starts_with("initdb");
    assert!(!names.iter().any(|name| left_over(&name.to_string_lossy())), "{names:?}");
    cluster.stop().unwrap();

    // The owner was killed after the cluster got its name.
    fs::write(data_dir.join("initdb.password"), "left over").unwrap();
    let _cluster = open(&data_dir);
    assert!(!data_dir.join("initdb.password").exists());
}
