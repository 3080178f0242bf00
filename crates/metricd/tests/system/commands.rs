//! Help and the command line.

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Server, folder, metricd, run};

#[test]
fn help_is_printed_and_names_the_exit_codes() -> Result<()> {
    let folder = folder()?;
    let (code, help, _) = run(metricd(folder.path()).arg("--help"))?;
    assert!(code == 0 && help.contains("[env: METRICD_LISTEN"), "{help}");
    let (code, help, _) = run(metricd(folder.path()).args(["ingest", "--help"]))?;
    assert!(code == 0 && help.contains("--strict") && help.contains("2 refused: something in strict mode"), "{help}");
    Ok(())
}

#[test]
fn a_wrong_command_line_exits_with_2() -> Result<()> {
    let folder = folder()?;
    for arguments in [
        ["serv", ""],
        ["--listen", "here"],
        ["ingest", "--format=xml"],
        ["--query-timeout-seconds", "0"],
        ["--cors-origin", "example.org"],
    ] {
        let (code, _, error) = run(metricd(folder.path()).args(arguments.iter().filter(|word| !word.is_empty())))?;
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains("--help"), "{error}");
    }
    Ok(())
}

#[test]
fn a_misspelled_variable_and_a_data_folder_that_is_a_file_are_reported() -> Result<()> {
    let folder = folder()?;
    let file = crate::support::write(folder.path(), "data", "")?;
    let (code, _, error) = run(metricd(&file).args(["check"]).env("METRICD_LISTN", "127.0.0.1:1"))?;
    assert_eq!(code, 1, "{error}");
    assert!(
        error.contains("`METRICD_LISTN` is not known and has no effect: did you mean `METRICD_LISTEN`?"),
        "{error}"
    );
    assert!(error.contains("is a file: give another METRICD_DATA_DIR"), "{error}");
    Ok(())
}

#[test]
fn a_wrong_value_is_reported_with_its_source() -> Result<()> {
    let folder = folder()?;
    for (variable, value, flag) in [
        ("METRICD_LISTEN", "here", "--listen"),
        ("METRICD_QUERY_COST", "0", "--query-cost"),
        ("METRICD_QUERY_TIMEOUT_SECONDS", "5s", "--query-timeout-seconds"),
        ("METRICD_TENANT_CLAIM", "", "--tenant-claim"),
        ("METRICD_LOG", "debgu", "--log"),
        ("METRICD_LOG_FORMAT", "xml", "--log-format"),
        ("METRICD_SHARED_TABLES", "a", "--shared-table"),
        ("DATABASE_URL", "here", "--database-url"),
        ("READER_DATABASE_URL", "here", "--reader-database-url"),
    ] {
        let (code, _, error) = run(metricd(folder.path()).env(variable, value))?;
        assert_eq!(code, 2, "{variable}: {error}");
        let words =
            || error.split(|character: char| !character.is_alphanumeric() && character != '-' && character != '_');
        assert!(words().any(|word| word == variable) && !words().any(|word| word == flag), "{error}");
        // The command line takes precedence over the variable.
        let given = format!("{flag}={value}");
        let (code, _, error) = run(metricd(folder.path()).env(variable, value).arg(given))?;
        assert!(code == 2 && error.contains(flag) && !error.contains(variable), "{error}");
    }
    Ok(())
}

#[test]
fn a_variable_sets_a_flag_that_has_no_value() -> Result<()> {
    let folder = folder()?;
    for variable in ["METRICD_NO_BATCHING", "METRICD_NO_SAMPLE", "METRICD_INSECURE_ALLOW_ANONYMOUS"] {
        for (value, expected) in [("1", 0), ("true", 0), ("0", 0), ("false", 0), ("maybe", 2), ("", 2)] {
            let (code, _, error) = run(metricd(folder.path()).arg("openapi").env(variable, value))?;
            assert_eq!(code, expected, "{variable}={value}: {error}");
            assert!(code == 0 || error.contains(variable) && error.contains("expected `1` or `true`"), "{error}");
        }
    }
    // The flag contradicts a key. Without the flag, the key is read.
    for (value, message) in [("1", "give one of the two"), ("0", "cannot read")] {
        let mut command = metricd(&folder.path().join("data"));
        command.env("METRICD_JWT_KEYS", folder.path()).env("METRICD_INSECURE_ALLOW_ANONYMOUS", value);
        let (code, _, error) = run(&mut command)?;
        assert!(code != 0 && error.contains(message), "{value}: {error}");
    }
    Ok(())
}

#[test]
fn a_filter_that_would_silence_the_log_is_reported() -> Result<()> {
    let folder = folder()?;
    let file = crate::support::write(folder.path(), "data", "")?;
    for (filter, expected, message) in [
        ("debgu", 2, "expected a level such as `debug`"),
        ("info,metricd=inof", 2, "expected a level such as `info`"),
        ("metrcd_api=debug", 1, "names `metrcd_api`, which is not a crate that writes to the log"),
    ] {
        let (code, _, error) = run(metricd(&file).args(["check", "--log", filter]))?;
        assert!(code == expected && error.contains(message), "{filter}: {code} {error}");
    }
    Ok(())
}

#[test]
fn help_has_a_heading_for_logging() -> Result<()> {
    let folder = folder()?;
    let (_, help, _) = run(metricd(folder.path()).arg("--help"))?;
    let (_, logging) = help.split_once("\nLogging:\n").unwrap_or_default();
    assert!(logging.trim_start().starts_with("--log <FILTER>"), "{help}");
    Ok(())
}

#[actix_web::test]
async fn the_documents_are_printed_as_they_are_served() -> Result<()> {
    let folder = folder()?;
    let data_dir = folder.path().join("data");
    let printed = |arguments: &[&str]| run(metricd(&data_dir).arg("openapi").args(arguments));
    let (code, document, error) = printed(&[])?;
    assert_eq!((code, error.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&document)?;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(!data_dir.exists(), "the document of the API needs no database");

    let server = Server::start(&mut metricd(&data_dir))?;
    for arguments in [["--metric", "alerts-by-type"], ["--dashboard", "spare-parts"]] {
        let (code, document, error) = printed(&arguments)?;
        assert_eq!(code, 0, "{error}");
        let path = format!("/{}s/{}/openapi.json", arguments[0].trim_start_matches("--"), arguments[1]);
        let served = reqwest::get(format!("{}{path}", server.address)).await?.text().await?;
        assert_eq!(document.trim_end(), served, "{path}");
    }
    for (arguments, expected, message) in
        [(["--metric", "none"], 1, "none"), (["--dashboard", "none"], 1, "none"), (["--metric", "a b"], 2, "--metric")]
    {
        let (code, document, error) = printed(&arguments)?;
        assert_eq!((code, document.as_str()), (expected, ""), "{error}");
        assert!(error.contains(message), "{error}");
    }
    server.stop(Signal::SIGTERM)?;
    Ok(())
}
