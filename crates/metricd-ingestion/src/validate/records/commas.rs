//! Detects the meaning of commas in the numbers of a file whose fields are not separated by commas.

use std::io::{self, Read};

use super::{NUMBER_COLUMNS, RECORD_COLUMNS};
use crate::csv::{CsvRecord, CsvRecords, Header};

/// What one number shows about the commas of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comma {
    /// The number has no comma, or a comma that shows nothing.
    None,
    /// The comma may separate thousands, as in `1,234`.
    Ambiguous,
    /// The comma is the decimal sign, as in `12,5`.
    Decimal,
}

/// Whether every comma in the numbers may separate thousands, so that `1,234` is either 1234 or 1.234. It stops reading
/// at the first number whose comma is the decimal sign.
pub(crate) fn has_ambiguous_commas(mut records: CsvRecords<impl Read>) -> io::Result<bool> {
    let Some(CsvRecord::Fields { fields, .. }) = records.next()? else { return Ok(false) };
    let Ok(columns) = Header::new(fields).locate(RECORD_COLUMNS) else { return Ok(false) };
    let is_number = |(column, _): &(&str, usize)| NUMBER_COLUMNS.contains(column);
    let numbers: Vec<_> = RECORD_COLUMNS.into_iter().zip(columns.positions).filter(is_number).collect();
    let mut is_ambiguous = false;
    while let Some(record) = records.next()? {
        let CsvRecord::Fields { fields, .. } = record else { continue };
        for (_, position) in &numbers {
            let text = std::str::from_utf8(fields.get(*position).unwrap_or_default()).unwrap_or_default();
            match comma(text.trim()) {
                Comma::None => {}
                Comma::Ambiguous => is_ambiguous = true,
                Comma::Decimal => return Ok(false),
            }
        }
    }
    Ok(is_ambiguous)
}

/// Whether the commas of one number may separate thousands.
pub(super) fn is_ambiguous(number: &str) -> bool {
    comma(number) == Comma::Ambiguous
}

fn comma(number: &str) -> Comma {
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    match digits.split_once(',') {
        Some(_) if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b',') => Comma::None,
        // A number cannot have two decimal signs.
        Some((_, rest)) if rest.contains(',') => Comma::Ambiguous,
        Some((first, rest)) if (1..=3).contains(&first.len()) && !first.starts_with('0') && rest.len() == 3 => {
            Comma::Ambiguous
        }
        Some(_) => Comma::Decimal,
        None => Comma::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_after_a_comma_may_be_thousands() {
        for ambiguous in ["1,234", "-12,000", "999,999,999", "12,34,567"] {
            assert_eq!(comma(ambiguous), Comma::Ambiguous, "{ambiguous}");
        }
        for decimal in ["12,5", "1234,567", "-0,50", ",125", "1,2345", "1,", "0,125"] {
            assert_eq!(comma(decimal), Comma::Decimal, "{decimal}");
        }
        for other in ["", "7", "1.5", "1.234,50", "a,b", "1,234.50"] {
            assert_eq!(comma(other), Comma::None, "{other}");
        }
    }
}
