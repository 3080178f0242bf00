//! Several results in one file.

use super::FileFormat;

/// A format of several results in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// A zip archive with a CSV file for each result.
    Csv,
    /// A zip archive with an NDJSON file for each result.
    Ndjson,
    /// A zip archive with a Parquet file for each result.
    Parquet,
    /// A zip archive with a stream of Arrow IPC for each result.
    Arrow,
    /// A workbook of Office Open XML with a sheet for each result.
    Xlsx,
}

impl ArchiveFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Ndjson, Self::Parquet, Self::Arrow, Self::Xlsx];

    /// The name of the format, which is also the extension of the files in a zip archive.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => FileFormat::Parquet.name(),
            Self::Arrow => FileFormat::Arrow.name(),
            Self::Xlsx => FileFormat::Xlsx.name(),
        }
    }

    /// Whether the results are sheets of a workbook, not files of a zip archive.
    #[must_use]
    pub fn is_workbook(self) -> bool {
        self == Self::Xlsx
    }

    /// The extension of the name of the file with all results.
    #[must_use]
    pub fn extension(self) -> &'static str {
        if self.is_workbook() { FileFormat::Xlsx.name() } else { "zip" }
    }

    /// The media type of the file with all results.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        if self.is_workbook() { FileFormat::Xlsx.media_type() } else { "application/zip" }
    }
}

/// A part of an archive: a file of a zip archive, or a sheet of a workbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveMember {
    /// A name from [`FileWriters::member_names`](super::FileWriters::member_names), or that of a text, which differs from
    /// them.
    pub name: String,
    /// What it contains.
    pub content: MemberContent,
}

/// The content of a part of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberContent {
    /// Everything that the [writer](super::FileWriters::member) of a result has written.
    Result(Vec<u8>),
    /// A text, which only a zip archive can have.
    Text(Vec<u8>),
}
