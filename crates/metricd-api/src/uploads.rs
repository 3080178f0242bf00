//! The folder and the slots of uploads.
//!
//! The parent folder may be writable by other users, as `/tmp` is, who may have created entries in it. Only entries of
//! the server's own user are used, and no links or pipes. Existing entries keep their permissions and content.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use tempfile::TempDir;

/// The number of concurrent uploads, including those that wait to be ingested.
const MAX_UPLOADS: usize = 8;

/// The number of concurrent uploads of one caller, which leaves slots for others.
const MAX_UPLOADS_PER_CALLER: usize = 6;

/// The prefix of a server's folder, and the name of the file in it that the server keeps locked.
const SERVER_FOLDER_PREFIX: &str = "metricd-server-";
const LOCK_FILE: &str = "lock";

/// The folder and the slots of uploads. Only the server's user can read the files.
#[derive(Debug)]
pub struct Uploads {
    /// The folder of this server, removed on drop. If the server is killed, the next one removes it.
    folder: TempDir,
    _lock: File,
    /// The number of uploads of each caller, by quota key.
    counts: Mutex<HashMap<Option<u64>, usize>>,
}

/// A slot for an upload, released on drop.
#[derive(Debug)]
pub(crate) struct UploadSlot {
    uploads: Arc<Uploads>,
    caller: Option<u64>,
}

impl Uploads {
    /// Creates this server's folder below the given one, which is created if necessary. Removes the folders of servers
    /// that no longer run.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created, belongs to another user, or is accessible to others.
    pub fn below(folder: &Path) -> io::Result<Self> {
        require_private(folder)?;
        // Servers that start at the same time would otherwise take a folder whose lock is not held yet for a leftover.
        let starting = open_lock(&folder.join(LOCK_FILE), true)?;
        starting.lock()?;
        remove_leftovers(folder);
        let folder = new_folder(folder, SERVER_FOLDER_PREFIX)?;
        let lock = open_lock(&folder.path().join(LOCK_FILE), true)?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock, counts: Mutex::default() })
    }

    /// Acquires a slot for an upload of the caller; `None` if the server's or the caller's slots are taken.
    pub(crate) fn try_acquire(self: &Arc<Self>, caller: Option<u64>) -> Option<UploadSlot> {
        let mut counts = self.counts();
        let (all, own) = (counts.values().sum::<usize>(), counts.get(&caller).copied().unwrap_or_default());
        if all >= MAX_UPLOADS || own >= MAX_UPLOADS_PER_CALLER {
            return None;
        }
        counts.insert(caller, own + 1);
        drop(counts);
        Some(UploadSlot { uploads: Arc::clone(self), caller })
    }

    /// Creates an empty folder for the files of an upload.
    pub(crate) fn folder(&self) -> io::Result<TempDir> {
        new_folder(self.folder.path(), "upload-")
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Option<u64>, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UploadSlot {
    fn drop(&mut self) {
        let mut counts = self.uploads.counts();
        if let Some(count) = counts.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

fn new_folder(root: &Path, prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(root)
}

/// Creates the folder with access for the server's user only, or checks the existing one.
fn require_private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    let fault = if !found.is_dir() {
        "it is not a folder; name a folder".to_owned()
    } else if found.uid() != geteuid().as_raw() {
        format!(
            "it belongs to the user with the id {}, not to the one that metricd runs as; name another folder",
            found.uid()
        )
    } else if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        format!("other users may enter it (mode {mode:03o}); name a folder that does not exist yet, or one of mode 700")
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, fault))
}

/// Opens a lock file without following links, blocking on pipes or truncating.
fn open_lock(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(create).truncate(false).mode(0o600);
    let opened = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path);
    let lock = opened.map_err(|error| {
        io::Error::new(error.kind(), format!("its `{LOCK_FILE}` cannot be opened as a regular file: {error}"))
    })?;
    if lock.metadata()?.is_file() { Ok(lock) } else { Err(io::Error::other("its `lock` is not a regular file")) }
}

