//! What goes wrong is said in one sentence that says what to do.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Result;
use metricd_connection::Connector;
use metricd_database::DatabaseUrl;
use metricd_test_support::tls::{Authority, Subject, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::Login;

async fn sentence(url: String) -> Result<String> {
    let connected = Connector::new(&DatabaseUrl::parse(url)?, Duration::from_secs(5))?.connect().await;
    Ok(connected.err().map(|error| error.to_string()).unwrap_or_default())
}

#[tokio::test]
async fn says_what_is_wrong_with_the_server() -> Result<()> {
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let said = sentence(format!("postgres://ann@localhost:{closed}/m?sslmode=require")).await?;
    assert!(said.contains("cannot be reached") && said.contains("check the host and the port"), "{said}");

    // One that answers every request with the same byte.
    for (answer, expected) in [
        (b'N', "the server has no TLS, and `sslmode=require` requires it: set `ssl = on`"),
        (b'H', "is it PostgreSQL?"),
        (b'E', "the server has refused the request for TLS"),
        (b'S', "the TLS handshake has failed"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.read_exact(&mut [0; 8]).await?;
            stream.write_all(&[answer]).await
        });
        let said = sentence(format!("postgres://ann@localhost:{port}/m?sslmode=require")).await?;
        assert!(said.starts_with(&format!("`localhost:{port}`: ")) && said.contains(expected), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn says_what_is_wrong_with_the_files() -> Result<()> {
    let root = Authority::new("the root")?;
    let server = TlsServer::start(&root.issue(&Subject::default())?, &root, "host all all all trust").await?;
    server.superuser.batch_execute("CREATE ROLE ann LOGIN").await?;
    let issued = root.issue(&Subject { common_name: "ann", is_client: true, ..Subject::default() })?;
    server.write("root.crt", &root.pem())?;
    server.write("ann.crt", &issued.certificate_pem())?;
    server.write("ann.key", &issued.key_pem())?;
    server.write("other.key", &root.issue(&Subject::default())?.key_pem())?;
    server.write("encrypted.key", &issued.key_pem().replace("PRIVATE", "ENCRYPTED PRIVATE"))?;
    server.write("empty", "")?;
    let readable = server.write("readable.key", &issued.key_pem())?;
    std::fs::set_permissions(readable, std::fs::Permissions::from_mode(0o644))?;
    for (files, expected) in [
        (vec![("sslrootcert", "none")], "none` of `sslrootcert` cannot be read"),
        (vec![("sslrootcert", "empty")], "holds no certificate"),
        (vec![("sslrootcert", "root.crt"), ("sslcrl", "none")], "none` of `sslcrl` cannot be read"),
        (vec![("sslrootcert", "root.crt"), ("sslcrl", "root.crt")], "holds no list of revoked certificates"),
        (vec![("sslcert", "ann.crt")], "has no private key: give it with `sslkey=FILE`"),
        (vec![("sslcert", "ann.crt"), ("sslkey", "other.key")], "do not fit together"),
        (vec![("sslcert", "ann.crt"), ("sslkey", "encrypted.key")], "is encrypted"),
        (vec![("sslcert", "ann.crt"), ("sslkey", "readable.key")], "run `chmod 600`"),
        (vec![("sslcert", "ann.crt"), ("sslkey", "empty")], "holds no private key"),
    ] {
        let mut login = Login::new("ann").with("sslmode", "require");
        for (parameter, file) in &files {
            login = login.with(parameter, server.path(file));
        }
        let outcome = login.connect(&server).await?;
        assert!(outcome.letter() == 'x' && outcome.to_string().contains(expected), "{files:?}: {outcome}");
    }
    let outcome = Login::new("ann").with("sslmode", "verify-ca").connect(&server).await?;
    assert!(outcome.to_string().contains("`sslmode=verify-ca` needs the authority's certificate"), "{outcome}");
    let direct = Login::new("ann").with("sslnegotiation", "direct").with("sslrootcert", server.path("root.crt"));
    let outcome = direct.connect(&server).await?;
    assert!(outcome.letter() == 't' || outcome.to_string().contains("takes no direct TLS handshake"), "{outcome}");

    // The files of the default folder are used if they exist.
    let folder = server.folder().join("default");
    std::fs::create_dir(&folder)?;
    let url = || Login { address: "0.0.0.0", ..Login::new("ann") }.url(&server);
    let connect = async || {
        let connector = Connector::new(&url()?.with_default_tls_folder(folder.clone()), Duration::from_secs(5))?;
        anyhow::Ok(connector.connect().await.is_ok())
    };
    assert!(!connect().await?, "the system does not trust the server's authority");
    std::fs::copy(server.path("root.crt"), folder.join("root.crt"))?;
    assert!(connect().await?);
    Ok(())
}
