//! The port of file formats: what an adapter gets in order to write a result as a file.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::{ArchiveFormat, ArchiveMember, EncodeError, RowWriter};

/// A format of result files that an adapter writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// The stream format of Arrow IPC.
    Arrow,
    /// A workbook of Office Open XML.
    Xlsx,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Parquet, Self::Arrow, Self::Xlsx];

    /// The name, which is also the extension of a file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Xlsx => "xlsx",
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// What a file says about its result, besides the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultHead {
    /// The id of the metric.
    pub metric_id: String,
    /// The title of the metric.
    pub title: String,
    /// The id of the metric's query.
    pub query_id: String,
    /// The version of the query's SQL.
    pub query_version: u32,
    /// The descriptions of columns, by name.
    pub descriptions: BTreeMap<String, String>,
    /// The labels of enum types, by the name of the type.
    pub enums: BTreeMap<String, Vec<String>>,
}

/// Writes results as files.
///
/// Several results of one file are written and compressed one by one, also concurrently. At the end they are copied into
/// the file as they are.
///
/// # Contract
///
/// - A file has every row that [`RowWriter::row`] accepted, with every digit and microsecond, or writing fails.
/// - Without [`RowWriter::finish`], the bytes are not a valid file.
/// - A [`Self::writer`] holds a bounded number of bytes, regardless of the number of rows.
/// - A [`Self::member`] accepts rows until what it has written, and what it holds back, would exceed the limit of
///   [`RowWriter::row`]. Compressors hold back a few hundred KiB more.
/// - The same rows make the same bytes.
pub trait FileWriters: Debug + Send + Sync {
    /// Creates a writer for one result.
    fn writer(&self, format: FileFormat, head: ResultHead) -> Box<dyn RowWriter>;

    /// Creates a writer for one result of several. Its output is the content of a
    /// [`MemberContent::Result`](super::MemberContent::Result).
    fn member(&self, format: ArchiveFormat, head: ResultHead) -> Box<dyn RowWriter>;

    /// Names for the members with these heads: from the ids of the metrics in a zip archive, from their titles in a
    /// workbook. They are valid in the format, and differ also if case is ignored.
    fn member_names(&self, format: ArchiveFormat, heads: &[ResultHead]) -> Vec<String>;

    /// Makes the file of the members, in this order. The title is a property of a workbook.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Writer`] if a member is not what a writer of this format writes.
    fn archive(&self, format: ArchiveFormat, title: &str, members: Vec<ArchiveMember>) -> Result<Vec<u8>, EncodeError>;
}
