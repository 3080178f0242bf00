//! Certificates, and a PostgreSQL with TLS that shows them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metricd_embedded::{Cluster, Search};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SigningKey,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::connect;

/// An authority that issues certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, in DER.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, and those of intermediate authorities behind it.
    pub chain: Vec<Vec<u8>>,
    /// The private key.
    pub key: Vec<u8>,
}

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The common name.
    pub common_name: &'a str,
    /// Alternative names: hosts and addresses.
    pub names: &'a [&'a str],
    /// Whether it has expired, at the beginning of 2021.
    pub is_expired: bool,
    /// Whether it is for clients rather than servers.
    pub is_client: bool,
    /// The serial number.
    pub serial: u64,
}

impl Default for Subject<'_> {
    /// A server on `localhost`.
    fn default() -> Self {
        let names = &["localhost", "127.0.0.1"];
        Self { common_name: "localhost", names, is_expired: false, is_client: false, serial: 1 }
    }
}

impl Subject<'_> {
    fn params(&self) -> Result<CertificateParams> {
        let mut params = CertificateParams::new(self.names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name = named(self.common_name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.serial_number = Some(SerialNumber::from(self.serial));
        params.extended_key_usages = vec![if self.is_client {
            ExtendedKeyUsagePurpose::ClientAuth
        } else {
            ExtendedKeyUsagePurpose::ServerAuth
        }];
        if self.is_expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        Ok(params)
    }

    /// A certificate that is its own issuer.
    ///
    /// # Errors
    ///
    /// If the names are none.
    pub fn self_signed(&self) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let certificate = self.params()?.self_signed(&key)?;
        Ok(Issued { chain: vec![certificate.der().to_vec()], key: key.serialize_der() })
    }
}

impl Authority {
    /// A root of this name.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self(CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate()?)?))
    }

    /// An authority that this one certifies.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn intermediate(&self, name: &str) -> Result<Self> {
        Ok(Self(CertifiedIssuer::signed_by(Self::params(name), KeyPair::generate()?, &self.0)?))
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// Issues a certificate.
    ///
    /// # Errors
    ///
    /// If the names are none.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let certificate = subject.params()?.signed_by(&key, &self.0)?;
        Ok(Issued { chain: vec![certificate.der().to_vec()], key: key.serialize_der() })
    }

    /// The same as X.509 version 1, which has no extensions.
    ///
    /// # Errors
    ///
    /// If no key can be made.
    pub fn issue_version_1(&self, subject: &Subject<'_>) -> Result<Issued> {
        let mut issued = self.issue(subject)?;
        let (_, outer, _) = value(&issued.chain[0]);
        let (signed, tbs, rest) = value(outer);
        let (algorithm, ..) = value(rest);
        ensure!(signed.len() + rest.len() == outer.len(), "three values make a certificate");
        let mut fields = Vec::new();
        let mut remaining = tbs;
        while !remaining.is_empty() {
            let (whole, _, behind) = value(remaining);
            // The version and the extensions are tagged.
            if !matches!(whole[0], 0xa0 | 0xa3) {
                fields.extend_from_slice(whole);
            }
            remaining = behind;
        }
        let tbs = sequence(0x30, &fields);
        let signature = self.0.key().sign(&tbs)?;
        let signature = sequence(0x03, &[&[0], signature.as_slice()].concat());
        issued.chain[0] = sequence(0x30, &[tbs.as_slice(), algorithm, &signature].concat());
        Ok(issued)
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", self.0.der())
    }

    /// The authority's certificate, in DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// The list of revoked certificates, in PEM.
    ///
    /// # Errors
    ///
    /// If it cannot be signed.
    pub fn revocations(&self, serials: &[u64]) -> Result<String> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2125, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(pem("X509 CRL", list.signed_by(&self.0)?.der()))
    }
}

impl Issued {
    /// The same, with an intermediate authority behind it.
    #[must_use]
    pub fn with(mut self, intermediate: &Authority) -> Self {
        self.chain.push(intermediate.der());
        self
    }

    /// The certificates, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }

    /// The key, in PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The first value of DER with its tag and length, without them, and what is behind it.
fn value(der: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (head, length) = match der[1] {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        short => (2, usize::from(short)),
    };
    (&der[..head + length], &der[head..head + length], &der[head + length..])
}

fn sequence(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or_default().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], content].concat()
}

/// A PostgreSQL of its own with TLS, and a folder for the files of clients.
#[derive(Debug)]
pub struct TlsServer {
    /// The server, without TLS on its socket.
    pub cluster: Cluster,
    /// As the superuser, over the socket.
    pub superuser: Client,
    folder: TempDir,
}

impl TlsServer {
    /// Starts a server that trusts an authority for the certificates of clients, with these rules in `pg_hba.conf` for
    /// connections over TCP.
    ///
    /// # Errors
    ///
    /// If PostgreSQL cannot be started.
    pub async fn start(certificate: &Issued, client_authority: &Authority, rules: &str) -> Result<Self> {
        let started =
            tokio::task::spawn_blocking(move || Cluster::ephemeral(&Search::system(env::var_os("PATH")), &[]));
        let cluster = started.await??;
        let superuser = connect(&cluster.connection().owner_url("postgres")?).await?;
        let this = Self { cluster, superuser, folder: tempfile::tempdir()? };
        this.write_in_server("client_ca.crt", &client_authority.pem()).await?;
        this.write_in_server("pg_hba.conf", &format!("local all all scram-sha-256\n{rules}\n")).await?;
        let set = "ALTER SYSTEM SET ssl_ca_file = 'client_ca.crt'";
        this.superuser.batch_execute(set).await?;
        this.show(certificate).await?;
        Ok(this)
    }

    /// Changes the server's certificate.
    ///
    /// # Errors
    ///
    /// If the server does not load it.
    pub async fn show(&self, certificate: &Issued) -> Result<()> {
        self.write_in_server("server.crt", &certificate.certificate_pem()).await?;
        self.write_in_server("server.key", &certificate.key_pem()).await?;
        self.superuser.batch_execute("ALTER SYSTEM SET ssl = on").await?;
        // A new session has the time at which the server has loaded its settings.
        let loaded = "SELECT pg_conf_load_time()::text";
        let url = self.cluster.connection().owner_url("postgres")?;
        let before: String = connect(&url).await?.query_one(loaded, &[]).await?.get(0);
        self.superuser.batch_execute("SELECT pg_reload_conf()").await?;
        for _ in 0..1_000 {
            let session = connect(&url).await?;
            let row = session.query_one(&format!("{loaded}, current_setting('ssl')"), &[]).await?;
            if row.get::<_, String>(0) != before {
                ensure!(row.get::<_, String>(1) == "on", "PostgreSQL has not loaded the certificate");
                return Ok(());
            }
        }
        anyhow::bail!("PostgreSQL does not load its settings")
    }

    /// Writes a file as the server's account, readable by it only.
    async fn write_in_server(&self, name: &str, content: &str) -> Result<()> {
        let path = self.superuser.query_one("SELECT current_setting('data_directory') || '/' || $1", &[&name]).await?;
        let path: String = path.get(0);
        let copy = format!(
            "COPY (SELECT unnest(string_to_array({}, E'\\n'))) TO PROGRAM {}",
            quoted(content.trim_end()),
            quoted(&format!("umask 077; cat > '{path}'"))
        );
        self.superuser.batch_execute(&copy).await.with_context(|| format!("writing {name}"))
    }

    /// Writes a file of clients, readable by this user only.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// The path of a file of clients.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder for the files of clients.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.connection().port()
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
