//! Writes the SQL of a metric as a script for pgbench.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Result, ensure};

/// A parameter of the SQL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// The declared type, as which metricd casts the value.
    pub(crate) declared_type: Option<String>,
    /// The value in PostgreSQL's format; `None` is NULL.
    pub(crate) value: Option<String>,
}

/// A script, and the values of its variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) values: Vec<(String, String)>,
    /// The time zone of the sessions, if it is not that of the server.
    pub(crate) time_zone: Option<String>,
}

impl Script {
    pub(crate) fn without_parameters(sql: &str) -> Result<Self> {
        Self::new(sql, &BTreeMap::new())
    }

    /// Makes a script with a variable for each parameter, which pgbench sends separately from the SQL, as metricd does.
    ///
    /// For pgbench every `:name` is a variable, also in a string. A string with one gets an escape for the colon.
    pub(crate) fn new(sql: &str, parameters: &BTreeMap<String, Parameter>) -> Result<Self> {
        let mut text = String::new();
        let mut rest = sql;
        while !rest.is_empty() {
            let (piece, length) = next_piece(&text, rest);
            let (content, after) = rest.split_at(length);
            match piece {
                _ if !content.contains(':') && piece != Piece::Code => text += content,
                Piece::Code => write_code(&mut text, content, parameters),
                Piece::String => {
                    // The letter must not merge with a word before it.
                    let blank = if text.ends_with(is_part_of_a_name) { " " } else { "" };
                    let _ = write!(text, "{blank}E{}", content.replace('\\', r"\\").replace(':', r"\x3a"));
                }
                Piece::Comment => text += &content.replace(':', " "),
                Piece::Other => {
                    ensure!(
                        !content.match_indices(':').any(|(at, _)| variable_length(&content[at..]) > 0),
                        "pgbench would take a part of {content} for a variable, so this SQL cannot be measured: write \
                         it as a plain string, or without a colon"
                    );
                    text += content;
                }
            }
            rest = after;
        }
        let values = parameters.iter().filter_map(|(name, parameter)| Some((name.clone(), parameter.value.clone()?)));
        Ok(Self { text: text + "\n;\n", values: values.collect(), time_zone: None })
    }
}

/// A part of the SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// What PostgreSQL splits into tokens.
    Code,
    /// A string without a prefix: `'…'`.
    String,
    Comment,
    /// A string with a prefix, a string between dollars, or a quoted name.
    Other,
}

/// The next piece, and its length in bytes. `before` has the text before it.
fn next_piece(before: &str, rest: &str) -> (Piece, usize) {
    let end_of = |end: &str, from: usize| {
        let found = rest.get(from..).and_then(|rest| rest.find(end));
        found.map_or(rest.len(), |found| from + found + end.len())
    };
    if rest.starts_with("--") {
        (Piece::Comment, end_of("\n", 0))
    } else if rest.starts_with("/*") {
        (Piece::Comment, comment_length(rest))
    } else if rest.starts_with('"') {
        (Piece::Other, end_of("\"", 1))
    } else if rest.starts_with('\'') {
        let word = &before[before.trim_end_matches(is_part_of_a_name).len()..];
        let is_escaped = word.eq_ignore_ascii_case("e");
        let has_prefix = is_escaped || before.ends_with("u&") || before.ends_with("U&");
        (if has_prefix { Piece::Other } else { Piece::String }, string_length(rest, is_escaped))
    } else if let Some(tag) = dollar_tag(before, rest) {
        (Piece::Other, end_of(tag, tag.len()))
    } else {
        let next = rest.char_indices().skip(1).find(|(at, character)| {
            matches!(character, '\'' | '"' | '$') || rest[*at..].starts_with("--") || rest[*at..].starts_with("/*")
        });
        (Piece::Code, next.map_or(rest.len(), |(at, _)| at))
    }
}

/// The length of a comment, which may contain others.
fn comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of a string, in which a doubled quote is part of it.
fn string_length(text: &str, is_escaped: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if is_escaped => drop(characters.next()),
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_none() => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The tag at the start of a string between dollars: `$$` or `$name$`.
fn dollar_tag<'a>(before: &str, rest: &'a str) -> Option<&'a str> {
    let name = rest.strip_prefix('$').filter(|_| !before.ends_with(is_part_of_a_name))?;
    let end = name.find('$').filter(|end| name[..*end].chars().all(is_part_of_a_name))?;
    rest.get(..end + 2)
}

