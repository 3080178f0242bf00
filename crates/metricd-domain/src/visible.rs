//! Escapes text from outside for messages.

/// Escapes, as Rust does, the characters that end a line, control a terminal, change the direction of text or have no
/// width. Quotes and backslashes are kept, so that people recognise what they wrote.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_invisible(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The first `max_chars` characters of the text, escaped by [`visible`], and `…` if there are more.
#[must_use]
pub fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => visible(&text[..end]) + "…",
        None => visible(text),
    }
}

/// Whether a character may end a line, control a terminal, change the direction of text or have no width.
///
/// These are the general categories Cc, Cf, Zl and Zp of Unicode 17.0 (`DerivedGeneralCategory.txt`), and the whole
/// range of tags, U+E0000 to U+E007F.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_text_ends_with_an_ellipsis() {
        assert_eq!(shortened("a\n\0é\u{1f600}\u{202e}", 80), "a\\n\\u{0}é\u{1f600}\\u{202e}");
        assert_eq!(shortened(&"x".repeat(81), 80), format!("{}…", "x".repeat(80)));
        assert_eq!(shortened(&"x".repeat(80), 80), "x".repeat(80));
    }

    #[test]
    fn quotes_are_kept_and_line_breaks_are_escaped() {
        assert_eq!(visible(r#"'a' "b" \c é"#), r#"'a' "b" \c é"#);
        assert_eq!(visible("q\u{200b}1\u{feff}"), "q\\u{200b}1\\u{feff}");
        assert_eq!(visible("\u{61c}\u{ad}\u{180e}\u{e0041}é"), "\\u{61c}\\u{ad}\\u{180e}\\u{e0041}é");
        assert_eq!(visible("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
    }
}
