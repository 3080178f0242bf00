//! Files of records: each row, of CSV or of JSON, under one set of rules.

mod commas;
mod json;
mod values;

use std::borrow::Cow;

use metricd_domain::{Decimal, Label, Location, Record, RecordDate};

use super::csv_faults::{at_column, at_line, judge_header, judge_query_id, judge_text, judge_width, refuse_fault};
use crate::Reason;
use crate::csv::{Columns, CsvRecord};
use crate::findings::Findings;
use crate::kind::RECORD_COLUMNS;

pub(crate) use commas::has_ambiguous_commas;

/// How many columns a record has.
const WIDTH: usize = RECORD_COLUMNS.len();

/// The columns whose values are numbers.
const NUMBERS: [&str; 3] = ["obsolescence", "parts_flagged", "obsolescence_val"];

/// What became of a row.
#[derive(Debug)]
pub(crate) enum JudgedRow {
    /// It is good, and begins on this line.
    Good(u64, Record),
    /// Something in it was refused.
    Refused,
    /// It has no value at all, as rows that spreadsheets leave below a table.
    Blank,
}

/// Judges the rows of one file of records.
#[derive(Debug)]
pub(crate) struct RecordJudge {
    file: String,
    /// Where a CSV row has the columns.
    columns: Option<Columns<WIDTH>>,
    commas: Commas,
    /// The decimal sign of the first number that has one, and its line.
    decimal_sign: Option<(char, u64)>,
    /// Of each column, how many values had blanks around them, and the first line of one.
    padded: [(u64, u64); WIDTH],
    /// Keys of JSON records that were noticed already.
    unknown_keys: Vec<String>,
}

/// What a comma in a number of a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commas {
    /// Nothing, as where they separate fields.
    Wrong,
    /// The decimal sign, unless the numbers before have points.
    Decimal,
    /// The decimal sign or between thousands: nobody can tell.
    Ambiguous,
}

/// The value was refused, and the findings say so.
struct Refused;

/// The texts of a row, in the order of the columns; one that could not be read was refused.
type Texts<'a> = [Result<Cow<'a, str>, Refused>; WIDTH];

/// Where a row is.
#[derive(Debug, Clone, Copy)]
struct Place {
    line: u64,
    /// In an array.
    index: Option<u64>,
}

impl RecordJudge {
    /// Judges the rows under that header, or `None` after saying what is wrong with it.
    pub(crate) fn of_csv(file: &str, header: &CsvRecord<'_>, findings: &mut Findings) -> Option<Self> {
        let columns = judge_header(file, header, RECORD_COLUMNS, findings)?;
        Some(Self { columns: Some(columns), ..Self::of_json(file) })
    }

    /// With what commas in numbers may be.
    pub(crate) fn with_commas(self, commas: Commas) -> Self {
        Self { commas, ..self }
    }

    /// Judges the records of a JSON file.
    pub(crate) fn of_json(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            columns: None,
            commas: Commas::Wrong,
            decimal_sign: None,
            padded: [(0, 0); WIDTH],
            unknown_keys: Vec::new(),
        }
    }

    /// Judges a CSV row; what is wrong with it is in the findings.
    pub(crate) fn judge_csv(&mut self, row: &CsvRecord<'_>, findings: &mut Findings) -> JudgedRow {
        let (line, fields, is_last) = match row {
            CsvRecord::Fields { line, fields, is_last } => (*line, *fields, *is_last),
            CsvRecord::Fault { line, last_line, fault, text } => {
                refuse_fault(&self.file, (*line, *last_line), *fault, text, findings);
                return JudgedRow::Refused;
            }
        };
        let Some(columns) = &self.columns else { return JudgedRow::Refused };
        if !judge_width(&self.file, line, fields, is_last, columns.width, findings) {
            return JudgedRow::Refused;
        }
        let texts = std::array::from_fn(|index| {
            let bytes = fields.get(columns.positions[index]).unwrap_or_default();
            let text = judge_text(bytes, || at_column(&self.file, line, RECORD_COLUMNS[index]), findings);
            text.map(Cow::Borrowed).ok_or(Refused)
        });
        self.judge_texts(Place { line, index: None }, texts, findings)
    }

    /// Says what holds for the whole file, after its last row.
    pub(crate) fn finish(&self, findings: &mut Findings) {
        for (column, (count, line)) in RECORD_COLUMNS.into_iter().zip(self.padded) {
            if count > 0 {
                let values = if count == 1 { "1 value has".to_owned() } else { format!("{count} values have") };
                let message =
                    format!("{values} blanks at the beginning or the end, first here: they are stored without");
                findings.notice(at_column(&self.file, line, column), Reason::TextPadded, message);
            }
        }
        if let Some((',', line)) = self.decimal_sign {
            let message = "numbers have a decimal comma, first here: `12,5` is read as 12.5";
            findings.notice(at_line(&self.file, line), Reason::DecimalComma, message);
        }
    }

    fn location(&self, place: Place) -> Location {
        let pointer = place.index.map(|index| format!("/{index}"));
        Location { pointer, ..at_line(&self.file, place.line) }
    }

    fn judge_texts(&mut self, place: Place, texts: Texts<'_>, findings: &mut Findings) -> JudgedRow {
        for (text, (count, first)) in texts.iter().zip(&mut self.padded) {
            if let Ok(text) = text
                && text.trim().len() < text.len()
            {
                *first = if *count == 0 { place.line } else { *first };
                *count += 1;
            }
        }
        if texts.iter().all(|text| text.as_ref().is_ok_and(|text| text.trim().is_empty())) {
            return JudgedRow::Blank;
        }
        match self.record(place, texts, findings) {
            Ok(record) => JudgedRow::Good(place.line, record),
            Err(Refused) => JudgedRow::Refused,
        }
    }

    /// The record, after saying everything that is wrong with the texts.
    fn record(&mut self, place: Place, texts: Texts<'_>, findings: &mut Findings) -> Result<Record, Refused> {
        let row = self.location(place);
        let mut column = 0;
        let mut fields = texts.map(|text| {
            let name = RECORD_COLUMNS[column];
            column += 1;
            text.map(|text| Field { row: &row, column: name, text, written: None, commas: self.commas })
        });
        if self.commas == Commas::Decimal {
            for field in fields.iter_mut().flatten().filter(|field| NUMBERS.contains(&field.column)) {
                self.decimal_sign = field.with_decimal_point(self.decimal_sign, place.line);
            }
        }
        let [id, date, obsolescence, alert_type, parts_flagged, obsolescence_val, alert_category] = fields;
        let query_id = id.map(|field| judge_query_id(&field.text, || field.location(), findings));
        let date = date.and_then(|field| field.required_date(findings));
        let obsolescence = obsolescence.and_then(|field| field.decimal(findings));
        let alert_type = alert_type.and_then(|field| field.label(findings));
        let parts_flagged = parts_flagged.and_then(|field| field.integer(findings));
        let obsolescence_val = obsolescence_val.and_then(|field| field.decimal(findings));
        let alert_category = alert_category.and_then(|field| field.label(findings));
        Ok(Record {
            query_id: query_id?.ok_or(Refused)?,
            date: date?,
            obsolescence: obsolescence?,
            alert_type: alert_type?,
            parts_flagged: parts_flagged?,
            obsolescence_val: obsolescence_val?,
            alert_category: alert_category?,
        })
    }
}

