//! Finds an installation of PostgreSQL with server programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::EmbeddedError;
use crate::account::plain_command;
use crate::search::{Search, leading_number};

/// The oldest supported major version.
pub const MINIMUM_MAJOR: u32 = 15;

/// A folder with `initdb` and `postgres` of a supported version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    bin_dir: PathBuf,
    major: u32,
}

impl Installation {
    /// Finds the first installation of version [`MINIMUM_MAJOR`] or newer. If `major` is given, finds the first of
    /// exactly that version.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError::NoInstallation`], [`EmbeddedError::TooOld`] and [`EmbeddedError::OtherMajor`].
    pub fn find(search: &Search, major: Option<u32>) -> Result<Self, EmbeddedError> {
        let mut unfit = Vec::<Self>::new();
        for installation in search.folders().into_iter().filter_map(Self::inspect) {
            if installation.major >= MINIMUM_MAJOR && major.is_none_or(|major| major == installation.major) {
                return Ok(installation);
            }
            unfit.push(installation);
        }
        unfit.sort_by_key(|installation| installation.major);
        match (unfit.last(), major) {
            (None, _) => Err(EmbeddedError::NoInstallation { looked_in: search.description() }),
            (Some(newest), None) => Err(EmbeddedError::TooOld {
                found: newest.major,
                bin_dir: newest.bin_dir.clone(),
                minimum: MINIMUM_MAJOR,
            }),
            (Some(_), Some(wanted)) => {
                unfit.dedup_by_key(|installation| installation.major);
                let found =
                    unfit.iter().map(|installation| installation.major.to_string()).collect::<Vec<_>>().join(", ");
                Err(EmbeddedError::OtherMajor { wanted, found })
            }
        }
    }

    /// The folder of the programs.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The major version: 15 for 15.4.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    fn inspect(bin_dir: PathBuf) -> Option<Self> {
        let postgres = bin_dir.join("postgres");
        if !is_program(&postgres) || !is_program(&bin_dir.join("initdb")) {
            return None;
        }
        let answer = plain_command(postgres).arg("--version").output().ok()?.stdout;
        // Example: postgres (PostgreSQL) 15.4 (Debian 15.4-1)
        let answer = String::from_utf8_lossy(&answer);
        let major = answer.split_whitespace().find_map(leading_number)?;
        Some(Self { bin_dir, major })
    }
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
