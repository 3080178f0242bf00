//! Number formats: which numbers of a sheet are dates, times or durations.

use std::collections::HashMap;

use metricd_ingestion::ReadError;
use quick_xml::events::Event;

use super::package::{MAX_PART_BYTES, Part};
use super::xml::{Xml, attribute};

/// What a number format shows of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum NumberFormat {
    /// A number, in whatever notation.
    #[default]
    Number,
    /// A date, with or without a time.
    Date,
    /// The time of a day.
    Time,
    /// A duration, such as `[h]:mm`.
    Duration,
}

/// Reads the number formats by the style of cells.
pub(super) fn read(part: &Part) -> Result<Vec<NumberFormat>, ReadError> {
    let mut xml = Xml::open(part, MAX_PART_BYTES)?;
    let mut custom = HashMap::new();
    let mut styles = Vec::new();
    let mut is_cell_style = false;
    loop {
        match xml.next()? {
            Event::Start(element) => match element.local_name().as_ref() {
                "numFmt" => {
                    let id = attribute(&element, "numFmtId")?.unwrap_or_default();
                    custom.insert(id, of_code(&attribute(&element, "formatCode")?.unwrap_or_default()));
                }
                "cellXfs" => is_cell_style = true,
                "xf" if is_cell_style => styles.push(attribute(&element, "numFmtId")?.unwrap_or_default()),
                _ => {}
            },
            Event::End(element) if element.local_name().as_ref() == "cellXfs" => is_cell_style = false,
            Event::Eof => break,
            _ => {}
        }
    }
    Ok(styles.into_iter().map(|id| custom.get(&id).copied().unwrap_or_else(|| of_id(&id))).collect())
}

/// The formats without a code in the workbook. Some numbers are dates in East Asian versions of Excel only.
fn of_id(id: &str) -> NumberFormat {
    match id.parse::<u32>() {
        Ok(14..=17 | 22 | 27..=31 | 36 | 50..=54 | 57 | 58) => NumberFormat::Date,
        Ok(18..=21 | 32..=35 | 45 | 47 | 55 | 56) => NumberFormat::Time,
        Ok(46) => NumberFormat::Duration,
        _ => NumberFormat::Number,
    }
}

/// The meaning of a code such as `yyyy-mm-dd`, by its first section.
fn of_code(code: &str) -> NumberFormat {
    if code.trim().eq_ignore_ascii_case("general") {
        return NumberFormat::Number;
    }
    let (mut has_day, mut has_clock, mut has_month) = (false, false, false);
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        match character {
            ';' => break,
            '"' => drop(characters.by_ref().find(|character| *character == '"')),
            // The next character is shown as it is, or sets a width.
            '\\' | '_' | '*' => drop(characters.next()),
            '[' => {
                let inside: String = characters.by_ref().take_while(|character| *character != ']').collect();
                let inside = inside.to_ascii_lowercase();
                if ['h', 'm', 's'].iter().any(|unit| !inside.is_empty() && inside.trim_matches(*unit).is_empty()) {
                    return NumberFormat::Duration;
                }
            }
            'a' | 'A' => {
                // `AM/PM` and `A/P`.
                let mut ahead = characters.clone();
                if matches!(ahead.next(), Some('m' | 'M')) && ahead.next() == Some('/') {
                    characters.nth(3);
                    has_clock = true;
                } else if characters.as_str().starts_with("/p") || characters.as_str().starts_with("/P") {
                    characters.nth(1);
                    has_clock = true;
                }
            }
            'y' | 'Y' | 'd' | 'D' | 'b' | 'B' => has_day = true,
            'h' | 'H' | 's' | 'S' => has_clock = true,
            // Minutes next to hours or seconds, and months otherwise.
            'm' | 'M' => has_month = true,
            _ => {}
        }
    }
    match (has_day, has_clock, has_month) {
        (true, ..) | (false, false, true) => NumberFormat::Date,
        (false, true, _) => NumberFormat::Time,
        _ => NumberFormat::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dates_times_durations_or_numbers() {
        use NumberFormat::{Date, Duration, Number, Time};
        for (code, expected) in [
            ("General", Number),
            ("0.00", Number),
            ("#,##0.00 [$€-407]", Number),
            ("[Red]-0.00", Number),
            ("0.00E+00", Number),
            ("0 \"days\"", Number),
            ("\\d0", Number),
            ("_d0", Number),
            ("@", Number),
            ("0;yyyy", Number),
            ("yyyy-mm-dd", Date),
            ("DD/MM/YY", Date),
            ("mmm", Date),
            ("[$-407]d. mmmm yyyy", Date),
            ("yyyy-mm-dd hh:mm:ss", Date),
            ("m/d/yy h:mm AM/PM", Date),
            ("h:mm", Time),
            ("mm:ss.0", Time),
            ("h AM/PM", Time),
            ("h:mm A/P", Time),
            ("[h]:mm:ss", Duration),
            ("[mm]:ss", Duration),
            ("[SS].00", Duration),
        ] {
            assert_eq!(of_code(code), expected, "{code}");
        }
    }
}
