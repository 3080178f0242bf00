//! Reads a tree that PostgreSQL has printed.
//!
//! Its text is that of the rule of a view, but broken into lines of at most 78 bytes: PostgreSQL replaces the last blank
//! of a line by a line break. A line without a blank is broken in the middle of a word. So the lines can be joined if no
//! word is as long as a line.

use metricd_database::{Fault, Outage, Trouble};
use metricd_execution::ResolveError;

/// How a printed tree begins.
const BEGINNING: &str = "{QUERY ";

/// The shortest word that may have been broken, in bytes: a line may begin with a blank.
const MAX_WORD_BYTES: usize = 77;

/// The tree among the details of messages, as a list of one query like that of a view.
pub(super) fn of(details: &[String]) -> Result<String, ResolveError> {
    let mut printed = details.iter().filter(|detail| detail.starts_with(BEGINNING));
    let (Some(tree), None) = (printed.next(), printed.next()) else {
        let message = "PostgreSQL did not print how it reads the statement: something between it and metricd leaves out \
                       messages";
        return Err(ResolveError::Unavailable(Outage {
            fault: Fault::Unavailable(Trouble::Internal),
            message: message.to_owned(),
        }));
    };
    joined(tree.trim_end_matches('\n')).map(|tree| format!("({tree})")).ok_or_else(|| ResolveError::Refused {
        message: "a name has too many blanks or special characters to be validated in this database".to_owned(),
        hint: None,
        character: None,
    })
}

/// Joins the lines. `None` if a word may have been broken, or if a character was.
///
/// In a word, a blank and a line break are escaped by a backslash. PostgreSQL may have put a line break in place of such
/// a blank, so both become an escaped blank: a part of the same word.
fn joined(printed: &str) -> Option<String> {
    if printed.contains(char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let (mut word_bytes, mut is_escaped) = (0, false);
    for byte in printed.bytes() {
        let ends_word = matches!(byte, b' ' | b'\n') && !is_escaped;
        word_bytes = if ends_word { 0 } else { word_bytes + 1 };
        if word_bytes >= MAX_WORD_BYTES {
            return None;
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    Some(printed.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The length of a line in bytes.
    const LINE_BYTES: usize = 78;

    /// Breaks a text into lines as PostgreSQL's `format_node_dump` does, and decodes it as the driver does.
    fn broken(text: &str) -> String {
        let (bytes, mut at, mut lines) = (text.as_bytes(), 0, Vec::new());
        loop {
            let line = &bytes[at..bytes.len().min(at + LINE_BYTES)];
            let end = at + line.len();
            if end == bytes.len() {
                lines.extend([line, b"\n"].concat());
                return String::from_utf8_lossy(&lines).into_owned();
            }
            let blank = line.iter().rposition(|byte| *byte == b' ').filter(|at| *at > 0);
            let (length, next) = match (bytes[end], blank) {
                (b' ', _) => (line.len(), end + 1),
                (_, Some(blank)) => (blank, at + blank + 1),
                (_, None) => (line.len(), end),
            };
            lines.extend([&line[..length], b"\n"].concat());
            at = next;
        }
    }

    fn read(text: &str) -> Option<String> {
        joined(broken(text).trim_end_matches('\n'))
    }

    /// Escapes a name as PostgreSQL's `outToken` does.
    fn escaped(name: &str) -> String {
        let is_special = |character: char| matches!(character, ' ' | '\n' | '\t' | '(' | ')' | '{' | '}' | '\\');
        name.chars().fold(String::new(), |mut escaped, character| {
            if is_special(character) {
                escaped.push('\\');
            }
            escaped.push(character);
            escaped
        })
    }

    #[test]
    fn one_tree_is_found_among_other_details() {
        let tree = "{QUERY :commandType 1}\n".to_owned();
        let other = "parameters: $1 = '{QUERY '".to_owned();
        assert_eq!(of(&[other.clone(), tree.clone()]).unwrap(), "({QUERY :commandType 1})");
        assert!(of(&[other]).is_err());
        assert!(of(&[tree.clone(), tree]).is_err());
    }

    #[test]
    fn a_word_that_may_be_broken_is_refused() {
        let named = |name: &str| format!("{{QUERY :name {} :next 1}}", escaped(name));
        assert_eq!(read(&named(&"a".repeat(LINE_BYTES + 1))), None);
        // A line break of the name hides where PostgreSQL breaks the line, even between a backslash and a bracket.
        assert_eq!(read(&named(&format!("a\n{}", "(".repeat(45)))), None);
        assert_eq!(read(&named(&"é".repeat(40))), None);
        for name in ["a".repeat(63), "total revenue of the month (EUR)".to_owned(), "é".repeat(31)] {
            assert_eq!(read(&named(&name)), Some(named(&name)));
        }
        assert_eq!(read(&named("two\nlines")), Some(named("two lines")));
    }

    proptest! {
        #[test]
        fn lines_are_joined_or_refused(names in prop::collection::vec("[a-zé :(){}\\\\\n]{0,90}", 0..30)) {
            let words: Vec<_> = names.iter().map(|name| format!(":n {}", escaped(name))).collect();
            let text = words.join(" ");
            if let Some(joined) = read(&text) {
                prop_assert_eq!(joined, text.trim_end_matches('\n').replace('\n', " "));
            } else {
                prop_assert!(words.iter().any(|word| word.len() >= MAX_WORD_BYTES));
            }
        }
    }
}
