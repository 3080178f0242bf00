//! The passwords of a cluster's roles, and the file that stores them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use crate::folder::Folder;
use crate::ownership::read_to_string;
use crate::{EmbeddedError, OWNER_ROLE};

const PASSWORD_LENGTH_CHARS: usize = 40;

/// A password for each role. `Debug` shows only the roles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials(BTreeMap<String, SecretString>);

impl Credentials {
    /// Generates passwords for the owner and for these roles.
    pub(crate) fn generate<'a>(roles: impl IntoIterator<Item = &'a str>) -> Self {
        let mut credentials = Self::default();
        credentials.add_missing(roles);
        credentials
    }

    /// Loads the stored passwords, generates those of roles that have none, and stores them.
    ///
    /// The passwords are on disk before the cluster is created: a cluster with lost passwords would be useless.
    pub(crate) fn load_or_create(folder: &Folder, roles: &[String]) -> Result<Self, EmbeddedError> {
        let mut credentials = match Self::load(folder) {
            Err(EmbeddedError::NoCredentials { .. }) if !folder.has_cluster() => Self::default(),
            loaded => loaded?,
        };
        if credentials.add_missing(roles.iter().map(String::as_str)) {
            credentials.store(folder).map_err(EmbeddedError::folder("write", &folder.credentials()))?;
        }
        Ok(credentials)
    }

    /// Loads the stored passwords.
    pub(crate) fn load(folder: &Folder) -> Result<Self, EmbeddedError> {
        let path = folder.credentials();
        match read_to_string(&path) {
            Ok(text) => Self::from_json(&text).map_err(|source| EmbeddedError::Credentials { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EmbeddedError::NoCredentials { data_dir: folder.path().to_owned() })
            }
            Err(error) => Err(EmbeddedError::folder("read", &path)(error)),
        }
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let plain: BTreeMap<String, String> = serde_json::from_str(text)?;
        Ok(Self(plain.into_iter().map(|(role, password)| (role, password.into())).collect()))
    }

    pub(crate) fn password(&self, role: &str) -> Result<&SecretString, EmbeddedError> {
        self.0.get(role).ok_or_else(|| EmbeddedError::UnknownRole {
            role: role.to_owned(),
            known: self.0.keys().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "),
        })
    }

    fn add_missing<'a>(&mut self, roles: impl IntoIterator<Item = &'a str>) -> bool {
        let before = self.0.len();
        for role in [OWNER_ROLE].into_iter().chain(roles) {
            self.0.entry(role.to_owned()).or_insert_with(|| {
                SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), PASSWORD_LENGTH_CHARS))
            });
        }
        self.0.len() > before
    }

    fn store(&self, folder: &Folder) -> io::Result<()> {
        let plain: BTreeMap<&str, &str> =
            self.0.iter().map(|(role, password)| (role.as_str(), password.expose_secret())).collect();
        // Only the owner can read a temporary file, from its creation on. Renaming it is atomic: a reader sees either
        // the old passwords or all of the new ones.
        let mut file = NamedTempFile::new_in(folder.path())?;
        serde_json::to_writer_pretty(&mut file, &plain)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(folder.credentials())?;
        folder.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_gets_its_own_long_password() {
        let credentials = Credentials::generate(["reader"]);
        let owner = credentials.password(OWNER_ROLE).unwrap().expose_secret();
        let reader = credentials.password("reader").unwrap().expose_secret();
        assert_ne!(owner, reader);
        assert!(owner.len() >= 32 && owner.chars().all(|character| character.is_ascii_alphanumeric()));
    }
}
