//! Explains the choice of a type, and what a person has to decide.

use metricd_domain::ColumnType;

use super::chooser::{ColumnState, Counterexample, Seen};
use super::fits::{
    BIGINT, BOOLEAN, CURRENCY, DATE, DATE_ORDERS, DECIMAL_COMMA, DMY_DASH, DMY_DOT, DMY_SLASH, JSONB, MDY_DASH,
    MDY_SLASH, MONTH_NAME, NUMERIC, PERCENT, THOUSANDS, TIME_MINUTES, TIME_MINUTES_12, TIME_SECONDS, TIME_SECONDS_12,
    TIMESTAMP, TIMESTAMPTZ, TRAILING_MINUS, TYPES, UUID, YEAR_LONG, YES_NO, YMD_DOT, YMD_SLASH,
};
use super::looks::is_null_word;
use crate::CellKind;

/// The types, the first one preferred, with their names for one value and for many.
const PREFERENCE: [(u32, ColumnType, &str, &str); 8] = [
    (BOOLEAN, ColumnType::Boolean, "`true` or `false`", "`true` or `false`"),
    (BIGINT, ColumnType::Bigint, "a whole number", "whole numbers"),
    (NUMERIC, ColumnType::Numeric, "a decimal number", "numbers"),
    (DATE, ColumnType::Date, "a date", "dates"),
    (TIMESTAMP, ColumnType::Timestamp, "a timestamp without an offset", "timestamps without an offset"),
    (TIMESTAMPTZ, ColumnType::Timestamptz, "a timestamp with an offset", "timestamps with an offset"),
    (UUID, ColumnType::Uuid, "a UUID", "UUIDs"),
    (JSONB, ColumnType::Jsonb, "a JSON object or array", "JSON objects or arrays"),
];

/// The type of a column, why it was chosen, and what a person has to decide.
pub(super) fn explain(column: &ColumnState) -> (ColumnType, String, Option<String>) {
    if let Some(declared) = column.declared {
        return (declared, format!("the file declares the type `{declared}`"), None);
    }
    let spelled: u64 = column.null_spellings.iter().map(|spelling| spelling.count).sum();
    let values = column.values - spelled;
    if column.values == 0 {
        let because = if column.empty_texts > 0 { "no values but empty texts" } else { "no values" };
        return (ColumnType::Text, because.to_owned(), None);
    }
    if let Some(other) = &column.decimal_comma_in {
        let because = format!("text: the point separates thousands if the comma is the decimal sign, as in `{other}`");
        let choice = "the values look like numbers, whose point separates thousands or is the decimal sign: pass \
                      `--decimal-comma` if it separates thousands, otherwise declare the type `numeric`";
        return (ColumnType::Text, because, Some(choice.to_owned()));
    }
    let found = PREFERENCE.into_iter().find(|(bit, ..)| column.fits & bit != 0);
    match (found, column.null_spellings.first()) {
        (Some((_, data_type, one, many)), None) => {
            let because = match values {
                1 => format!("the only value is {one}"),
                _ => format!("all {} values are {many}", grouped(values)),
            };
            (data_type, because, None)
        }
        (Some((.., one, many)), Some(spelling)) => {
            let others = match values {
                0 => "and the file has no other value".to_owned(),
                1 => format!("but the other value is {one}"),
                _ => format!("but the other {} values are {many}", grouped(values)),
            };
            let because = format!("text: {}, {others}", at_line(&spelling.first));
            (ColumnType::Text, because, Some(null_choice(column)))
        }
        (None, _) => (ColumnType::Text, why_text(column), notation_choice(column)),
    }
}

fn at_line(seen: &Seen) -> String {
    // A line break in the value would break the line of the report.
    let plain = |character: char| match character {
        character if character.is_control() => character.escape_default().to_string(),
        character => character.to_string(),
    };
    format!("line {} has `{}`", grouped(seen.line), seen.value.chars().map(plain).collect::<String>())
}

fn why_text(column: &ColumnState) -> String {
    let Some(Counterexample { seen, description, before, count }) = &column.counterexample else {
        return "text".to_owned();
    };
    let is_first = *count == 0 || *before == TYPES;
    let description = match description {
        Some(description) => format!(", {description}"),
        None if is_first => String::new(),
        None => ", a text".to_owned(),
    };
    let before = PREFERENCE.into_iter().find(|(bit, ..)| before & bit != 0);
    let before = match (before, &column.first) {
        (Some((.., one, many)), Some(first)) if !is_first => {
            let mixed = if is_mixed(first.kind, seen.kind) { "; the file has values of several kinds" } else { "" };
            match count {
                1 => format!(", and line {} has {one}{mixed}", grouped(first.line)),
                _ => format!(", and the {} values before are {many}{mixed}", grouped(*count)),
            }
        }
        _ => String::new(),
    };
    format!("text: {}{description}{before}", at_line(seen))
}

/// Whether the file itself marks the values as different things.
fn is_mixed(first: CellKind, other: CellKind) -> bool {
    first != other && first != CellKind::Untyped && other != CellKind::Untyped
}

