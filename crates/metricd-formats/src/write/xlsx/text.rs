//! Texts in XML, and names of sheets.

use super::super::Refusal;
use super::super::names::distinct;

/// The most characters of a cell, in units of UTF-16.
const MAX_CELL_UNITS: usize = 32_767;

/// The most characters of a sheet's name, in units of UTF-16.
const MAX_NAME_UNITS: usize = 31;

/// Writes a text of a cell.
pub(super) fn write_cell_text(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    // A character has at least as many bytes as units.
    if text.len() > MAX_CELL_UNITS && text.encode_utf16().count() > MAX_CELL_UNITS {
        return Err(Refusal::Unrepresentable(
            "a cell has at most 32767 characters: shorten the text in the SQL, or request another format",
        ));
    }
    escape(text, out);
    Ok(())
}

/// Escapes a text for XML. XML has no control characters but tab and line feed; Office Open XML writes them as `_x000D_`
/// (`ST_Xstring`), and the underscore of a text that looks like that as `_x005F_`.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    let mut begin = 0;
    for (at, character) in text.char_indices() {
        let replaced: &[u8] = match character {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '"' => b"&quot;",
            '\t' | '\n' => continue,
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(&text.as_bytes()[begin..at]);
                out.extend_from_slice(format!("_x{:04X}_", u32::from(character)).as_bytes());
                begin = at + character.len_utf8();
                continue;
            }
            '_' if is_escape(&text.as_bytes()[at..]) => b"_x005F_",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[begin..at]);
        out.extend_from_slice(replaced);
        begin = at + character.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[begin..]);
}

/// Whether the text begins like an escaped character: `_x000D_`.
fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'_', b'x', digits @ .., ] if digits.len() >= 5
        && digits[..4].iter().all(u8::is_ascii_hexdigit) && digits[4] == b'_')
}

/// Names of sheets, from the titles of metrics. Sheets of one workbook have different names, also if case is ignored.
pub(in crate::write) fn sheet_names<'a>(titles: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let numbered = |name: &str, number: usize| {
        let suffix = format!(" ({number})");
        cut(name, MAX_NAME_UNITS - suffix.len()).trim_end_matches(is_trimmed).to_owned() + &suffix
    };
    distinct(titles.into_iter().map(sheet_name), numbered)
}

/// The name of a sheet, from the metric's title. Spreadsheets allow no `[]:*?/\`, no apostrophe at the ends, and not the
/// name `History`.
fn sheet_name(title: &str) -> String {
    let is_invalid = |character: char| {
        "[]:*?/\\".contains(character) || character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}')
    };
    let title: String =
        title.trim().chars().map(|character| if is_invalid(character) { '_' } else { character }).collect();
    let name = cut(&title, MAX_NAME_UNITS).trim_matches(is_trimmed);
    match name {
        "" => "Result".to_owned(),
        name if name.eq_ignore_ascii_case("history") => "History_".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether a name may not begin or end with the character.
fn is_trimmed(character: char) -> bool {
    character == '\'' || character.is_whitespace()
}

/// The beginning of the text, with at most this many units of UTF-16.
fn cut(text: &str, max_units: usize) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > max_units
    });
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        write_cell_text(text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_escaped() {
        assert_eq!(escaped("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
        assert_eq!(escaped("é\t\n\r\u{1}\u{ffff}\u{1f600}"), "é\t\n_x000D__x0001__xFFFF_\u{1f600}");
        assert_eq!(escaped("_x000D_ _x00_ _xG000_ __x0041__"), "_x005F_x000D_ _x00_ _xG000_ __x005F_x0041__");
    }

    #[test]
    fn a_longer_text_than_a_cell_holds_is_refused() {
        assert_eq!(escaped(&"é".repeat(MAX_CELL_UNITS)).len(), 2 * MAX_CELL_UNITS);
        for text in ["x".repeat(MAX_CELL_UNITS + 1), "\u{1f600}".repeat(MAX_CELL_UNITS / 2 + 1)] {
            assert!(matches!(write_cell_text(&text, &mut Vec::new()), Err(Refusal::Unrepresentable(_))));
        }
    }

    #[test]
    fn a_title_becomes_a_valid_name() {
        assert_eq!(sheet_name("Cost avoided, daily"), "Cost avoided, daily");
        assert_eq!(sheet_name("a[b]:c*d?e/f\\g\u{1}"), "a_b__c_d_e_f_g_");
        assert_eq!(sheet_name("'quoted'"), "quoted");
        assert_eq!(sheet_name(" "), "Result");
        assert_eq!(sheet_name("history"), "History_");
        assert_eq!(sheet_name(&"x".repeat(40)), "x".repeat(31));
        assert_eq!(sheet_name(&"\u{1f600}".repeat(40)), "\u{1f600}".repeat(15));
    }

    #[test]
    fn titles_that_collide_get_a_number() {
        let long = "Cost of parts, daily, by country and site";
        let titles = ["Results", "Cost", "results", "COST", "cost", "Cost (2)", long, long, "stra\u{df}e", "STRASSE"];
        let expected = [
            "Results",
            "Cost",
            "results (2)",
            "COST (2)",
            "cost (3)",
            "Cost (2) (2)",
            "Cost of parts, daily, by countr",
            "Cost of parts, daily, by co (2)",
            "stra\u{df}e",
            "STRASSE (2)",
        ];
        assert_eq!(sheet_names(titles), expected);
        let names = sheet_names(
            std::iter::repeat_n("\u{1f600}".repeat(40), 120).collect::<Vec<_>>().iter().map(String::as_str),
        );
        assert_eq!(names[119], format!("{} (120)", "\u{1f600}".repeat(12)));
        assert!(names.iter().all(|name| name.encode_utf16().count() <= MAX_NAME_UNITS));
        assert_eq!(
            sheet_names(["a b c d e f g h i j k l m n '", "A B C D E F G H I J K L M N '"])[1],
            "A B C D E F G H I J K L M N (2)"
        );
    }
}
