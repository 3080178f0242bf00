//! The widths of texts, from a table instead of a font.
//!
//! A browser chooses the font. The table has the widths of `DejaVu Sans`, the widest of the common system fonts, so that a
//! text takes at most the space that is estimated.

use unicode_segmentation::UnicodeSegmentation;

use super::{Face, is_combining};

/// From U+0020 to U+007E, in hundredths of the size.
const ASCII: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 30, 66, 56, 87, 75, 79, 61, 79, 70, 64, 62, 74, 69, 99, 69,
    62, 69, 40, 34, 40, 84, 50, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// How much wider bold is.
const BOLD: f64 = 1.13;

/// The width of a text in pixels.
pub(crate) fn width(text: &str, face: Face) -> f64 {
    let hundredths: u32 = if text.is_ascii() {
        text.chars().map(of_character).sum()
    } else {
        // What is drawn as one character, such as a family of emoji, is as wide as its widest part.
        text.graphemes(true).map(|grapheme| grapheme.chars().map(of_character).max().unwrap_or(0)).sum()
    };
    f64::from(hundredths) / 100.0 * face.size * if face.is_bold { BOLD } else { 1.0 }
}

fn of_character(character: char) -> u32 {
    match character {
        ' '..='~' => u32::from(ASCII[character as usize - 0x20]),
        '\u{200b}'..='\u{200f}' | '\u{2066}'..='\u{2069}' => 0,
        _ if is_combining(character) => 0,
        '\u{202f}' => 20,
        '’' | '·' | 'ı' | 'í' | 'ì' | 'î' | 'ï' => 32,
        '−' | '×' | '±' => 84,
        'æ' | 'œ' | 'Æ' | 'Œ' | '…' | '—' | '‰' | '™' => 135,
        '\u{a1}'..='\u{24f}' if character.is_lowercase() => 66,
        '\u{a1}'..='\u{24f}' | '\u{370}'..='\u{3ff}' => 84,
        '\u{400}'..='\u{52f}' => {
            if character.is_lowercase() {
                86
            } else {
                112
            }
        }
        '\u{590}'..='\u{5ff}' => 72,
        '\u{600}'..='\u{8ff}' => 90,
        '\u{2010}'..='\u{2027}' => 64,
        '\u{2070}'..='\u{209f}' => 52,
        '\u{20a0}'..='\u{20cf}' => 70,
        '\u{2190}'..='\u{22ff}' => 100,
        // Emoji.
        '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => 140,
        // Scripts of East Asia, and whatever else.
        _ => 104,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{SMALL, SMALL_BOLD};

    #[test]
    fn widths_follow_the_characters() {
        assert!(width("iii", SMALL) < width("mmm", SMALL));
        assert!(width("mmm", SMALL) < width("mmm", SMALL_BOLD));
        assert!((width("0123456789", SMALL) - 76.8).abs() < 1e-9);
        assert!((width("e\u{301}", SMALL) - width("e", SMALL)).abs() < 1e-9);
        assert!((width("漢字", SMALL) - 2.0 * 12.48).abs() < 1e-9);
    }
}