fn null_choice(column: &ColumnState) -> String {
    let counts: Vec<_> = column
        .null_spellings
        .iter()
        .map(|spelling| {
            let verb = if spelling.count == 1 { "value is" } else { "values are" };
            format!("{} {verb} `{}`", grouped(spelling.count), spelling.first.value)
        })
        .collect();
    let options: Vec<_> =
        column.null_spellings.iter().map(|spelling| format!("--null {}", argument(&spelling.first.value))).collect();
    let they = if column.null_spellings.iter().map(|spelling| spelling.count).sum::<u64>() == 1 {
        "it means"
    } else {
        "they mean"
    };
    format!("{}: pass `{}` if {they} no value", counts.join(", "), options.join(" "))
}

/// An argument of a command line, in quotes if necessary.
fn argument(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "%/-.:_".contains(character);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{text}'") }
}

/// The hint for a column of text whose values all have one notation.
fn notation_choice(column: &ColumnState) -> Option<String> {
    let has = |notation: u32| column.fits & notation != 0;
    let choice = if has(DATE_ORDERS) {
        date_choice(column.fits)
    } else if has(DECIMAL_COMMA) && has(THOUSANDS) {
        "the values look like numbers whose comma separates thousands or is the decimal sign: pass `--decimal-comma` if \
         it is the decimal sign, otherwise export them without separators of thousands"
            .to_owned()
    } else if has(DECIMAL_COMMA) {
        "the values look like numbers with a decimal comma: pass `--decimal-comma`".to_owned()
    } else if has(THOUSANDS) {
        "the values look like numbers with separators of thousands: export them as `1234.56`".to_owned()
    } else if has(CURRENCY) {
        "the values look like amounts with a currency: export them as numbers, such as `1200.00`, and declare the `unit`"
            .to_owned()
    } else if has(PERCENT) {
        "the values look like percentages: export them as numbers, and declare the `unit`".to_owned()
    } else if has(TRAILING_MINUS) && column.has_trailing_minus {
        "the values look like numbers with the minus sign at the end: declare the type `numeric`, and `decimal_comma` if \
         the comma is the decimal sign"
            .to_owned()
    } else if has(MONTH_NAME) {
        "the values look like dates with the name of a month: pass their notation, such as \
         `--date-format '%d %b %Y'`; `%b` is the name"
            .to_owned()
    } else if has(YES_NO) {
        "the values look like booleans: declare the type `boolean` if they are".to_owned()
    } else {
        let is_likely = column.null_spellings.iter().any(|spelling| is_null_word(&spelling.first.value));
        return is_likely.then(|| null_choice(column));
    };
    if column.null_spellings.is_empty() {
        return Some(choice);
    }
    Some(format!("{choice}; {}", null_choice(column)))
}

fn date_choice(fits: u32) -> String {
    let has = |notation: u32| fits & notation != 0;
    let (year, year_specifier) = if has(YEAR_LONG) { ("YYYY", "%Y") } else { ("YY", "%y") };
    let time = match () {
        () if has(TIME_SECONDS) => " HH:MM:SS",
        () if has(TIME_MINUTES) => " HH:MM",
        () if has(TIME_SECONDS_12) => " HH:MM:SS AM",
        () if has(TIME_MINUTES_12) => " HH:MM AM",
        () => "",
    };
    let data_type = if time.is_empty() { "date" } else { "timestamp" };
    let orders = [
        (DMY_SLASH, "D/M/Y"),
        (DMY_DOT, "D.M.Y"),
        (DMY_DASH, "D-M-Y"),
        (MDY_SLASH, "M/D/Y"),
        (MDY_DASH, "M-D-Y"),
        (YMD_SLASH, "Y/M/D"),
        (YMD_DOT, "Y.M.D"),
    ];
    let orders: Vec<_> = orders.into_iter().filter(|(order, _)| has(*order)).map(|(_, order)| order).collect();
    let names = orders.iter().map(|order| {
        let name: String = order
            .chars()
            .map(|part| match part {
                'D' => "DD".to_owned(),
                'M' => "MM".to_owned(),
                'Y' => year.to_owned(),
                separator => separator.to_string(),
            })
            .collect();
        name + time
    });
    let options = orders.iter().map(|order| {
        let format: String = order
            .chars()
            .map(|part| match part {
                'D' => "%d".to_owned(),
                'M' => "%m".to_owned(),
                'Y' => year_specifier.to_owned(),
                separator => separator.to_string(),
            })
            .collect();
        format!("`--date-format {}`", argument(&format))
    });
    let (names, options): (Vec<_>, Vec<_>) = (names.collect(), options.collect());
    let (what, also) = if time.is_empty() { ("dates", "") } else { ("timestamps", "; the time is read as well") };
    format!(
        "the values look like {what} as {}: declare the type `{data_type}` with `date_format`, or pass {}{also}",
        names.join(" or "),
        options.join(" or ")
    )
}

/// A number with spaces between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
