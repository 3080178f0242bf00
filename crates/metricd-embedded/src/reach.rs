//! Whether the account can enter a folder, and the default data folder that follows from that.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::account::Account;

/// The parent of root's data folders, if an unprivileged user cannot enter the working directory, such as root's home.
const SYSTEM_DATA_ROOT: &str = "/var/lib/metricd";

/// The default data folder for a process that was started in `cwd`: `.metricd` there.
///
/// If the process runs as root and the user who would run PostgreSQL cannot enter `cwd`, it is a folder of its own
/// below `/var/lib/metricd`. The same `cwd` always gives the same folder.
#[must_use]
pub fn default_data_dir(cwd: &Path) -> PathBuf {
    let local = cwd.join(".metricd");
    // Without an account PostgreSQL cannot run in any folder. Opening the folder reports that.
    match Account::for_cluster(&local.join("cluster")) {
        Ok(account) if blocking_folder(account, cwd).is_some() => system_data_dir(cwd),
        _ => local,
    }
}

/// The first folder on the path to `path`, including `path`, that the account may not enter. Folders that do not exist
/// are ignored.
pub(crate) fn blocking_folder(account: Account, path: &Path) -> Option<PathBuf> {
    let Account::Other { uid, gid } = account else { return None };
    let existing = path.ancestors().find_map(|ancestor| fs::canonicalize(ancestor).ok())?;
    let mut ancestors: Vec<&Path> = existing.ancestors().collect();
    ancestors.reverse();
    ancestors
        .into_iter()
        .find(|folder| fs::metadata(folder).is_ok_and(|metadata| !may_enter(&metadata, uid, gid)))
        .map(Path::to_owned)
}

fn may_enter(metadata: &Metadata, uid: u32, gid: u32) -> bool {
    // The first class that matches decides, even if a later one would allow more.
    let bit = if metadata.uid() == uid {
        0o100
    } else if metadata.gid() == gid {
        0o010
    } else {
        0o001
    };
    metadata.mode() & bit != 0
}

fn system_data_dir(cwd: &Path) -> PathBuf {
    let name = cwd.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy());
    Path::new(SYSTEM_DATA_ROOT).join(format!("{name}-{:08x}", fnv1a(cwd.as_os_str().as_bytes())))
}

/// FNV-1a. The standard library's hashers may give other values in another release.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_folder_is_stable() {
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
        let folder = system_data_dir(Path::new("/home/someone/shop"));
        assert_eq!(folder, system_data_dir(Path::new("/home/someone/shop")));
        assert!(folder.display().to_string().starts_with("/var/lib/metricd/shop-"));
        assert_ne!(folder, system_data_dir(Path::new("/home/other/shop")));
    }

    #[test]
    fn the_current_user_is_never_blocked() {
        assert_eq!(blocking_folder(Account::Invoker, Path::new("/closed/folder")), None);
    }
}