/// One value of a row. What is empty, or blank, is no value.
struct Field<'a> {
    row: &'a Location,
    column: &'static str,
    text: Cow<'a, str>,
    /// The text as it is written, where that is not the text.
    written: Option<String>,
    commas: Commas,
}

impl Field<'_> {
    fn location(&self) -> Location {
        Location { column: Some(self.column.to_owned()), ..self.row.clone() }
    }

    /// Writes a decimal comma as a point, unless the numbers before have points; returns the decimal sign of the numbers so far.
    fn with_decimal_point(&mut self, sign: Option<(char, u64)>, line: u64) -> Option<(char, u64)> {
        let found = self.text.trim().chars().find(|character| [',', '.'].contains(character));
        let sign = sign.or(found.map(|found| (found, line)));
        // A number with the other sign is left with a comma, which no number has.
        if let Some((',', _)) = sign {
            let swapped = |character| match character {
                ',' => '.',
                '.' => ',',
                other => other,
            };
            let text = self.text.chars().map(swapped).collect();
            self.written = Some(std::mem::replace(&mut self.text, Cow::Owned(text)).into_owned());
        }
        sign
    }

    /// The value that `parse` makes of the text without blanks around it, if there is any.
    fn optional<T>(
        &self,
        findings: &mut Findings,
        parse: impl FnOnce(&str) -> Result<T, (Reason, String)>,
    ) -> Result<Option<T>, Refused> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        parse(text).map(Some).map_err(|(reason, message)| {
            findings.refuse(self.location(), Some(self.written.as_deref().unwrap_or(&self.text)), reason, message);
            Refused
        })
    }

    fn required_date(&self, findings: &mut Findings) -> Result<RecordDate, Refused> {
        self.optional(findings, values::date)?.ok_or_else(|| {
            findings.refuse(self.location(), Some(""), Reason::DateMissing, "the date is missing: expected YYYY-MM-DD");
            Refused
        })
    }

    fn decimal(&self, findings: &mut Findings) -> Result<Option<Decimal>, Refused> {
        self.optional(findings, |text| values::decimal(text).map_err(|fault| self.with_sign(fault)))
    }

    fn integer(&self, findings: &mut Findings) -> Result<Option<i64>, Refused> {
        self.optional(findings, |text| values::integer(text).map_err(|fault| self.with_sign(fault)))
    }

    /// The fault of a number, with the decimal sign that is expected if it is not the usual one.
    fn with_sign(&self, (reason, message): (Reason, String)) -> (Reason, String) {
        if self.written.is_some() && reason == Reason::NumberInvalid {
            let message =
                "the numbers before have a decimal comma: expected digits with a comma, such as `12,50`, or none";
            return (reason, message.to_owned());
        }
        if self.commas == Commas::Ambiguous && commas::is_ambiguous(self.text.trim()) {
            let message = "the comma may separate thousands or be the decimal sign, and no number of the file tells which: \
                           write `1234` for thousands, and `1.234` for a fraction";
            return (Reason::NumberAmbiguous, message.to_owned());
        }
        (reason, message)
    }

    fn label(&self, findings: &mut Findings) -> Result<Option<Label>, Refused> {
        self.optional(findings, values::label)
    }
}
