//! The format of a log line: text for people, or a JSON object for programs.
//!
//! Messages quote what clients send, directly or in PostgreSQL's errors. Invisible characters are escaped, so that a record
//! is one line and cannot control the terminal that shows it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use chrono::{SecondsFormat, Utc};
use clap::ValueEnum;
use env_logger::Builder;
use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use metricd_domain::is_invisible;
use serde_json::Value as Json;

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}

/// The members of every object. A key-value of the same name is omitted.
const MEMBERS: [&str; 4] = ["time", "level", "target", "message"];

impl LogFormat {
    /// Starts to log the records that the filter allows to standard error.
    pub(crate) fn start(self, filter: &str) {
        // Fails only if there is a logger already.
        let _ = self.builder(filter).try_init();
    }

    fn builder(self, filter: &str) -> Builder {
        let mut builder = Builder::new();
        builder.parse_filters(filter);
        match self {
            Self::Text => builder.format(write_text),
            Self::Json => builder.format(|line, record| line.write_all(json_line(record).as_bytes())),
        };
        builder
    }
}

fn escape_text(message: &str) -> Cow<'_, str> {
    if !message.contains(is_invisible) {
        return message.into();
    }
    let mut escaped = String::with_capacity(message.len() + 16);
    for character in message.chars() {
        if is_invisible(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Writes a line with the level in its colour. The message contains the key-values already.
fn write_text(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = line.default_level_style(record.level());
    let (time, level, target) = (line.timestamp(), record.level(), record.target());
    let message = record.args().to_string();
    writeln!(line, "[{time} {style}{level:<5}{style:#} {target}] {}", escape_text(&message))
}

fn json_line(record: &Record<'_>) -> String {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut line = String::new();
    let _ = write!(line, "{{\"time\":\"{time}\",\"level\":\"{}\",\"target\":", record.level());
    write_json_text(&mut line, record.target());
    line.push_str(",\"message\":");
    write_json_text(&mut line, &record.args().to_string());
    // If a key-value fails, it and those after it are missing. None is partial.
    let _ = record.key_values().visit(&mut Members(&mut line));
    line.push_str("}\n");
    line
}

/// Writes a JSON string. `serde_json` escapes control characters only below U+0020; this escapes all invisible characters.
fn write_json_text(line: &mut String, text: &str) {
    let json = Json::from(text).to_string();
    if !json.contains(is_invisible) {
        line.push_str(&json);
        return;
    }
    for character in json.chars() {
        if is_invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
}

/// Writes key-values as members of the object, except those whose value is null.
struct Members<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if MEMBERS.contains(&key.as_str()) {
            return Ok(());
        }
        let mut json = ToJson(Json::Null);
        value.visit(&mut json)?;
        if json.0.is_null() {
            return Ok(());
        }
        self.0.push(',');
        write_json_text(self.0, key.as_str());
        self.0.push(':');
        match json.0 {
            Json::String(text) => write_json_text(self.0, &text),
            other => write!(self.0, "{other}")?,
        }
        Ok(())
    }
}

struct ToJson(Json);

impl VisitValue<'_> for ToJson {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = Json::Null;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use env_logger::Target;
    use log::{Level, Log};

    use super::*;

    const HOSTILE: &str = "a\n[2026-01-01T00:00:00Z INFO  metricd] forged\r\n\u{1b}[2J\u{9b}1m \"}\\ \u{2028}\u{202e}\u{61c}\u{e0041}\0\u{7f} ü";

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns what the logger writes for a record.
    fn line(format: LogFormat, message: &str, path: &str) -> String {
        let written = Written::default();
        let logger = format.builder("info").target(Target::Pipe(Box::new(written.clone()))).build();
        let fields = [
            ("path", Value::from(path)),
            ("status", 200_u16.into()),
            ("duration_ms", 1.5.into()),
            ("queue_ms", Value::null()),
            ("time", 1.into()),
        ];
        let message = format_args!("{message}");
        let record = Record::builder().level(Level::Info).target("metricd").key_values(&fields).args(message).build();
        logger.log(&record);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    fn assert_is_one_safe_line(line: &str) {
        let line = line.strip_suffix('\n').unwrap();
        assert!(!line.contains(is_invisible), "{line:?}");
    }

    #[test]
    fn a_hostile_message_is_one_line_of_text() {
        let text = line(LogFormat::Text, HOSTILE, "/");
        assert_is_one_safe_line(&text);
        assert!(text.contains(r"INFO  metricd] a\n[2026-01-01T00:00:00Z INFO  metricd] forged\r\n\u{1b}[2J"), "{text}");
        assert!(text.contains('ü') && !text.contains("status"), "{text}");
    }

    #[test]
    fn a_hostile_message_is_one_json_object() {
        let json = line(LogFormat::Json, HOSTILE, HOSTILE);
        assert_is_one_safe_line(&json);
        let members: Json = serde_json::from_str(&json).unwrap();
        assert_eq!((&members["message"], &members["path"]), (&HOSTILE.into(), &HOSTILE.into()));
        assert_eq!((&members["status"], &members["duration_ms"]), (&200.into(), &1.5.into()));
        assert_eq!((&members["level"], &members["target"]), (&"INFO".into(), &"metricd".into()));
        assert!(members["time"].as_str().unwrap().ends_with('Z'), "{json}");
        assert_eq!(json.matches("\"time\"").count(), 1, "{json}");
        assert!(!json.contains("queue_ms"), "{json}");
    }
}
