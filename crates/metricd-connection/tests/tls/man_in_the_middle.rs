//! Somebody between client and server, with a certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use metricd_test_support::tls::{Authority, Issued, Subject, TlsServer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::Login;

/// Shows a certificate with a key that need not be its own.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Listens, shows the certificate, and forwards what it reads to the server, over TLS.
async fn listen(server: &TlsServer, certificate: &Issued, key: &[u8]) -> Result<SocketAddr> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.to_vec()).map_err(anyhow::Error::msg)?;
    let key = provider.key_provider.load_private_key(key)?;
    let chain = certificate.chain.iter().cloned().map(Into::into).collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let shows = Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key))));
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_no_client_auth().with_cert_resolver(shows)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, port) = (listener.local_addr()?, server.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(forward(stream, acceptor.clone(), port));
        }
    });
    Ok(address)
}

async fn forward(mut near: TcpStream, acceptor: TlsAcceptor, port: u16) -> Result<()> {
    near.read_exact(&mut [0; 8]).await?;
    near.write_all(b"S").await?;
    let mut near = acceptor.accept(near).await?;
    let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
    far.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await?;
    far.read_exact(&mut [0]).await?;
    let mut far = TlsConnector::from(support::careless()?).connect("localhost".try_into()?, far).await?;
    copy_bidirectional(&mut near, &mut far).await?;
    Ok(())
}

mod support {
    use std::sync::Arc;

    use anyhow::Result;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

    /// Accepts everything.
    #[derive(Debug)]
    struct Careless;

    impl ServerCertVerifier for Careless {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }

    pub(super) fn careless() -> Result<Arc<ClientConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Careless));
        Ok(Arc::new(builder.with_no_client_auth()))
    }
}

#[tokio::test]
async fn channel_binding_finds_another_certificate_of_the_same_authority() -> Result<()> {
    let root = Authority::new("the root")?;
    let own = root.issue(&Subject::default())?;
    let server = TlsServer::start(&own, &root, "hostssl all all all scram-sha-256").await?;
    server.superuser.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'pw'").await?;
    let roots = server.write("root.crt", &root.pem())?;
    let other = root.issue(&Subject::default())?;
    let middle = listen(&server, &other, &other.key).await?;
    let login = |port: u16, channel_binding: &'static str| {
        let login = Login { port: Some(port), ..Login::new("ann") }.with("sslrootcert", &roots);
        login.with("channel_binding", channel_binding)
    };
    for (port, channel_binding, expected) in [
        (server.port(), "require", 't'),
        (middle.port(), "require", 'x'),
        (middle.port(), "prefer", 'x'),
        // As with libpq, nothing but the binding distinguishes the two.
        (middle.port(), "disable", 't'),
    ] {
        let outcome = login(port, channel_binding).connect(&server).await?;
        assert_eq!(outcome.letter(), expected, "{channel_binding}: {outcome}");
    }

    // The server's own certificate helps nobody without its key, in any mode.
    let middle = listen(&server, &own, &other.key).await?;
    for mode in ["require", "verify-ca", "verify-full"] {
        let mut login = Login { port: Some(middle.port()), ..Login::new("ann") }.with("sslmode", mode);
        if mode != "require" {
            login = login.with("sslrootcert", &roots);
        }
        let outcome = login.connect(&server).await?;
        assert!(outcome.letter() == 'x' && outcome.to_string().contains("does not prove"), "{mode}: {outcome}");
    }
    Ok(())
}
