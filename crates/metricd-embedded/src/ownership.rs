//! Opens files and folders safely, and changes their owners, in folders where another user may plant links.
//!
//! Root does this in folders that other users can reach. So links are never followed, an opened file must have one name
//! only (another name may be outside the folder), and the owner is changed on the descriptor, not on the path.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};

use crate::EmbeddedError;
use crate::account::{Account, user_name};

/// Opens a regular file without following a link and without blocking, as on the other end of a pipe.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("expected a regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(io::Error::other("expected a file with one hard link, found several"));
    }
    Ok(file)
}

/// Reads a whole file without following a link.
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    io::read_to_string(open_file(OpenOptions::new().read(true), path)?)
}

/// Makes the account the owner of a file that this process or the account created.
pub(crate) fn chown_file(file: &File, account: Account) -> io::Result<()> {
    let Account::Other { uid, gid } = account else { return Ok(()) };
    let owner = file.metadata()?.uid();
    if owner != uid && owner != geteuid().as_raw() {
        return Err(io::Error::other(format!("the file belongs to `{}`", user_name(Uid::from_raw(owner)))));
    }
    fchown(file, Some(uid), Some(gid))
}

/// Makes the account the owner of a folder that this process has just created.
pub(crate) fn chown_folder(path: &Path, account: Account) -> io::Result<()> {
    let Account::Other { uid, gid } = account else { return Ok(()) };
    let folder = open_folder(path)?;
    let owner = folder.metadata()?.uid();
    if owner != geteuid().as_raw() {
        return Err(io::Error::other(format!("the folder belongs to `{}`", user_name(Uid::from_raw(owner)))));
    }
    fchown(&folder, Some(uid), Some(gid))
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

/// Creates the folder of PostgreSQL's socket, which only the account may enter. An existing folder is used if it
/// belongs to the account. Sockets that a killed server left in it are removed, and nothing else.
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
        // A folder that this process has just created still belongs to this process's user.
        _ if owner == geteuid().as_raw() && (account == Account::Invoker || entries.is_empty()) => {}
        _ => return Err(io::Error::other(format!("the folder belongs to `{}`", user_name(Uid::from_raw(owner))))),
    }
    entries.retain(|entry| entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL."));
    for entry in entries {
        match fs::remove_file(entry.path()) {
            // A server whose owner was killed may still be ending, and removes its socket itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    folder.set_permissions(Permissions::from_mode(0o700))?;
    match account {
        Account::Invoker => Ok(()),
        Account::Other { uid, gid } => fchown(&folder, Some(uid), Some(gid)),
    }
}

/// Refuses a data folder that another user owns or may write to: such a user controls the files in it.
pub(crate) fn check_owner(data_dir: &Path) -> Result<(), EmbeddedError> {
    let cannot = |source| EmbeddedError::folder("open", data_dir)(source);
    let named = match fs::symlink_metadata(data_dir) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    let folder = fs::metadata(data_dir).map_err(cannot)?;
    let foreign = |metadata: &Metadata| metadata.uid() != geteuid().as_raw();
    // A link of this user's own is accepted: it may lead to another disk.
    if let Some(metadata) = [&named, &folder].into_iter().find(|metadata| foreign(metadata)) {
        let owner = user_name(Uid::from_raw(metadata.uid()));
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

/// The first entry of a folder that is not metricd's. `None` if the folder has a lock, and so is a data folder already.
pub(crate) fn foreign_content(data_dir: &Path) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(data_dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let is_named = |path: &&PathBuf, name: &str| path.file_name().is_some_and(|known| known == name);
    if entries.iter().any(|path| is_named(&path, "lock")) {
        return None;
    }
    // The root folder of a file system has `lost+found`.
    entries.into_iter().find(|path| !is_named(&path, "lost+found"))
}
