//! CSV (RFC 4180) as it really arrives: read record by record, with the place of each fault, and going on after it.

mod fields;
mod header;
mod records;
mod scan;

pub(crate) use fields::Fields;
pub(crate) use header::{Columns, Header, HeaderFault};
pub(crate) use records::{CsvFault, CsvRecord, CsvRecords, MAX_RECORD_BYTES};
