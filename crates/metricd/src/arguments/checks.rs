//! Checks of the command line that clap cannot express.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory};
use metricd_database::DatabaseUrl;

use super::{CommandLine, ServeArguments};

/// Rejects passwords: every user of the machine can see the command line.
pub(super) fn reject_passwords(matches: &ArgMatches) -> Result<(), clap::Error> {
    let levels = std::iter::once(matches).chain(matches.subcommand().map(|(_, matches)| matches));
    for matches in levels {
        for (id, name, variable) in [
            ("database_url", "--database-url", "DATABASE_URL"),
            ("reader_database_url", "--reader-database-url", "READER_DATABASE_URL"),
            ("url", "the argument", "DATABASE_URL"),
        ] {
            let given = matches.try_get_one::<DatabaseUrl>(id).ok().flatten();
            if given.is_some_and(DatabaseUrl::has_password)
                && matches.value_source(id) == Some(ValueSource::CommandLine)
            {
                let message = format!(
                    "every user of the machine can see a password on the command line: set {variable} instead of {name}"
                );
                return Err(CommandLine::command().error(clap::error::ErrorKind::ValueValidation, message));
            }
        }
    }
    Ok(())
}

/// Rejects flags of `serve` before another command, which would ignore them.
pub(super) fn reject_misplaced_flags(matches: &ArgMatches) -> Result<(), clap::Error> {
    if matches.subcommand_name().is_none() {
        return Ok(());
    }
    let serving = ServeArguments::augment_args(clap::Command::new("serve"));
    for argument in serving.get_arguments() {
        let id = argument.get_id().as_str();
        if matches.value_source(id) == Some(ValueSource::CommandLine) {
            let flag = argument.get_long().unwrap_or(id);
            let message = format!("--{flag} is an option of `serve`: put it after `serve`");
            return Err(CommandLine::command().error(clap::error::ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(())
}

/// Rejects options of hardening without hardening, and `--format` if no plan is printed.
pub(super) fn reject_ineffective_flags(matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some(("migrate", migrate)) = matches.subcommand() else { return Ok(()) };
    let is_given = |id: &str| migrate.value_source(id) == Some(ValueSource::CommandLine);
    let refusal = if (is_given("dry_run") || is_given("yes") || is_given("format"))
        && !is_given("harden")
        && !is_given("undo_hardening")
    {
        "--dry-run, --yes and --format require --harden or --undo-hardening"
    } else if is_given("format") && !is_given("dry_run") {
        "--format requires --dry-run"
    } else {
        return Ok(());
    };
    Err(CommandLine::command().error(clap::error::ErrorKind::MissingRequiredArgument, refusal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_flag_is_rejected_and_not_printed() {
        for arguments in [
            ["metricd", "--database-url", "postgres://ann:s3cret@localhost/m", "migrate"],
            ["metricd", "migrate", "--reader-database-url", "postgres://ann:s3cret@localhost/m"],
            ["metricd", "--log=info", "connect", "postgres://ann:s3cret@localhost/m"],
        ] {
            let matches = CommandLine::command().try_get_matches_from(arguments).unwrap();
            let error = reject_passwords(&matches).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL instead") && !error.contains("s3cret"), "{error}");
        }
        let plain = ["metricd", "--database-url", "postgres://ann@localhost/m", "migrate"];
        assert!(reject_passwords(&CommandLine::command().try_get_matches_from(plain).unwrap()).is_ok());
    }

    #[test]
    fn flags_of_serve_must_follow_the_command() {
        let check = |arguments: &[&str]| {
            reject_misplaced_flags(&CommandLine::command().try_get_matches_from(arguments).unwrap())
        };
        assert!(check(&["metricd", "--listen", "127.0.0.1:1", "serve"]).is_err());
        assert!(check(&["metricd", "--listen", "127.0.0.1:1"]).is_ok());
        assert!(check(&["metricd", "--data-dir", "d", "serve", "--listen", "127.0.0.1:1"]).is_ok());
        assert!(check(&["metricd", "--data-dir", "d", "migrate"]).is_ok());
    }

    #[test]
    fn flags_of_hardening_require_hardening() {
        let check = |arguments: &str| {
            let arguments = format!("metricd migrate {arguments}");
            reject_ineffective_flags(
                &CommandLine::command().try_get_matches_from(arguments.split_whitespace()).unwrap(),
            )
        };
        for ineffective in ["--yes", "--dry-run", "--format sql", "--harden --format sql"] {
            assert!(check(ineffective).is_err(), "{ineffective}");
        }
        for effective in ["", "--harden", "--undo-hardening --yes", "--harden --dry-run --format sql"] {
            assert!(check(effective).is_ok(), "{effective}");
        }
        let both = ["metricd", "migrate", "--harden", "--undo-hardening"];
        assert!(CommandLine::command().try_get_matches_from(both).is_err());
    }
}
