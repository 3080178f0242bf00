//! Room for uploads: where their files are, and how many there may be at once.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// How many uploads there may be at once, those that wait to be ingested included.
const MAX_UPLOADS: usize = 8;

/// How many of them may be of one caller, so that there is room for others.
const MAX_UPLOADS_OF_ONE: usize = 6;

/// What the folder of a server is called, and the file in it that the server keeps locked.
const PREFIX: &str = "server-";
const LOCK: &str = "lock";

/// Room for uploads. Only the user that the server runs as can read their files.
#[derive(Debug, Default)]
pub struct Uploads {
    folder: Option<ServerFolder>,
    /// How many each caller has.
    counts: Mutex<HashMap<String, usize>>,
}

/// The folder of a server, which goes with it. A server that is killed leaves it behind for the next one to remove.
#[derive(Debug)]
struct ServerFolder {
    folder: TempDir,
    _lock: File,
}

/// A place for an upload, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    uploads: Arc<Uploads>,
    caller: String,
}

impl Uploads {
    /// Keeps files below this folder, which is made unless it exists. What servers have left there that run no longer is
    /// removed.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be made, or others than the server's user may enter it or write there.
    pub fn below(folder: &Path) -> io::Result<Self> {
        private(folder)?;
        // Servers that start at once would take a folder whose lock is not held yet for one that was left behind.
        let starting = File::create(folder.join(LOCK))?;
        starting.lock()?;
        remove_leftovers(folder);
        let folder = new_folder(folder, PREFIX)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder: Some(ServerFolder { folder, _lock: lock }), counts: Mutex::default() })
    }

    /// A place for an upload of the caller's; `None` if all are taken, or all that one caller may have.
    pub(crate) fn place(self: &Arc<Self>, caller: String) -> Option<Place> {
        let mut counts = self.counts();
        let (all, own) = (counts.values().sum::<usize>(), counts.get(&caller).copied().unwrap_or_default());
        if all >= MAX_UPLOADS || own >= MAX_UPLOADS_OF_ONE {
            return None;
        }
        counts.insert(caller.clone(), own + 1);
        drop(counts);
        Some(Place { uploads: Arc::clone(self), caller })
    }

    /// An empty folder for the files of an upload.
    pub(crate) fn folder(&self) -> io::Result<TempDir> {
        let root = self.folder.as_ref().map_or_else(tempfile::env::temp_dir, |of| of.folder.path().to_owned());
        new_folder(&root, "metricd-upload-")
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
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

/// Makes a folder that only the server's user may enter, or sees to it that it is one.
fn private(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    let found = fs::symlink_metadata(folder)?;
    // Only its owner can change the permissions of a folder.
    let is_private = found.is_dir() && fs::set_permissions(folder, Permissions::from_mode(0o700)).is_ok();
    if is_private {
        return Ok(());
    }
    let message = format!("{} is no folder of the user that metricd runs as", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}

/// Removes the folders of servers that run no longer: nobody holds their locks.
fn remove_leftovers(folder: &Path) {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_servers = found.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for path in of_servers.map(|entry| entry.path()) {
        if let Err(error) = remove_unless_used(&path) {
            log::warn!("{} of a server before this one cannot be removed: {error}", path.display());
        }
    }
}

fn remove_unless_used(path: &PathBuf) -> io::Result<()> {
    if let Ok(lock) = File::open(path.join(LOCK))
        && lock.try_lock().is_err()
    {
        return Ok(());
    }
    fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_can_read_an_upload_and_it_goes_with_its_server() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("uploads");
        let uploads = Uploads::below(&folder).unwrap();
        let upload = uploads.folder().unwrap();
        assert_eq!((mode(&folder), mode(upload.path())), (0o700, 0o700));
        assert_eq!(mode(upload.path().parent().unwrap()), 0o700);
        drop(upload);
        drop(uploads);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the lock");
        assert_eq!(mode(Uploads::default().folder().unwrap().path()), 0o700);
    }

    #[test]
    fn what_a_killed_server_has_left_is_removed_and_what_others_use_is_not() {
        let root = tempfile::tempdir().unwrap();
        let other = Uploads::below(root.path()).unwrap();
        let killed = root.path().join("server-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("0"), "id,date").unwrap();
        fs::create_dir(root.path().join("server-killed-early")).unwrap();
        fs::write(root.path().join("mine"), "").unwrap();
        let uploads = Uploads::below(root.path()).unwrap();
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let folder = |uploads: &Uploads| uploads.folder.as_ref().unwrap().folder.path().to_owned();
        let mut expected = vec![folder(&other), folder(&uploads), root.path().join("mine"), root.path().join(LOCK)];
        expected.sort();
        assert_eq!(std::collections::BTreeSet::from_iter(left).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_link_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        assert_eq!(Uploads::below(&link).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let uploads = Arc::new(Uploads::default());
        let take = |caller: &str| uploads.place(caller.to_owned());
        let held: Vec<_> = (0..MAX_UPLOADS_OF_ONE).map(|_| take("ann").unwrap()).collect();
        assert!(take("ann").is_none());
        let of_bob = (take("bob").unwrap(), take("bob").unwrap());
        assert!(take("bob").is_none() && take("eve").is_none());
        drop(held);
        assert!(take("ann").is_some());
        drop(of_bob);
        assert!(uploads.counts().is_empty());
    }
}
