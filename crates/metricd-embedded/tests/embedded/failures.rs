//! Machines without a usable PostgreSQL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use metricd_embedded::{Cluster, ClusterOptions, EmbeddedError, Installation, Search};

use crate::support::{open, options, project};

fn fake(bin_dir: &Path, version: &str) -> Search {
    fs::create_dir_all(bin_dir).unwrap();
    for program in ["initdb", "postgres"] {
        let file = bin_dir.join(program);
        fs::write(&file, format!("#!/bin/sh\necho \"{program} (PostgreSQL) {version}\"\nexit 0\n")).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    }
    Search { bin_dir: Some(bin_dir.to_owned()), ..Search::default() }
}

#[test]
fn without_programs_the_error_advises_how_to_install_them_and_nothing_is_created() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    let search = Search { path: Some(project.path().into()), ..Search::default() };
    let error = Cluster::open(&ClusterOptions { data_dir: data_dir.clone(), search, roles: Vec::new() }).unwrap_err();
    assert!(matches!(error, EmbeddedError::NoInstallation { .. }), "{error}");
    for part in
        ["`initdb` and `postgres`", "PATH", "apt-get install postgresql", "brew install postgresql", "DATABASE_URL"]
    {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(!data_dir.exists());
}

#[test]
fn too_old_programs_are_named() {
    let project = project();
    let error = Installation::find(&fake(project.path(), "13.4"), None).unwrap_err();
    assert!(matches!(error, EmbeddedError::TooOld { found: 13, .. }), "{error}");
    assert!(error.to_string().contains("expected 15 or newer"), "{error}");
}

#[test]
fn the_version_of_the_data_selects_the_installation() {
    let project = project();
    fake(&project.path().join("pg-17/bin"), "17.1");
    fake(&project.path().join("pg-16/bin"), "16.9 (Debian 16.9-1)");
    let search = Search { well_known: vec![project.path().join("pg-*/bin")], ..Search::default() };
    assert_eq!(Installation::find(&search, None).unwrap().major(), 17);
    assert_eq!(Installation::find(&search, Some(16)).unwrap().bin_dir(), project.path().join("pg-16/bin"));
    let message = Installation::find(&search, Some(15)).unwrap_err().to_string();
    assert!(message.contains("PostgreSQL 15, but only 16, 17 is installed"), "{message}");
}

#[test]
fn a_cluster_without_passwords_is_not_started() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    open(&data_dir).stop().unwrap();
    fs::remove_file(data_dir.join("credentials.json")).unwrap();
    let error = Cluster::open(&options(&data_dir)).unwrap_err();
    assert!(matches!(error, EmbeddedError::NoCredentials { .. }), "{error}");
}

#[test]
fn the_output_of_a_failed_start_is_quoted() {
    let project = project();
    let data_dir = project.path().join(".metricd");
    open(&data_dir).stop().unwrap();
    let settings = data_dir.join("cluster/postgresql.conf");
    fs::write(&settings, "no_such_setting = 1\n").unwrap();
    let error = Cluster::open(&options(&data_dir)).unwrap_err();
    assert!(matches!(&error, EmbeddedError::Start { log } if log.contains("no_such_setting")), "{error}");
}
