//! Texts from outside: made harmless, measured without a font, cut and wrapped.

mod width;

use unicode_segmentation::UnicodeSegmentation;

pub(crate) use self::width::width;

/// No drawn text has more characters than this before it is cut to its space.
const MAX_CHARS: usize = 1_000;

/// How many combining characters a letter may carry. More would reach into other lines.
const MAX_MARKS: usize = 2;

/// Size and weight of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Face {
    pub(crate) size: f64,
    pub(crate) is_bold: bool,
}

/// Labels, ticks, notes.
pub(crate) const SMALL: Face = Face { size: 12.0, is_bold: false };
/// Headers of tables and panels.
pub(crate) const SMALL_BOLD: Face = Face { size: 12.0, is_bold: true };
/// The title.
pub(crate) const TITLE: Face = Face { size: 14.0, is_bold: true };
/// A number that is the whole picture.
pub(crate) const LARGE: Face = Face { size: 32.0, is_bold: true };
/// The unit of such a number.
pub(crate) const MIDDLE: Face = Face { size: 18.0, is_bold: false };

/// The text in one line: white space is one space; characters that are invisible, change the direction of text or are not
/// allowed in XML are replaced by U+FFFD, so that a reader sees that there is something.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::new();
    let mut marks = 0;
    for (index, character) in text.chars().enumerate() {
        if index >= MAX_CHARS {
            clean.push('…');
            break;
        }
        let is_mark = is_combining(character);
        marks = if is_mark { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            continue;
        }
        let shown = match character {
            // Joiners are part of how some scripts and emoji are written.
            '\u{200c}' | '\u{200d}' => character,
            '\u{2028}' | '\u{2029}' => ' ',
            _ if character.is_whitespace() => {
                if matches!(character, '\u{a0}' | '\u{202f}') {
                    character
                } else {
                    ' '
                }
            }
            '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
            _ if metricd_domain::is_invisible(character) => '\u{fffd}',
            _ => character,
        };
        if !(matches!(shown, ' ' | '\u{fffd}') && clean.ends_with(shown)) {
            clean.push(shown);
        }
    }
    clean.trim().to_owned()
}

/// A clean text that does not change the order of what surrounds it in a sentence.
pub(crate) fn isolated(text: &str) -> String {
    let text = clean(text);
    if text.chars().any(is_right_to_left) { format!("\u{2068}{text}\u{2069}") } else { text }
}

/// A clean text as long as it fits, with `…` if something is cut. Empty if not even that fits.
pub(crate) fn cut(text: &str, space: f64, face: Face) -> String {
    let text = clean(text);
    if width(&text, face) <= space {
        return text;
    }
    let ellipsis = width("…", face);
    let (mut kept, mut used) = (0, 0.0);
    for (start, grapheme) in text.grapheme_indices(true) {
        used += width(grapheme, face);
        if used + ellipsis > space {
            break;
        }
        kept = start + grapheme.len();
    }
    if kept == 0 && ellipsis > space { String::new() } else { format!("{}…", text[..kept].trim_end()) }
}

/// A clean text in lines that fit; the last one is cut.
pub(crate) fn wrap(text: &str, space: f64, face: Face, max_lines: usize) -> Vec<String> {
    let text = clean(text);
    let mut lines = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() && lines.len() + 1 < max_lines && width(rest, face) > space {
        let end = line_end(rest, space, face);
        if end == 0 {
            break;
        }
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() {
        lines.push(cut(rest, space, face));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// Where a line ends: after the last word that fits, else after the last character that does.
fn line_end(text: &str, space: f64, face: Face) -> usize {
    let (mut used, mut end, mut word_end) = (0.0, 0, 0);
    for (start, grapheme) in text.grapheme_indices(true) {
        used += width(grapheme, face);
        if grapheme == " " {
            word_end = start;
        } else if used > space {
            break;
        }
        end = start + grapheme.len();
    }
    if word_end > 0 { word_end } else { end }
}

fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}'
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}')
}

fn is_right_to_left(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_cannot_see_is_shown() {
        assert_eq!(clean("a\u{202e}b\0\u{1b}[2J\n c\t\td"), "a\u{fffd}b\u{fffd}[2J c d");
        assert_eq!(clean("  é  "), "é");
        assert_eq!(clean("e\u{301}\u{301}\u{301}\u{301}x"), "e\u{301}\u{301}x");
        assert_eq!(clean(&"x".repeat(10_000)).chars().count(), MAX_CHARS + 1);
        assert_eq!(isolated("שלום"), "\u{2068}שלום\u{2069}");
        assert_eq!(isolated("a"), "a");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("Germany", 200.0, SMALL), "Germany");
        let short = cut("Germany and Austria", 60.0, SMALL);
        assert!(short.ends_with('…') && width(&short, SMALL) <= 60.0, "{short}");
        assert_eq!(cut("👨‍👩‍👧👨‍👩‍👧👨‍👩‍👧", 35.0, SMALL), "👨‍👩‍👧…");
        assert_eq!(cut("Germany", 3.0, SMALL), "");
    }

    #[test]
    fn lines_break_between_words() {
        let lines = wrap("The number of parts that were flagged in each week of the year", 150.0, SMALL, 2);
        assert_eq!(lines.len(), 2);
        assert!(!lines[0].ends_with(' ') && lines[1].ends_with('…'), "{lines:?}");
        let lines = wrap(&"x".repeat(50), 100.0, SMALL, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| width(line, SMALL) <= 100.0));
        assert!(wrap("", 100.0, SMALL, 3).is_empty());
        assert!(wrap("word", 2.0, SMALL, 3).is_empty());
    }
}
