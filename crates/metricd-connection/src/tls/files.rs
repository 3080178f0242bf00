//! The files about TLS of a URL.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use metricd_database::{TlsMode, TlsRoots, TlsSettings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::error::ConnectError;

/// The files of a connection, each with what shows that it has changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TlsFiles {
    pub(super) roots: Option<RootFile>,
    /// The client's certificate and its key.
    pub(super) client: Option<(StampedFile, StampedFile)>,
    pub(super) revocations: Option<StampedFile>,
}

/// Where the authorities are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum RootFile {
    System,
    File(StampedFile),
}

/// A file as of now. A changed file is not equal to the former one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StampedFile {
    parameter: &'static str,
    path: PathBuf,
    modified: Option<SystemTime>,
    size_bytes: u64,
}

impl TlsFiles {
    /// The files that the URL names, which must exist, or those of the default folder that exist.
    pub(super) fn find(settings: &TlsSettings, mode: TlsMode) -> Result<Self, ConnectError> {
        let default = |parameter, name| settings.default_file(name).and_then(|path| StampedFile::find(parameter, path));
        let named = |parameter, path: &Option<PathBuf>| {
            path.as_ref().map(|path| StampedFile::require(parameter, path)).transpose()
        };
        let roots = match &settings.roots {
            Some(TlsRoots::System) => Some(RootFile::System),
            Some(TlsRoots::File(path)) => Some(RootFile::File(StampedFile::require("sslrootcert", path)?)),
            None => default("sslrootcert", "root.crt").map(RootFile::File),
        };
        let roots = match (roots, mode) {
            (None, TlsMode::VerifyFull) => Some(RootFile::System),
            (None, TlsMode::VerifyCa) => return Err(ConnectError::failed(NO_ROOTS)),
            (roots, _) => roots,
        };
        let certificate = match named("sslcert", &settings.certificate)? {
            Some(certificate) => Some(certificate),
            None => default("sslcert", "postgresql.crt"),
        };
        let client = match certificate {
            None => None,
            Some(certificate) => {
                let key = match named("sslkey", &settings.key)? {
                    Some(key) => Some(key),
                    None => default("sslkey", "postgresql.key"),
                };
                Some((certificate, key.ok_or_else(|| ConnectError::failed(NO_KEY))?))
            }
        };
        let revocations = match named("sslcrl", &settings.revocations)? {
            None if matches!(roots, Some(RootFile::File(_))) => default("sslcrl", "root.crl"),
            revocations => revocations,
        };
        Ok(Self { roots, client, revocations })
    }
}

const NO_ROOTS: &str = "`sslmode=verify-ca` needs the authority's certificate: give it with `sslrootcert=FILE`, or use `sslmode=verify-full` with `sslrootcert=system`";
const NO_KEY: &str = "the client's certificate has no private key: give it with `sslkey=FILE`";

impl StampedFile {
    fn new(parameter: &'static str, path: PathBuf, metadata: &Metadata) -> Self {
        Self { parameter, path, modified: metadata.modified().ok(), size_bytes: metadata.len() }
    }

    fn find(parameter: &'static str, path: PathBuf) -> Option<Self> {
        let metadata = fs::metadata(&path).ok()?;
        Some(Self::new(parameter, path, &metadata))
    }

    fn require(parameter: &'static str, path: &Path) -> Result<Self, ConnectError> {
        let found = fs::metadata(path).map(|metadata| Self::new(parameter, path.to_owned(), &metadata));
        found.map_err(|error| {
            let path = path.display();
            ConnectError::failed(format!("`{path}` of `{parameter}` cannot be read: {error}"))
        })
    }

    fn error(&self, problem: impl std::fmt::Display) -> ConnectError {
        ConnectError::failed(format!("`{}` of `{}` {problem}", self.path.display(), self.parameter))
    }

    /// The certificates of the file.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
        let read = CertificateDer::pem_file_iter(&self.path).and_then(Iterator::collect);
        let certificates: Vec<_> = read.map_err(|error| self.error(format!("cannot be read: {error}")))?;
        if certificates.is_empty() {
            return Err(
                self.error("holds no certificate: expected PEM, which begins with `-----BEGIN CERTIFICATE-----`")
            );
        }
        Ok(certificates)
    }

    /// The lists of revoked certificates.
    pub(super) fn revocations(&self) -> Result<Vec<CertRevocationList<'static>>, ConnectError> {
        let read = CertificateRevocationListDer::pem_file_iter(&self.path).and_then(Iterator::collect);
        let lists: Vec<CertificateRevocationListDer<'static>> =
            read.map_err(|error| self.error(format!("cannot be read: {error}")))?;
        if lists.is_empty() {
            return Err(self.error(
                "holds no list of revoked certificates: expected PEM, which begins with `-----BEGIN X509 CRL-----`",
            ));
        }
        let parsed = lists.iter().map(|list| OwnedCertRevocationList::from_der(list).map(CertRevocationList::from));
        parsed.collect::<Result<_, _>>().map_err(|error| self.error(format!("is not understood: {error}")))
    }

    /// The private key of the file, in PEM or DER format.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, ConnectError> {
        self.check_permissions()?;
        let bytes = fs::read(&self.path).map_err(|error| self.error(format!("cannot be read: {error}")))?;
        if let Ok(key) = PrivateKeyDer::from_pem_slice(&bytes) {
            return Ok(key);
        }
        if bytes.windows(b"ENCRYPTED".len()).any(|window| window == b"ENCRYPTED") {
            return Err(
                self.error("is encrypted: write the key without a password, `openssl pkey -in KEY -out NEW_KEY`")
            );
        }
        let key = PrivateKeyDer::try_from(bytes);
        key.map_err(|_| {
            self.error("holds no private key: expected PEM, which begins with `-----BEGIN PRIVATE KEY-----`")
        })
    }

    /// As libpq, refuses a key that others can read: root's may be readable by a group.
    #[cfg(unix)]
    fn check_permissions(&self) -> Result<(), ConnectError> {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(&self.path).map_err(|error| self.error(format!("cannot be read: {error}")))?;
        let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
        if !metadata.is_file() {
            return Err(self.error("is no file"));
        }
        if metadata.mode() & forbidden != 0 {
            return Err(self.error("is a private key that other users may read: run `chmod 600` on it"));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn check_permissions(&self) -> Result<(), ConnectError> {
        Ok(())
    }
}
