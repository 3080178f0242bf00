//! Words that PostgreSQL takes for a moment of its clock, where it reads a date or a time.

use crate::Statement;

/// The words, and what follows the clock instead.
pub(crate) const MOMENTS: [(&str, &str); 4] =
    [("now", "now()"), ("today", "CURRENT_DATE"), ("tomorrow", "CURRENT_DATE + 1"), ("yesterday", "CURRENT_DATE - 1")];

/// The word in a value, and what follows the clock instead. A range may have quotes and backslashes within the word.
pub(crate) fn moment_in(value: &str) -> Option<&'static str> {
    let letters: String = value.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    MOMENTS.iter().find(|(word, _)| letters.contains(word)).map(|(_, instead)| *instead)
}

/// The word in a value as it is written, if it is one of the value's words, and what follows the clock instead.
pub(crate) fn moment_as_written(value: &str) -> Option<(String, &'static str)> {
    let plain = value.replace(['"', '\\'], "");
    let mut words = plain.split(|character: char| !character.is_ascii_alphabetic());
    words.find_map(|written| {
        let (_, instead) = MOMENTS.iter().find(|(word, _)| word.eq_ignore_ascii_case(written))?;
        Some((written.to_owned(), *instead))
    })
}

/// Whether a constant of the statement may be such a word. Not every one that seems to be is one: `'known'` may be, too.
pub(crate) fn may_name_a_moment(statement: &Statement) -> bool {
    let mut text = statement.text().to_owned();
    for blank in statement.blanks().iter().rev() {
        text.replace_range(blank.clone(), " ");
    }
    // Escapes spell letters otherwise, and a string in dollars has no quotes to be found by.
    if text.contains(['\\', '$']) {
        return true;
    }
    let strings: String = text.split('\'').skip(1).step_by(2).collect();
    moment_in(&strings).is_some()
}

#[cfg(test)]
mod tests {
    use metricd_domain::SqlText;

    use super::*;

    #[test]
    fn moments_are_found_in_constants() {
        let may = |sql: &str| may_name_a_moment(&Statement::parse(&SqlText::parse(sql).unwrap()).unwrap());
        for sql in [
            "SELECT 'now'",
            "SELECT 'Today 10:00'",
            "SELECT 'to'\n'day'",
            "SELECT '[\"n\"ow,)'",
            "SELECT '[n\\ow,)'",
            "SELECT E'n\\157w'",
            "SELECT $$tomorrow$$",
            "-- don't\nSELECT 'yesterday'",
        ] {
            assert!(may(sql), "{sql}");
        }
        for sql in ["SELECT 1", "SELECT now, today FROM t", "-- 'now'\nSELECT 'x' ON owner", "SELECT 'no', 'W'"] {
            assert_eq!(may(sql), sql.ends_with("'W'"), "{sql}");
        }
    }
}
