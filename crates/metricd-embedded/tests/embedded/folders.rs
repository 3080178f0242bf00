//! Data folders in awkward places.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use metricd_embedded::{Cluster, EmbeddedError, default_data_dir};

use crate::support::{give_to_nobody, is_root, open, options, project, query};

#[test]
fn a_path_too_long_for_a_socket_or_with_a_comma_will_do() {
    let project = project();
    for name in ["x".repeat(120), "one, \"two\" and 'three'".to_owned()] {
        let cluster = open(project.path().join(name).join("data"));
        assert_eq!(query(cluster.connection(), "SELECT 1"), "1");
        let socket_dir = cluster.connection().socket_dir().to_owned();
        assert!(!socket_dir.starts_with(project.path()));
        let joined = Cluster::join(cluster.data_dir()).unwrap().unwrap();
        assert_eq!(joined.socket_dir(), socket_dir);
        cluster.stop().unwrap();
        assert!(!socket_dir.exists());
    }
}

#[test]
fn a_folder_that_is_not_writable_is_named_with_the_user() {
    if is_root() {
        return;
    }
    let project = project();
    fs::set_permissions(project.path(), PermissionsExt::from_mode(0o555)).unwrap();
    let data_dir = project.path().join(".metricd");
    let error = Cluster::open(&options(&data_dir)).unwrap_err();
    fs::set_permissions(project.path(), PermissionsExt::from_mode(0o755)).unwrap();
    assert!(matches!(&error, EmbeddedError::Folder { action: "create", path, .. } if *path == data_dir), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

#[test]
fn for_root_a_folder_which_the_other_user_cannot_enter_is_named() {
    if !is_root() {
        return;
    }
    let project = project();
    let closed = project.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    let error = Cluster::open(&options(closed.join("data"))).unwrap_err();
    assert!(matches!(&error, EmbeddedError::Unreachable { blocking, .. } if *blocking == closed), "{error}");
    assert!(error.to_string().contains("chmod o+x"), "{error}");
    assert!(default_data_dir(&closed).starts_with("/var/lib/metricd"));
    assert_eq!(default_data_dir(project.path()), project.path().join(".metricd"));
}

#[test]
fn for_root_a_cluster_stays_with_the_user_who_made_it() {
    if !is_root() {
        return;
    }
    let project = project();
    let data_dir = project.path().join(".metricd");
    fs::create_dir(&data_dir).unwrap();
    give_to_nobody(&data_dir);
    open(&data_dir).stop().unwrap();
    let owner = |name: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(data_dir.join(name)).unwrap());
    assert_eq!(owner("credentials.json"), owner(""));
    assert_eq!(owner("lock"), owner(""));
    assert_eq!(query(open(&data_dir).connection(), "SELECT 1"), "1");
}
