//! Data folders with unusual paths, permissions and content.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};

use metricd_embedded::{Cluster, EmbeddedError, default_data_dir};
use nix::unistd::{User, geteuid};

use crate::support::{give_to_nobody, is_root, open, options, project, query};

#[test]
fn a_path_that_is_too_long_for_a_socket_or_has_a_comma_works() {
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
fn the_error_names_a_folder_that_is_not_writable() {
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
fn root_gets_the_name_of_a_folder_that_the_other_user_cannot_enter() {
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
fn root_refuses_and_does_not_touch_a_folder_of_another_user() {
    if !is_root() {
        return;
    }
    let project = project();
    let (data_dir, target) = (project.path().join(".metricd"), project.path().join("target"));
    fs::create_dir(&data_dir).unwrap();
    fs::write(&target, "precious").unwrap();
    symlink(&target, data_dir.join("lock")).unwrap();
    give_to_nobody(&data_dir);
    for refused in [Cluster::open(&options(&data_dir)).map(drop), Cluster::join(&data_dir).map(drop)] {
        let error = refused.unwrap_err();
        assert!(matches!(&error, EmbeddedError::ForeignFolder { owner, .. } if owner == "nobody"), "{error}");
    }
    // The folder belongs to root, but the link that leads to it does not.
    let (own, link) = (project.path().join("own"), project.path().join("link"));
    fs::create_dir(&own).unwrap();
    symlink(&own, &link).unwrap();
    let nobody = User::from_name("nobody").unwrap().unwrap();
    lchown(&link, Some(nobody.uid.as_raw()), None).unwrap();
    let error = Cluster::open(&options(&link)).unwrap_err();
    assert!(matches!(error, EmbeddedError::ForeignFolder { .. }), "{error}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(fs::metadata(&target).unwrap().uid(), 0);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
}

#[test]
fn a_folder_that_other_users_may_write_to_is_refused() {
    let project = project();
    for mode in [0o777, 0o775, 0o1777] {
        let data_dir = project.path().join(format!("{mode:o}"));
        fs::create_dir(&data_dir).unwrap();
        fs::set_permissions(&data_dir, PermissionsExt::from_mode(mode)).unwrap();
        let error = Cluster::open(&options(&data_dir)).unwrap_err();
        assert!(matches!(error, EmbeddedError::WritableFolder { .. }), "{error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
}

#[test]
fn a_folder_with_other_content_is_refused() {
    let project = project();
    fs::create_dir(project.path().join("run")).unwrap();
    fs::write(project.path().join("run/precious"), "").unwrap();
    let error = Cluster::open(&options(project.path())).unwrap_err();
    assert!(matches!(error, EmbeddedError::OtherContent { .. }), "{error}");
    assert!(project.path().join("run/precious").exists());
}

#[test]
fn a_folder_in_place_of_the_socket_folder_is_not_emptied() {
    let project = project();
    let (data_dir, target) = (project.path().join("data"), project.path().join("target"));
    for folder in [&data_dir, &target] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(data_dir.join("lock"), "").unwrap();
    fs::write(target.join("precious"), "").unwrap();
    symlink(&target, data_dir.join("run")).unwrap();
    let error = Cluster::open(&options(&data_dir)).unwrap_err();
    assert!(matches!(&error, EmbeddedError::Folder { action: "create", .. }), "{error}");
    assert!(target.join("precious").exists());
    assert_eq!(fs::metadata(&target).unwrap().uid(), geteuid().as_raw());
    fs::remove_file(data_dir.join("run")).unwrap();
    fs::rename(&target, data_dir.join("run")).unwrap();
    let opened = Cluster::open(&options(&data_dir));
    assert!(data_dir.join("run/precious").exists());
    // Root does not change the owner of a folder that has content.
    assert_eq!(opened.is_err(), is_root(), "{opened:?}");
}

#[test]
fn links_are_not_followed() {
    let project = project();
    let target = project.path().join("target");
    for name in ["lock", "postgres.log"] {
        let data_dir = project.path().join(format!("with-{name}"));
        fs::create_dir(&data_dir).unwrap();
        fs::write(data_dir.join("lock"), "").unwrap();
        for is_second_name in [false, true] {
            fs::write(&target, "precious").unwrap();
            let _ = fs::remove_file(data_dir.join(name));
            let link = data_dir.join(name);
            if is_second_name { fs::hard_link(&target, link) } else { symlink(&target, link) }.unwrap();
            let error = Cluster::open(&options(&data_dir)).unwrap_err();
            assert!(matches!(&error, EmbeddedError::Folder { action: "write", .. }), "{error}");
            assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
            assert_eq!(fs::metadata(&target).unwrap().uid(), geteuid().as_raw());
        }
    }
}

#[test]
fn exists_creates_nothing() {
    let project = project();
    let data_dir = project.path().join("data");
    assert!(!Cluster::exists(&data_dir).unwrap());
    assert!(!data_dir.exists());
    open(&data_dir).stop().unwrap();
    assert!(Cluster::exists(&data_dir).unwrap());
}
