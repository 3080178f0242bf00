//! Clusters for tests, which leave nothing behind.

use metricd_embedded::Cluster;
use secrecy::ExposeSecret;

use crate::owner::Owner;
use crate::support::{eventually, parent_of, psql, query, runs, search, server_pid};

#[test]
fn a_dropped_cluster_is_removed() {
    let cluster = Cluster::ephemeral(&search(), &["reader"]).unwrap();
    assert_eq!(query(cluster.connection(), "SHOW fsync"), "off");
    assert_eq!(query(cluster.connection(), "SHOW max_connections"), "300");
    cluster.connection().url("reader", "postgres").unwrap();
    let folder = cluster.data_dir().to_owned();
    let server = server_pid(&folder);
    drop(cluster);
    assert!(!folder.exists());
    assert!(!runs(server));
}

#[test]
fn a_killed_owner_leaves_neither_processes_nor_a_folder() {
    let mut owner = Owner::ephemeral();
    let folder = owner.data_dir.clone();
    let server = server_pid(&folder);
    let shell = parent_of(server);
    owner.kill();
    eventually("the server ends", || !runs(server));
    eventually("its shell ends", || !runs(shell));
    eventually("the folder is removed", || !folder.exists());
}

#[test]
fn stopping_the_database_keeps_the_data() {
    let mut cluster = Cluster::ephemeral(&search(), &[]).unwrap();
    query(cluster.connection(), "CREATE TABLE kept AS SELECT 42 AS value");
    cluster.stop_database().unwrap();
    cluster.start_database().unwrap();
    assert_eq!(query(cluster.connection(), "SELECT value FROM kept"), "42");
    let folder = cluster.data_dir().to_owned();
    cluster.stop().unwrap();
    assert!(!folder.exists());
}

#[test]
fn libpq_accepts_the_url_and_the_password_is_required() {
    let cluster = Cluster::ephemeral(&search(), &[]).unwrap();
    let url = cluster.connection().owner_url("postgres").unwrap();
    // The list of processes may show the password of a throw-away cluster.
    let connect = |url: &str| psql().args(["-w", "-c", "SELECT current_user", url]).output().unwrap();
    assert_eq!(connect(url.expose_secret()).stdout, b"metricd\n");
    let without =
        url.expose_secret().replace(cluster.connection().password("metricd").unwrap().expose_secret(), "guess");
    assert!(!connect(&without).status.success());
}
