//! Reads CSV (RFC 4180) record by record, locates faults, and resumes after them.

mod faults;
mod fields;
mod header;
mod records;
mod scan;

pub(crate) use faults::explain_width;
pub(crate) use fields::Fields;
pub(crate) use header::{Columns, Header, HeaderFault};
pub(crate) use records::{CsvFault, CsvRecord, CsvRecords, MAX_RECORD_BYTES};
