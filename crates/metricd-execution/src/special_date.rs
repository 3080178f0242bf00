//! Special date literals: `'now'`, `'today'`, `'tomorrow'` and `'yesterday'`, as PostgreSQL's documentation calls them.
//!
//! PostgreSQL evaluates them when it prepares a statement, not when it runs it.

use crate::Statement;

/// The literals, each with the expression to write instead.
pub(crate) const SPECIAL_DATES: [(&str, &str); 4] =
    [("now", "now()"), ("today", "CURRENT_DATE"), ("tomorrow", "CURRENT_DATE + 1"), ("yesterday", "CURRENT_DATE - 1")];

/// Finds a literal anywhere in a value, and returns its replacement. Quotes and backslashes within the literal, as in
/// ranges, are ignored.
pub(crate) fn special_date_in(value: &str) -> Option<&'static str> {
    let letters: String = value.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    SPECIAL_DATES.iter().find(|(literal, _)| letters.contains(literal)).map(|(_, replacement)| *replacement)
}

/// Finds a literal that is a whole word of a value. Returns it as it is spelled, with its replacement.
pub(crate) fn special_date_as_written(value: &str) -> Option<(String, &'static str)> {
    let plain = value.replace(['"', '\\'], "");
    let mut words = plain.split(|character: char| !character.is_ascii_alphabetic());
    words.find_map(|spelled| {
        let (_, replacement) = SPECIAL_DATES.iter().find(|(literal, _)| literal.eq_ignore_ascii_case(spelled))?;
        Some((spelled.to_owned(), *replacement))
    })
}

/// Whether a constant of the statement may contain a special date literal. False positives are possible, for example
/// for `'known'`.
pub(crate) fn may_have_special_date(statement: &Statement) -> bool {
    let mut text = statement.text().to_owned();
    for blank in statement.blanks().iter().rev() {
        text.replace_range(blank.clone(), " ");
    }
    // Escapes can spell letters, and dollar-quoted strings have no quotes at which to split.
    if text.contains(['\\', '$']) {
        return true;
    }
    let strings: String = text.split('\'').skip(1).step_by(2).collect();
    special_date_in(&strings).is_some()
}

#[cfg(test)]
mod tests {
    use metricd_domain::SqlText;

    use super::*;

    #[test]
    fn special_dates_are_found_in_constants() {
        let may = |sql: &str| may_have_special_date(&Statement::parse(&SqlText::parse(sql).unwrap()).unwrap());
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
