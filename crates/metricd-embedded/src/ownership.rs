//! Files and folders that are opened, or given to another user, while somebody else may have put a link in their place.
//!
//! Root does this in folders that other users can reach. So a link is never followed, what is opened has to be a file of
//! its own (a second name may be somewhere else), and a new owner is set on the descriptor, not on the path.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{Uid, User, geteuid};

use crate::EmbeddedError;
use crate::account::Account;

/// Opens a file without following a link. Not waiting either, as for the other end of a pipe.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("expected a regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(io::Error::other("expected a file with one name only, and it has several"));
    }
    Ok(file)
}

/// Reads a file whole, without following a link.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open_file(OpenOptions::new().read(true), path)?)
}

/// Makes the account the owner of a file that this process, or the account, has made.
pub(crate) fn give_file(file: &File, account: Account) -> io::Result<()> {
    let Account::Other { uid, gid } = account else { return Ok(()) };
    let owner = file.metadata()?.uid();
    if owner != uid && owner != geteuid().as_raw() {
        return Err(io::Error::other(format!("the file belongs to `{}`", user(owner))));
    }
    fchown(file, Some(uid), Some(gid))
}

/// Makes the account the owner of a folder that this process has just made.
pub(crate) fn give_folder(path: &Path, account: Account) -> io::Result<()> {
    let Account::Other { uid, gid } = account else { return Ok(()) };
    let folder = open_folder(path)?;
    let owner = folder.metadata()?.uid();
    if owner != geteuid().as_raw() {
        return Err(io::Error::other(format!("the folder belongs to `{}`", user(owner))));
    }
    fchown(&folder, Some(uid), Some(gid))
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Makes the folder of PostgreSQL's socket, which only the account may enter, or takes the one that is there, if it is the
/// account's. What sockets a killed server has left in it are removed, and nothing else.
pub(crate) fn create_socket_folder(path: &Path, account: Account) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let folder = open_folder(path)?;
    let owner = folder.metadata()?.uid();
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    match account {
        Account::Other { uid, .. } if owner == uid => {}
        // One that was just made, and not given away yet.
        _ if owner == geteuid().as_raw() && (account == Account::Invoker || entries.is_empty()) => {}
        _ => return Err(io::Error::other(format!("the folder belongs to `{}`", user(owner)))),
    }
    entries.retain(|entry| entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL."));
    entries.iter().try_for_each(|entry| fs::remove_file(entry.path()))?;
    folder.set_permissions(Permissions::from_mode(0o700))?;
    match account {
        Account::Invoker => Ok(()),
        Account::Other { uid, gid } => fchown(&folder, Some(uid), Some(gid)),
    }
}

/// Refuses a data folder that another user owns or may write to: whoever may, decides what the files in it are.
pub(crate) fn require_own(data_dir: &Path) -> Result<(), EmbeddedError> {
    let cannot = |source| EmbeddedError::folder("open", data_dir)(source);
    let named = match fs::symlink_metadata(data_dir) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    let folder = fs::metadata(data_dir).map_err(cannot)?;
    let foreign = |metadata: &Metadata| metadata.uid() != geteuid().as_raw();
    // A link of one's own may lead to another disk.
    if let Some(metadata) = [&named, &folder].into_iter().find(|metadata| foreign(metadata)) {
        let owner = user(metadata.uid());
        return Err(EmbeddedError::ForeignFolder {
            data_dir: data_dir.to_owned(),
            owner,
            user: Account::Invoker.name(),
        });
    }
    if folder.is_dir() && folder.mode() & 0o022 != 0 {
        return Err(EmbeddedError::WritableFolder { data_dir: data_dir.to_owned() });
    }
    Ok(())
}

/// What a folder has that is not metricd's, if it has no lock: then it was never a data folder, and is not made one.
pub(crate) fn other_content(data_dir: &Path) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(data_dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let is_named = |path: &&PathBuf, name: &str| path.file_name().is_some_and(|known| known == name);
    if entries.iter().any(|path| is_named(&path, "lock")) {
        return None;
    }
    // A disk of its own has `lost+found`.
    entries.into_iter().find(|path| !is_named(&path, "lost+found"))
}

fn user(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
