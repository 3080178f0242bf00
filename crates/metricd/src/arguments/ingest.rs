//! The arguments of `ingest`.

use std::path::PathBuf;

use clap::Args;
use metricd_domain::{ReadOptions, TableName};

use super::commands::Format;

/// The arguments of `ingest`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct IngestArguments {
    /// Files, or folders with files: definitions (.json), queries (.csv), and tables (.csv, .tsv, .json, .ndjson, .parquet,
    /// .arrow, .xlsx, also .gz and .zst). The content decides which of them a file is.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Store nothing if anything is refused.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Store nothing, and report what would be stored. Without a private PostgreSQL in the data folder, a temporary one
    /// validates the files.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Replace edits made since files last wrote the entry; by default they are kept.
    #[arg(long)]
    pub(crate) overwrite_edits: bool,

    /// Let a file without rows empty the table whose rows it replaces; by default it is refused.
    #[arg(long)]
    pub(crate) allow_empty: bool,

    /// Choose the types of columns again that were chosen from an earlier file, as for a new table.
    #[arg(long, help_heading = "Tables")]
    pub(crate) choose_types: bool,

    /// The format of the report: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// The table that the rows of all files are loaded into. By default each file names its table: `sales.csv` is `sales`.
    #[arg(long, value_name = "NAME", value_parser = |name: &str| TableName::parse(name), help_heading = "Tables")]
    pub(crate) table: Option<TableName>,

    /// The encoding of text files, such as `windows-1252`. UTF-8 by default, and UTF-16 with a byte order mark.
    #[arg(long, value_name = "NAME", help_heading = "Tables")]
    pub(crate) encoding: Option<String>,

    /// The character between the fields of CSV. By default a comma, a semicolon, a tab or a vertical bar is detected.
    #[arg(long, value_name = "CHARACTER", help_heading = "Tables")]
    pub(crate) delimiter: Option<char>,

    /// Read `1.234,56` as a number: a comma is the decimal sign, and points separate thousands.
    #[arg(long, help_heading = "Tables")]
    pub(crate) decimal_comma: bool,

    /// The format of dates and timestamps in text files, such as `%d/%m/%Y` or `%m/%d/%Y %H:%M`. ISO 8601 by default.
    #[arg(long, value_name = "FORMAT", help_heading = "Tables")]
    pub(crate) date_format: Option<String>,

    /// A text that means no value, such as `NA`. May be repeated. An empty field and `\N` always mean no value.
    #[arg(long, value_name = "TEXT", help_heading = "Tables")]
    pub(crate) null: Vec<String>,

    /// The first line of text files has values instead of names: the columns are named `column_1`, `column_2`, …
    #[arg(long, help_heading = "Tables")]
    pub(crate) no_header: bool,

    /// The sheet of workbooks. The first one by default.
    #[arg(long, value_name = "NAME", help_heading = "Tables")]
    pub(crate) sheet: Option<String>,
}

impl IngestArguments {
    /// How files of rows are read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            decimal_comma: self.decimal_comma,
            date_format: self.date_format.clone(),
            nulls: self.null.clone(),
            sheet: self.sheet.clone(),
            no_header: self.no_header,
        }
    }
}