/// Writes code: parameters as variables of pgbench, and other colons so that pgbench sees no variable.
fn write_code(text: &mut String, code: &str, parameters: &BTreeMap<String, Parameter>) {
    let mut rest = code;
    while let Some(at) = rest.find([':', ';']) {
        *text += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix(';') {
            // The SQL is one statement: what follows is nothing but comments.
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("::") {
            *text += "::";
            rest = after;
            continue;
        }
        let name = &rest[1..=variable_length(rest)];
        match parameters.get(name) {
            Some(Parameter { declared_type, value }) => {
                let value = if value.is_some() { format!(":{name}") } else { "NULL".to_owned() };
                let value = declared_type.as_ref().map_or(value.clone(), |cast| format!("CAST({value} AS {cast})"));
                // As metricd does: the value must not merge with a word before it.
                let blank = if text.ends_with(is_part_of_a_name) { " " } else { "" };
                let _ = write!(text, "{blank}{value}");
            }
            // The bounds of a slice.
            None => {
                let _ = write!(text, ": {name}");
            }
        }
        rest = &rest[1 + name.len()..];
    }
    *text += rest;
}

/// The length of the name after a colon, as pgbench reads it.
fn variable_length(text: &str) -> usize {
    let name = &text[1..];
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    name.find(|character: char| !is_part_of_a_name(character)).unwrap_or(name.len())
}

fn is_part_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    fn script(sql: &str) -> Result<String> {
        let parameter = |declared_type: Option<&str>, value: Option<&str>| Parameter {
            declared_type: declared_type.map(str::to_owned),
            value: value.map(str::to_owned),
        };
        let parameters = BTreeMap::from([
            ("kind".to_owned(), parameter(None, Some("a"))),
            ("day".to_owned(), parameter(Some("date"), Some("2026-01-01"))),
            ("top".to_owned(), parameter(Some("integer"), None)),
        ]);
        let Script { text, values, .. } = Script::new(sql, &parameters)?;
        assert_eq!(values, [("day".to_owned(), "2026-01-01".to_owned()), ("kind".to_owned(), "a".to_owned())]);
        Ok(text.strip_suffix("\n;\n").unwrap().to_owned())
    }

    #[test]
    fn parameters_are_variables_with_the_declared_type() {
        for (sql, expected) in [
            ("SELECT :kind, x::date FROM t;", "SELECT :kind, x::date FROM t"),
            ("SELECT 1 WHERE d >= :day -- :day", "SELECT 1 WHERE d >= CAST(:day AS date) --  day"),
            ("SELECT :top::bigint", "SELECT CAST(NULL AS integer)::bigint"),
            ("SELECT not:kind", "SELECT not :kind"),
        ] {
            assert_eq!(script(sql).unwrap(), expected);
        }
    }

    #[test]
    fn pgbench_sees_no_variable_in_strings_comments_and_slices() {
        for (sql, expected) in [
            (r"SELECT to_char(t, 'HH24:MI')", r"SELECT to_char(t, E'HH24\x3aMI')"),
            (r"SELECT 'it''s :kind \ ', ':kind'", r"SELECT E'it''s \x3akind \\ ', E'\x3akind'"),
            ("SELECT /* a:b /* :kind */ */ 'x'", "SELECT /* a b /*  kind */ */ 'x'"),
            ("SELECT days[1:n], days[(:kind)]", "SELECT days[1: n], days[(:kind)]"),
            (r"SELECT E'it\'s', $a$ it's $a$, $$;$$, size'1'", r"SELECT E'it\'s', $a$ it's $a$, $$;$$, size'1'"),
            ("SELECT '12:30', E'12:30', \"a;b\" AS ä", "SELECT E'12\\x3a30', E'12:30', \"a;b\" AS ä"),
        ] {
            assert_eq!(script(sql).unwrap(), expected);
        }
    }

    #[test]
    fn what_pgbench_would_misread_is_refused() {
        for sql in [r"SELECT E'a\n:b'", "SELECT 1 AS \"a:b\"", "SELECT $$a:b$$", "SELECT U&'a:b'", "SELECT e'a:kind'"] {
            let error = script(sql).unwrap_err().to_string();
            assert!(error.starts_with("pgbench would take a part of "), "{sql}: {error}");
        }
    }

    #[test]
    fn the_workloads_are_measured_as_they_are() {
        for workload in Workload::ALL {
            assert_eq!(Script::without_parameters(&workload.sql()).unwrap().text, format!("{}\n;\n", workload.sql()));
        }
    }
}
