//! Modes, methods of authentication, and channel binding.

use std::time::Duration;

use anyhow::{Context, Result};
use metricd_test_support::tls::{Authority, Subject, TlsServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::Login;

const RULES: &str = "
hostssl   all with_certificate all cert
hostssl   all only_tls         all scram-sha-256
hostnossl all only_plain       all scram-sha-256
hostnossl all clear_plain      all password
host      all clear            all password
host      all md5              all md5
host      all scram            all scram-sha-256
";

const ROLES: &str = "
SET password_encryption = 'md5'; CREATE ROLE md5 LOGIN PASSWORD 'pw'; RESET password_encryption;
CREATE ROLE scram LOGIN PASSWORD 'pw'; CREATE ROLE clear LOGIN PASSWORD 'pw'; CREATE ROLE clear_plain LOGIN PASSWORD 'pw';
CREATE ROLE only_tls LOGIN PASSWORD 'pw'; CREATE ROLE only_plain LOGIN PASSWORD 'pw'; CREATE ROLE with_certificate LOGIN;
";

/// A user, whether the login has to be bound to the certificate, what comes of each mode, and what a refusal says.
type Row = (&'static str, &'static str, [(&'static str, char); 4], &'static str);

async fn start() -> Result<(Authority, TlsServer)> {
    let root = Authority::new("the root")?;
    let server = TlsServer::start(&root.issue(&Subject::default())?, &root, RULES).await?;
    server.superuser.batch_execute(ROLES).await?;
    server.write("root.crt", &root.pem())?;
    Ok((root, server))
}

#[tokio::test]
async fn every_mode_with_every_method() -> Result<()> {
    let (root, server) = start().await?;
    let client =
        |name: &str| root.issue(&Subject { common_name: name, is_client: true, names: &[], ..Subject::default() });
    let (own, others) = (client("with_certificate")?, client("someone_else")?);
    let foreign = Authority::new("a foreign root")?;
    let foreign = foreign.issue(&Subject { common_name: "with_certificate", is_client: true, ..Subject::default() })?;
    for (name, issued) in [("own", &own), ("others", &others), ("foreign", &foreign)] {
        server.write(&format!("{name}.crt"), &issued.certificate_pem())?;
        server.write(&format!("{name}.key"), &issued.key_pem())?;
    }
    let mut failures = Vec::new();
    // The letters: `p` without TLS, `t` with TLS, `x` refused.
    #[rustfmt::skip]
    let rows: [Row; 9] = [
        ("scram", "prefer", [("disable", 'p'), ("prefer", 't'), ("require", 't'), ("verify-full", 't')], ""),
        ("scram", "require", [("disable", 'x'), ("prefer", 't'), ("require", 't'), ("verify-full", 't')], "channel binding"),
        ("scram", "disable", [("disable", 'p'), ("prefer", 't'), ("require", 't'), ("verify-full", 't')], ""),
        ("md5", "prefer", [("disable", 'p'), ("prefer", 't'), ("require", 't'), ("verify-full", 't')], ""),
        ("md5", "require", [("disable", 'x'), ("prefer", 'x'), ("require", 'x'), ("verify-full", 'x')], "channel binding"),
        ("clear", "prefer", [("disable", 'p'), ("prefer", 't'), ("require", 't'), ("verify-full", 't')], ""),
        ("clear", "require", [("disable", 'x'), ("prefer", 'x'), ("require", 'x'), ("verify-full", 'x')], "channel binding"),
        ("only_tls", "prefer", [("disable", 'x'), ("allow", 't'), ("prefer", 't'), ("verify-full", 't')], "no encryption"),
        ("only_plain", "prefer", [("allow", 'p'), ("prefer", 'p'), ("require", 'x'), ("verify-full", 'x')], "encryption"),
    ];
    for (user, channel_binding, modes, sentence) in rows {
        for (mode, expected) in modes {
            let mut login = Login::new(user).with("sslmode", mode).with("channel_binding", channel_binding);
            if mode == "verify-full" {
                login = login.with("sslrootcert", server.path("root.crt"));
            }
            login.expect(&server, expected, sentence, &mut failures).await?;
        }
    }
    for (certificate, expected, sentence) in [
        ("own", 't', ""),
        ("others", 'x', "certificate authentication failed"),
        ("foreign", 'x', "the server rejects the client's certificate"),
        ("", 'x', "client certificate"),
    ] {
        let mut login = Login::new("with_certificate").with("sslmode", "require");
        if !certificate.is_empty() {
            login = login.with("sslcert", server.path(&format!("{certificate}.crt")));
            login = login.with("sslkey", server.path(&format!("{certificate}.key")));
        }
        login.expect(&server, expected, sentence, &mut failures).await?;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

#[tokio::test]
async fn a_password_does_not_leave_the_machine_in_the_clear() -> Result<()> {
    let (_, server) = start().await?;
    // To this address, which is not known to be local, the server is another machine.
    let login = |user, mode: &'static str| Login { address: "0.0.0.0", ..Login::new(user) }.with("sslmode", mode);
    for (user, mode, expected) in [
        ("clear_plain", "disable", 'p'),
        ("clear_plain", "allow", 'x'),
        ("clear_plain", "prefer", 'x'),
        // It goes over TLS instead.
        ("clear", "allow", 't'),
        ("clear", "prefer", 't'),
        // Hashed, it may go.
        ("only_plain", "prefer", 'p'),
    ] {
        let outcome = login(user, mode).connect(&server).await?;
        assert_eq!(outcome.letter(), expected, "{user} {mode}: {outcome}");
        if expected == 'x' {
            assert!(outcome.to_string().contains("asks for the password as it is"), "{outcome}");
        }
    }
    assert_eq!(Login::new("clear_plain").connect(&server).await?.letter(), 'p', "a local server may ask for it");
    Ok(())
}

#[tokio::test]
async fn a_statement_is_cancelled_over_tls() -> Result<()> {
    let (_, server) = start().await?;
    server.write("server-only", "")?;
    let login = Login::new("only_tls").with("sslrootcert", server.path("root.crt"));
    let mut session = login.connector(&server)?.log_in().await?;
    assert!(session.process_id.is_some_and(|process_id| process_id > 0));
    let sql = b"SELECT pg_sleep(60)\0";
    let size_bytes = u32::try_from(sql.len() + 4)?.to_be_bytes();
    session.socket.write_all(&[b"Q", &size_bytes[..], sql].concat()).await?;
    session.socket.flush().await?;
    let mut received = Vec::new();
    let cancelled = timeout(Duration::from_secs(20), async {
        loop {
            session.cancel_request.send().await?;
            let mut chunk = [0; 1_024];
            // The request may arrive before the statement.
            if let Ok(read) = timeout(Duration::from_millis(200), session.socket.read(&mut chunk)).await {
                received.extend_from_slice(chunk.get(..read?).context("a chunk")?);
                if received.windows(5).any(|code| code == b"57014") {
                    return anyhow::Ok(());
                }
            }
        }
    });
    cancelled.await??;
    Ok(())
}