/// Removes the folders of servers that no longer run: those whose lock is free.
fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_of_server = entry.file_name().as_encoded_bytes().starts_with(SERVER_FOLDER_PREFIX.as_bytes());
        if !is_of_server || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let Ok(lock) = open_lock(&path.join(LOCK_FILE), false) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            log::warn!("cannot remove {} of an earlier server: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// A folder that only its owner may enter.
    fn private_folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn entries(folder: &Path) -> BTreeSet<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Why the folder is refused.
    fn fault(folder: &Path) -> String {
        let error = Uploads::below(folder).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        error.to_string()
    }

    #[test]
    fn an_upload_is_private_and_removed_with_its_server() {
        let root = private_folder();
        let folder = root.path().join("uploads");
        let uploads = Uploads::below(&folder).unwrap();
        let upload = uploads.folder().unwrap();
        assert_eq!((mode(&folder), mode(upload.path())), (0o700, 0o700));
        assert_eq!(mode(upload.path().parent().unwrap()), 0o700);
        drop(upload);
        drop(uploads);
        assert_eq!(entries(&folder), [folder.join(LOCK_FILE)].into());
    }

    #[test]
    fn only_leftovers_of_killed_servers_are_removed() {
        let root = private_folder();
        let other = Uploads::below(root.path()).unwrap();
        let folder = |name: &str, has_lock: bool| {
            let path = root.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("important.yaml"), "a: b").unwrap();
            if has_lock {
                fs::write(path.join(LOCK_FILE), "").unwrap();
            }
            path
        };
        let killed = folder("metricd-server-killed", true);
        let kept = [folder("server-config", true), folder("metricd-server-config", false), root.path().join(LOCK_FILE)];
        let link = root.path().join("metricd-server-link");
        std::os::unix::fs::symlink(&kept[0], &link).unwrap();
        let uploads = Uploads::below(root.path()).unwrap();
        assert!(!killed.exists());
        let own = [&other, &uploads].map(|uploads| uploads.folder.path().to_owned());
        let expected: BTreeSet<_> = kept.iter().cloned().chain(own).chain([link]).collect();
        assert_eq!(entries(root.path()), expected);
        assert!(kept[..2].iter().all(|folder| folder.join("important.yaml").exists()));
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused_and_left_as_it_is() {
        let root = private_folder();
        let killed = root.path().join("metricd-server-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK_FILE), "").unwrap();
        for others in [0o1777, 0o750, 0o701] {
            fs::set_permissions(root.path(), Permissions::from_mode(others)).unwrap();
            assert!(fault(root.path()).contains("mode 7"));
            assert_eq!(mode(root.path()), others & 0o777);
            assert_eq!(entries(root.path()), [killed.clone()].into());
        }
        // Only root can create a folder of another user; for others `/` is one.
        let foreign = if geteuid().is_root() {
            let folder = root.path().join("foreign");
            DirBuilder::new().mode(0o700).create(&folder).unwrap();
            std::os::unix::fs::chown(&folder, Some(65_534), None).unwrap();
            folder
        } else {
            PathBuf::from("/")
        };
        assert!(fault(&foreign).contains("belongs to"));
    }

    #[test]
    fn links_and_pipes_are_neither_followed_nor_waited_for() {
        let root = private_folder();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        assert!(fault(&link).contains("not a folder"));

        let victim = root.path().join("victim");
        fs::write(&victim, "content").unwrap();
        let folder = root.path().join("uploads");
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        std::os::unix::fs::symlink(&victim, folder.join(LOCK_FILE)).unwrap();
        Uploads::below(&folder).unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "content");

        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        nix::unistd::mkfifo(&folder.join(LOCK_FILE), nix::sys::stat::Mode::S_IRWXU).unwrap();
        Uploads::below(&folder).unwrap_err();
        // The server's own lock file is not truncated either.
        fs::remove_file(folder.join(LOCK_FILE)).unwrap();
        fs::write(folder.join(LOCK_FILE), "content").unwrap();
        Uploads::below(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join(LOCK_FILE)).unwrap(), "content");
    }

    #[test]
    fn one_caller_leaves_slots_for_others() {
        let root = private_folder();
        let uploads = Arc::new(Uploads::below(root.path()).unwrap());
        let take = |caller: u64| uploads.try_acquire(Some(caller));
        let held: Vec<_> = (0..MAX_UPLOADS_PER_CALLER).map(|_| take(1).unwrap()).collect();
        assert!(take(1).is_none());
        let of_another = (take(2).unwrap(), take(2).unwrap());
        assert!(take(2).is_none() && take(3).is_none());
        drop(held);
        assert!(take(1).is_some());
        drop(of_another);
        assert!(uploads.counts().is_empty());
    }
}
