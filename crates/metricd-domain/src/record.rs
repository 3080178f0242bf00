//! Records: rows of the data that queries read.

use std::fmt;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::{Decimal, QueryId};

/// The maximum number of characters of a [`Label`].
const MAX_LABEL_CHARS: usize = 1_000;

/// The name of a category in a record: 1 to 1 000 characters. NUL is excluded, because PostgreSQL cannot store it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// Why a text is not a [`Label`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// The text is empty.
    #[error("expected at least one character")]
    Empty,
    /// The text has more than 1 000 characters.
    #[error("the text has {chars} characters: expected at most {MAX_LABEL_CHARS}")]
    TooLong {
        /// How many characters the text has.
        chars: usize,
    },
    /// The text has a NUL character, which PostgreSQL cannot store.
    #[error("the text has a NUL character, which PostgreSQL cannot hold")]
    Nul,
}

impl Label {
    /// Validates the text. Nothing is trimmed.
    ///
    /// # Errors
    ///
    /// [`InvalidLabel`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidLabel> {
        if text.is_empty() {
            return Err(InvalidLabel::Empty);
        }
        // A text of at most 1 000 bytes has at most 1 000 characters, so nearly every label needs no count of
        // characters.
        if text.len() > MAX_LABEL_CHARS {
            let chars = text.chars().count();
            if chars > MAX_LABEL_CHARS {
                return Err(InvalidLabel::TooLong { chars });
            }
        }
        if text.contains('\0') {
            return Err(InvalidLabel::Nul);
        }
        Ok(Self(text.to_owned()))
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = InvalidLabel;

    fn try_from(text: String) -> Result<Self, InvalidLabel> {
        Self::parse(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The day of a record, in the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "NaiveDate", into = "NaiveDate")]
pub struct RecordDate(NaiveDate);

/// The day is outside of the years 1 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the year is {year}: expected a year from 1 to 9999")]
pub struct InvalidRecordDate {
    /// The year.
    pub year: i32,
}

impl RecordDate {
    /// Validates a day.
    ///
    /// # Errors
    ///
    /// [`InvalidRecordDate`] if the day is outside of the years 1 to 9999.
    pub fn new(day: NaiveDate) -> Result<Self, InvalidRecordDate> {
        let year = day.year();
        if (1..=9999).contains(&year) { Ok(Self(day)) } else { Err(InvalidRecordDate { year }) }
    }

    /// The day.
    #[must_use]
    pub fn day(self) -> NaiveDate {
        self.0
    }
}

impl TryFrom<NaiveDate> for RecordDate {
    type Error = InvalidRecordDate;

    fn try_from(day: NaiveDate) -> Result<Self, InvalidRecordDate> {
        Self::new(day)
    }
}

impl From<RecordDate> for NaiveDate {
    fn from(date: RecordDate) -> Self {
        date.0
    }
}

impl fmt::Display for RecordDate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A row of `warehouse.metrics`.
///
/// Equal records are not duplicates: a day may have two alerts of one type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The query that reads the row.
    pub query_id: QueryId,
    /// The day of the row.
    pub date: RecordDate,
    /// Obsolescence cost avoided.
    pub obsolescence: Option<Decimal>,
    /// The type of an alert.
    pub alert_type: Option<Label>,
    /// The number of parts that were flagged.
    pub parts_flagged: Option<i64>,
    /// The obsolescence value of the day.
    pub obsolescence_val: Option<Decimal>,
    /// The category of an alert.
    pub alert_category: Option<Label>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_date_is_in_the_years_1_to_9999() {
        let date = |year| RecordDate::new(NaiveDate::from_ymd_opt(year, 12, 31).unwrap()).map(|date| date.to_string());
        assert_eq!(date(1).as_deref(), Ok("0001-12-31"));
        assert_eq!(date(9_999).as_deref(), Ok("9999-12-31"));
        for year in [0, -1, 10_000] {
            assert_eq!(date(year), Err(InvalidRecordDate { year }));
        }
    }

    #[test]
    fn a_label_is_bounded_in_characters_not_bytes() {
        assert!(Label::parse(&"é".repeat(MAX_LABEL_CHARS)).is_ok());
        assert_eq!(Label::parse(&"é".repeat(1_001)), Err(InvalidLabel::TooLong { chars: 1_001 }));
        assert_eq!(Label::parse(""), Err(InvalidLabel::Empty));
        assert_eq!(Label::parse("a\0b"), Err(InvalidLabel::Nul));
    }
}
