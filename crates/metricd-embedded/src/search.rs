//! Searches for PostgreSQL's server programs.

use std::cmp::Reverse;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use crate::account::plain_command;

/// The folders in which distributions and installers put the server programs. Most of them are not on `PATH`.
const WELL_KNOWN_DIRS: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// Where to look for PostgreSQL's server programs.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The value of `PATH`. Its folders and the folder that its `pg_config` names are searched before the well-known
    /// folders.
    pub path: Option<OsString>,
    /// If given, the only folder to search.
    pub bin_dir: Option<PathBuf>,
    /// Further folders. A `*` matches any text within a name; of several matches the one with the highest number comes
    /// first.
    pub well_known: Vec<PathBuf>,
}

impl Search {
    /// Searches the given `PATH` and the folders that distributions, Homebrew and Postgres.app use.
    #[must_use]
    pub fn system(path: Option<OsString>) -> Self {
        Self { path, bin_dir: None, well_known: WELL_KNOWN_DIRS.iter().map(PathBuf::from).collect() }
    }

    /// The folders to search, in order of preference. They need not exist.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        if let Some(folder) = &self.bin_dir {
            return vec![folder.clone()];
        }
        let mut folders = self.on_path();
        folders.extend(self.named_by_pg_config());
        folders.extend(self.well_known.iter().flat_map(|pattern| expand(pattern)));
        folders
    }

    /// Lists the places of the search, for a message.
    pub(crate) fn description(&self) -> String {
        if let Some(folder) = &self.bin_dir {
            return format!("`{}`", folder.display());
        }
        let mut places = Vec::new();
        if self.path.is_some() {
            places.extend(["PATH".to_owned(), "`pg_config --bindir`".to_owned()]);
        }
        places.extend(self.well_known.iter().map(|folder| format!("`{}`", folder.display())));
        places.join(", ")
    }

    fn on_path(&self) -> Vec<PathBuf> {
        // A relative entry would mean a different folder for each working directory.
        self.path.iter().flat_map(env::split_paths).filter(|folder| folder.is_absolute()).collect()
    }

    fn named_by_pg_config(&self) -> Option<PathBuf> {
        let program = self.on_path().into_iter().map(|folder| folder.join("pg_config")).find(|file| file.is_file())?;
        let mut answer = plain_command(program).arg("--bindir").output().ok()?.stdout;
        answer.truncate(answer.trim_ascii_end().len());
        (!answer.is_empty()).then(|| PathBuf::from(OsString::from_vec(answer)))
    }
}

/// The paths that match a pattern with at most one `*` in each name.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    pattern.components().fold(vec![PathBuf::new()], |bases, component| match component {
        Component::Normal(name) => match split_at_star(name) {
            Some((start, end)) => bases.iter().flat_map(|base| matching(base, start, end)).collect(),
            None => bases.into_iter().map(|base| base.join(name)).collect(),
        },
        other => bases.into_iter().map(|base| base.join(other)).collect(),
    })
}

fn split_at_star(name: &OsStr) -> Option<(&[u8], &[u8])> {
    let bytes = name.as_bytes();
    let star = bytes.iter().position(|byte| *byte == b'*')?;
    Some((&bytes[..star], &bytes[star + 1..]))
}

fn matching(base: &Path, start: &[u8], end: &[u8]) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let middle = name.as_bytes().strip_prefix(start)?.strip_suffix(end)?;
            Some((leading_number(&String::from_utf8_lossy(middle)).unwrap_or(0), entry.path()))
        })
        .collect();
    found.sort_by_key(|(number, path)| (Reverse(*number), path.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The number at the start of a text: 16 for `16.2`, `16beta1` and `16`.
pub(crate) fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pg-9.6", "pg-16", "pg-15", "pg-latest", "other"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let names: Vec<_> = expand(&folder.path().join("pg-*/bin"))
            .into_iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["pg-16/bin", "pg-15/bin", "pg-9.6/bin", "pg-latest/bin"]);
    }

    #[test]
    fn a_given_folder_is_the_only_one_searched() {
        let search = Search { bin_dir: Some("/given".into()), ..Search::system(Some("/usr/bin".into())) };
        assert_eq!(search.folders(), [PathBuf::from("/given")]);
    }

    #[test]
    fn relative_entries_of_path_are_skipped() {
        let search = Search { path: Some(":bin:/absolute".into()), ..Search::default() };
        assert_eq!(search.folders(), [PathBuf::from("/absolute")]);
    }

    #[test]
    fn the_version_is_the_leading_number() {
        assert_eq!(leading_number("15.18 (Debian)"), Some(15));
        assert_eq!(leading_number("18devel"), Some(18));
        assert_eq!(leading_number("devel"), None);
    }
}
