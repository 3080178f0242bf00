//! Help and the command line.

use anyhow::Result;

use crate::support::{folder, metricd, run};

#[test]
fn help_names_every_option_with_its_variable() -> Result<()> {
    let folder = folder()?;
    let (code, help, _) = run(metricd(folder.path()).arg("--help"))?;
    assert_eq!(code, 0);
    for variable in [
        "DATABASE_URL",
        "READER_DATABASE_URL",
        "METRICD_DATA_DIR",
        "METRICD_POSTGRES_BIN_DIR",
        "METRICD_LOG",
        "METRICD_LOG_FORMAT",
        "METRICD_LISTEN",
        "METRICD_QUERY_TIMEOUT_SECONDS",
        "METRICD_QUERY_CONNECTIONS",
        "METRICD_CATALOG_CONNECTIONS",
        "METRICD_SHUTDOWN_TIMEOUT_SECONDS",
        "METRICD_NO_SAMPLE",
        "METRICD_CORS_ORIGINS",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable}: {help}");
    }
    let (code, help, _) = run(metricd(folder.path()).args(["ingest", "--help"]))?;
    assert!(code == 0 && help.contains("--strict") && help.contains("2 refused in strict mode"), "{help}");
    Ok(())
}

#[test]
fn a_wrong_command_line_is_an_error_of_its_own() -> Result<()> {
    let folder = folder()?;
    for arguments in [
        ["serv", ""],
        ["--listen", "here"],
        ["ingest", "--format=xml"],
        ["--query-timeout-seconds", "0"],
        ["--cors-origin", "example.org"],
    ] {
        let (code, _, error) = run(metricd(folder.path()).args(arguments.iter().filter(|word| !word.is_empty())))?;
        assert_eq!(code, 1, "{arguments:?}: {error}");
        assert!(error.contains("--help"), "{error}");
    }
    Ok(())
}
