//! What is logged: `--log`.

use std::str::FromStr;

use log::LevelFilter;

/// The crates that write to the log. A crate of metricd's begins with `metricd`.
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

/// How similar a level has to be to a word to be suggested.
const MIN_SIMILARITY: f64 = 0.5;

/// Levels, for all of the program or by module, as `env_logger` takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter {
    text: String,
    unknown: Vec<String>,
}

impl LogFilter {
    /// The filter as `env_logger` reads it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// A sentence for each directive that is about no crate of the program.
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

/// The levels, or the one that was meant.
fn expected(word: &str) -> String {
    let levels: Vec<_> = LevelFilter::iter().map(|level| level.as_str().to_ascii_lowercase()).collect();
    let word = word.to_ascii_lowercase();
    let similar = levels.iter().map(|level| (strsim::normalized_damerau_levenshtein(&word, level), level));
    let nearest = similar.filter(|(similarity, _)| *similarity >= MIN_SIMILARITY).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, meant)) => format!("a level such as `{meant}`"),
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
    fn levels_and_crates_are_taken() {
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
    fn what_is_no_level_and_no_crate_is_refused() {
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
    fn a_crate_that_logs_nothing_is_known_to_have_no_effect() {
        assert_eq!(unknown("info,metrcd_api=debug,serde::de"), ["metrcd_api", "serde::de"]);
    }

    /// Those that can write to the log by themselves are those that depend on the crate `log`.
    #[test]
    fn every_dependency_that_logs_is_known() {
        let lock = include_str!("../../../Cargo.lock");
        // Of other systems, of tests, and those that make the log.
        let others = ["env_filter", "env_logger", "iana-time-zone", "jiff", "jiff-core", "jni", "reqwest", "zopfli"];
        for package in lock.split("[[package]]").filter(|package| package.contains("\n \"log\",\n")) {
            let name = package.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
            let target = name.replace('-', "_");
            let is_known = CRATES.iter().any(|known| target.starts_with(known));
            assert!(is_known || others.contains(&name) || name == "rustls-platform-verifier", "{name}");
        }
    }
}
