//! Modes and certificates.

use anyhow::Result;
use metricd_test_support::tls::{Authority, Issued, Subject, TlsServer};

use crate::support::Login;

/// The modes of the columns: the first four without authorities, the others with them.
const MODES: [(&str, bool); 7] = [
    ("disable", false),
    ("allow", false),
    ("prefer", false),
    ("require", false),
    ("require", true),
    ("verify-ca", true),
    ("verify-full", true),
];

/// A row of the table: a certificate of the server, the files of the client, and what comes of each mode: `p` without
/// TLS, `t` with TLS, `x` refused.
struct Row {
    name: &'static str,
    certificate: Issued,
    roots: String,
    revocations: Option<String>,
    expected: &'static str,
    sentence: &'static str,
}

#[tokio::test]
async fn every_mode_with_every_certificate() -> Result<()> {
    let (root, foreign) = (Authority::new("the root")?, Authority::new("a foreign root")?);
    let intermediate = root.intermediate("an intermediate")?;
    let subject = Subject::default();
    let right = root.issue(&subject)?;
    let pinned = subject.self_signed()?;
    let other_host = Subject { common_name: "db.example", names: &["db.example", "10.0.0.1"], ..subject.clone() };
    let common_name = Subject { names: &[], ..subject.clone() };
    let other_san = Subject { names: &["db.example"], ..subject.clone() };
    let row = |name, certificate: &Issued, expected, sentence| Row {
        name,
        certificate: certificate.clone(),
        roots: root.pem(),
        revocations: None,
        expected,
        sentence,
    };
    #[rustfmt::skip]
    let rows = [
        row("right", &right, "pptt ttt", ""),
        row("of another host", &root.issue(&other_host)?, "pptt ttx", "is for `db.example`, `10.0.0.1`, not for `localhost`"),
        row("of another host, common name right", &root.issue(&other_san)?, "pptt ttx", "is for `db.example`, not for `localhost`"),
        row("with a common name only", &root.issue(&common_name)?, "pptt ttt", ""),
        row("of version 1", &root.issue_version_1(&common_name)?, "pptt ttt", ""),
        row("of version 1 of a foreign authority", &foreign.issue_version_1(&common_name)?, "pptt xxx", "unknown authority, `a foreign root`"),
        row("expired", &root.issue(&Subject { is_expired: true, ..subject.clone() })?, "pptt xxx", "has expired on 2021-01-01 00:00 UTC"),
        row("of a foreign authority", &foreign.issue(&subject)?, "pptt xxx", "unknown authority, `a foreign root`: give the authority's certificate with `sslrootcert=FILE`"),
        row("self-signed", &pinned, "pptt xxx", "is self-signed"),
        Row { roots: pinned.certificate_pem(), ..row("self-signed and trusted", &pinned, "pptt ttt", "") },
        row("for clients", &root.issue(&Subject { is_client: true, ..subject.clone() })?, "pptt xxx", "lacks `serverAuth`"),
        row("of an intermediate authority", &intermediate.issue(&subject)?.with(&intermediate), "pptt ttt", ""),
        row("without the intermediate authority", &intermediate.issue(&subject)?, "pptt xxx", "unknown authority, `an intermediate`"),
        Row {
            roots: intermediate.pem(),
            ..row("of an intermediate authority that is given alone", &intermediate.issue(&subject)?, "pptt xxx", "unknown authority")
        },
        Row {
            roots: root.pem() + &intermediate.pem(),
            ..row("of an intermediate authority that is given with its root", &intermediate.issue(&subject)?, "pptt ttt", "")
        },
        Row { revocations: Some(root.revocations(&[7])?), ..row("not revoked", &right, "pptt ttt", "") },
        Row {
            revocations: Some(root.revocations(&[7])?),
            ..row("revoked", &root.issue(&Subject { serial: 7, ..subject.clone() })?, "pptt xxx", "is revoked")
        },
        Row {
            revocations: Some(root.revocations(&[7])?),
            ..row("of an authority without a list", &intermediate.issue(&subject)?.with(&intermediate), "pptt xxx", "do not cover all authorities")
        },
    ];
    let server = TlsServer::start(&right, &root, "host all all all scram-sha-256").await?;
    server.superuser.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'pw'").await?;
    let mut failures = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        server.show(&row.certificate).await?;
        let roots = server.write(&format!("roots-{number}"), &row.roots)?;
        let revocations =
            row.revocations.as_ref().map(|list| server.write(&format!("list-{number}"), list)).transpose()?;
        for ((mode, has_roots), expected) in MODES.into_iter().zip(row.expected.chars().filter(|letter| *letter != ' '))
        {
            let mut login = Login::new("ann").with("sslmode", mode);
            if has_roots {
                login = login.with("sslrootcert", &roots);
            }
            if has_roots && let Some(revocations) = &revocations {
                login = login.with("sslcrl", revocations);
            }
            let before = failures.len();
            login.expect(&server, expected, row.sentence, &mut failures).await?;
            failures
                .iter_mut()
                .skip(before)
                .for_each(|failure| *failure = format!("a certificate {}: {failure}", row.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));

    // The address is compared with addresses, and an address without a host with nothing.
    server.show(&right).await?;
    let roots = server.write("roots", &root.pem())?;
    let full = |host, address| {
        Login { host, address, ..Login::new("ann") }.with("sslmode", "verify-full").with("sslrootcert", &roots)
    };
    full("127.0.0.1", "127.0.0.1").expect(&server, 't', "", &mut failures).await?;
    full("127.0.0.2", "127.0.0.1").expect(&server, 'x', "not for `127.0.0.2`", &mut failures).await?;
    full("", "127.0.0.1").expect(&server, 'x', "add `host`", &mut failures).await?;
    // Without `sslmode`, only a local server may be without TLS.
    let by_default = Login { address: "0.0.0.0", ..Login::new("ann") };
    assert_eq!(by_default.connect(&server).await?.letter(), 'x', "another machine is verified");
    assert_eq!(Login::new("ann").connect(&server).await?.letter(), 't');
    assert_eq!(by_default.clone().with("sslrootcert", &roots).connect(&server).await?.letter(), 't');
    // A changed file counts for the next connection.
    server.write("roots", &foreign.pem())?;
    assert_eq!(by_default.clone().with("sslrootcert", &roots).connect(&server).await?.letter(), 'x');
    server.write("roots", &(foreign.pem() + &root.pem()))?;
    assert_eq!(by_default.with("sslrootcert", &roots).connect(&server).await?.letter(), 't');
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
