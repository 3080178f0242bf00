//! Readers of Parquet, Arrow IPC and XLSX.
//!
//! Values have the text that PostgreSQL reads as the same value, to the last digit. A value without such a text is
//! a fault of its row. A file that is truncated, damaged or hostile is an error, and never a part of its rows.
//!
//! # Parquet and Arrow
//!
//! The file declares the types, so that all cells are [`CellKind::Typed`](metricd_ingestion::CellKind::Typed).
//!
//! | type in the file | column | text |
//! |---|---|---|
//! | boolean | `boolean` | `true` |
//! | integers of 8 to 64 bits, unsigned ones of 8 to 32 bits | `bigint` | `-12` |
//! | unsigned integers of 64 bits; decimals of 32 to 256 bits | `numeric` | `12.50`, with the scale of the column |
//! | floats of 16, 32 and 64 bits | `double precision` | the shortest of its width: `0.1`, `1e300`, `NaN`, `-Infinity` |
//! | date of 32 or 64 bits | `date` | `2025-06-01`, `0044-03-15 BC` |
//! | timestamp without a zone; INT96 | `timestamp` | `2025-06-01 12:00:00.000001` |
//! | timestamp with any zone | `timestamptz` | `2025-06-01 12:00:00+00` |
//! | timestamps in nanoseconds, not all whole microseconds | `text` | all nine digits |
//! | time, duration | `text` | `23:59:59.999`, `-100:00:00` |
//! | interval (Arrow only) | `text` | `P1Y2M3DT4.5S` |
//! | text; dictionary of texts; enum | `text` | as it is |
//! | text of the type JSON | `jsonb` | as it is |
//! | bytes | `bytea` | `\x00ff` |
//! | 16 bytes of the type UUID | `uuid` | |
//! | list, struct, map | `jsonb` | numbers with all their digits, dates as `to_jsonb` writes them |
//! | null | `text` | |
//!
//! Dictionaries and runs have the type of their values. A field's metadata `description` or `comment` describes its
//! column. An index of pandas is a column like others, unless it is a range, which pandas does not write.
//!
//! # XLSX
//!
//! No type is declared. The first row with a value names the columns. Columns and trailing rows without a value are left
//! out, and an empty row between others has no values.
//!
//! | cell | kind | text |
//! |---|---|---|
//! | number | `Number` | the shortest decimal without an exponent; all digits of a number that has more than 17 |
//! | number with the format of a date | `Untyped` | `2025-06-01`, or `2025-06-01 12:00:00` for the whole column if any has a time |
//! | number with the format of a time or a duration | `String` | `23:59:59`, `30:00:00` |
//! | boolean | `Boolean` | `true` |
//! | text, also of digits | `String` | without formats |
//! | formula | as its stored value | a fault without one |
//! | error such as `#N/A` | | a fault that names the cell |
//! | empty cell, empty text, all but the first cell of merged ones | `Null` | |
//!
//! # Limits
//!
//! [`table`], [`parquet`], [`arrow`] and [`xlsx`] limit what a file can make them reserve; `docs/file-formats.md` lists
//! the limits. A panic of a library is caught at the edge, and becomes an error.

mod arrow;
mod file;
mod parquet;
mod table;
mod values;
mod xlsx;

use std::sync::Arc;

use metricd_ingestion::TableFormat;

/// The formats, in the order in which they are tried.
#[must_use]
pub fn read_formats() -> Vec<Arc<dyn TableFormat>> {
    vec![Arc::new(parquet::Parquet), Arc::new(arrow::Arrow), Arc::new(xlsx::Xlsx)]
}
