//! Text of others inside a message of ours.

/// The text as a message shows it: characters that end a line, steer a terminal, change the direction of others or have no
/// width are escaped as Rust escapes them. Quotes and backslashes stay as they are, so that a person recognises what they wrote.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_stay_and_line_breaks_do_not() {
        assert_eq!(visible(r#"'a' "b" \c é"#), r#"'a' "b" \c é"#);
        assert_eq!(visible("q\u{200b}1\u{feff}"), "q\\u{200b}1\\u{feff}");
        assert_eq!(visible("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
    }
}
