//! The log filter: `--log`.

use std::str::FromStr;

use log::LevelFilter;

/// The crates that write to the log, by prefix: `metricd` matches each of metricd's crates.
const CRATES: &[&str] = &[
    "actix_http",
    "actix_multipart",
    "actix_rt",
    "actix_server",
    "actix_web",
    "metricd",
    "mio",
    "r2d2",
    "rustls",
    "sqlparser",
    "tokio_postgres",
    "tracing",
    "ureq",
    "ureq_proto",
];

/// The minimum similarity of a level to be suggested.
const MIN_SIMILARITY: f64 = 0.5;

/// Levels for the whole program or by module, in the syntax of `env_logger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter {
    text: String,
    unknown: Vec<String>,
}

impl LogFilter {
    /// The filter in the syntax of `env_logger`.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns a warning for each directive whose target writes nothing to the log.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.unknown.iter().map(|target| {
            format!("--log names `{target}`, which is not a crate that writes to the log: it has no effect")
        })
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (directives, expression) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let mut unknown = Vec::new();
        for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (target, level) = match directive.split_once('=') {
                Some((target, level)) => (target.trim_end(), Some(level.trim())),
                None if directive.parse::<LevelFilter>().is_ok() => continue,
                None => (directive, None),
            };
            if let Some(level) = level.filter(|level| level.parse::<LevelFilter>().is_err()) {
                return Err(format!("`{level}` is not a level: expected {}", expected(level)));
            }
            let is_known = CRATES.iter().any(|name| target.starts_with(name) || name.starts_with(target));
            if is_known {
                continue;
            }
            if level.is_none() && !target.contains("::") {
                return Err(format!(
                    "`{target}` is neither a level nor a crate that writes to the log: expected {}, or a module and a level \
                     such as `metricd_api=debug`",
                    expected(target)
                ));
            }
            unknown.push(target.to_owned());
        }
        if let Some(expression) = expression {
            let filter = format!("/{expression}");
            env_filter::Builder::new()
                .try_parse(&filter)
                .map_err(|_| format!("`{expression}` after `/` is not a regular expression"))?;
        }
        Ok(Self { text: text.to_owned(), unknown })
    }
}

/// Names the level that is similar to the text, or else all levels.
fn expected(text: &str) -> String {
    let levels: Vec<_> = LevelFilter::iter().map(|level| level.as_str().to_ascii_lowercase()).collect();
    let text = text.to_ascii_lowercase();
    let similar = levels.iter().map(|level| (strsim::normalized_damerau_levenshtein(&text, level), level));
    let most_similar =
        similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0));
    match most_similar {
        Some((_, suggestion)) => format!("a level such as `{suggestion}`"),
        None => levels.iter().map(|level| format!("`{level}`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(text: &str) -> Vec<String> {
        text.parse::<LogFilter>().unwrap().unknown
    }

    #[test]
    fn levels_and_crates_are_accepted() {
        for text in [
            "debug",
            "",
            "OFF",
            "info,actix_server=warn,tokio_postgres",
            "metricd_api::middleware=trace",
            "metricd",
            "actix=warn, info",
            "info/GET .*",
        ] {
            assert_eq!(unknown(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn other_directives_are_refused() {
        for (text, expected) in [
            ("debgu", "expected a level such as `debug`"),
            ("info,wran", "expected a level such as `warn`"),
            ("metricd=inof", "`inof` is not a level: expected a level such as `info`"),
            ("metricd=", "`` is not a level"),
            ("verbose", "expected `off`, `error`, `warn`, `info`, `debug`, `trace`, or a module"),
            ("a=b=c", "`b=c` is not a level"),
            ("info/(", "`(` after `/` is not a regular expression"),
        ] {
            let error = text.parse::<LogFilter>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_directive_for_a_crate_that_logs_nothing_is_reported() {
        assert_eq!(unknown("info,metrcd_api=debug,serde::de"), ["metrcd_api", "serde::de"]);
    }

    /// A crate can write to the log only if it depends on the crate `log`.
    #[test]
    fn every_dependency_that_logs_is_known() {
        let lock = include_str!("../../../Cargo.lock");
        // Crates of other platforms, crates of tests, and the logger itself.
        let others =
            ["calamine", "env_filter", "env_logger", "iana-time-zone", "jiff", "jiff-core", "jni", "reqwest", "zopfli"];
        for package in lock.split("[[package]]").filter(|package| package.contains("\n \"log\",\n")) {
            let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
            let target = name.replace('-', "_");
            let is_known = CRATES.iter().any(|known| target.starts_with(known));
            assert!(is_known || others.contains(&name) || name == "rustls-platform-verifier", "{name}");
        }
    }
}
