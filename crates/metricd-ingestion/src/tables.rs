//! Files of rows: chooses their tables and columns, and reads the rows when the store requests them.

mod changes;
mod chosen;
mod columns;
mod file;
mod known;
mod plan;
mod planned;
mod report;
mod rows;

pub(crate) use file::{Pass, TableFile};
pub(crate) use plan::TablePlanner;
pub(crate) use planned::PlannedTable;
pub(crate) use report::report_tables;
pub(crate) use rows::RowReader;
