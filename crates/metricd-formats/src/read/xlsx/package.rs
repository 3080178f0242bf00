//! The ZIP archive that a workbook is: its parts, and how far each may expand.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Take};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use metricd_ingestion::ReadError;
use zip::{CompressionMethod, ZipArchive};

use crate::read::file::{FileReader, SharedFile};
use crate::read::table::{expands, malformed};

/// The beginning of an OLE file: a workbook of Excel 97, or an encrypted one.
pub(super) const OLE_MAGIC: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// The maximum size of a part other than a sheet and the shared texts.
pub(super) const MAX_PART_BYTES: u64 = 64 << 20;

const MAX_PARTS: usize = 10_000;

/// The maximum ratio of the size of a part to its compressed size.
const MAX_EXPANSION: u64 = 1_000;

/// The size that a part may have at any ratio.
const MIN_EXPANSION_BYTES: u64 = 16 << 20;

/// The maximum size of what is parsed at once: a tag, or the text between two tags.
const MAX_EVENT_BYTES: usize = 16 << 20;

/// A part of the archive.
#[derive(Debug, Clone)]
pub(super) struct Part {
    file: SharedFile,
    name: String,
    start: u64,
    compressed_bytes: u64,
    bytes: u64,
    crc: u32,
    is_deflated: bool,
}

/// The parts of a workbook by their names, in lower case.
#[derive(Debug)]
pub(super) struct Package {
    parts: HashMap<String, Part>,
}

impl Package {
    /// Reads the directory of the archive.
    pub(super) fn open(file: &SharedFile) -> Result<Self, ReadError> {
        let beginning = file.read_exact_at(0, OLE_MAGIC.len()).unwrap_or_default();
        if beginning == OLE_MAGIC {
            let message =
                "the workbook is encrypted, or in the format XLS of Excel 97: save it as XLSX without a password";
            return Err(malformed(message));
        }
        let mut archive = ZipArchive::new(BufReader::new(file.reader_at(0)))
            .map_err(|error| malformed(format!("the workbook is not a complete ZIP archive: {error}")))?;
        if archive.len() > MAX_PARTS {
            return Err(expands(format!("the workbook has {} parts: expected at most {MAX_PARTS}", archive.len())));
        }
        let mut parts = HashMap::new();
        for index in 0..archive.len() {
            let invalid = |error| malformed(format!("a part of the workbook cannot be read: {error}"));
            let entry = archive.by_index_raw(index).map_err(invalid)?;
            let name = entry.name().map_err(invalid)?.to_ascii_lowercase();
            let start = entry.data_start().ok_or_else(|| malformed("a part of the workbook has no position"))?;
            if entry.encrypted() {
                return Err(malformed("the workbook is encrypted: save it without a password"));
            }
            let is_deflated = match entry.compression() {
                CompressionMethod::Stored => false,
                CompressionMethod::Deflated => true,
                other => return Err(malformed(format!("a part of the workbook has the compression {other}"))),
            };
            let part = Part {
                file: file.clone(),
                name: name.clone(),
                start,
                compressed_bytes: entry.compressed_size(),
                bytes: entry.size(),
                crc: entry.crc32(),
                is_deflated,
            };
            if parts.insert(name, part).is_some() {
                return Err(malformed("the workbook has a part twice"));
            }
        }
        Ok(Self { parts })
    }

    /// The part of this name, without regard to case.
    pub(super) fn part(&self, name: &str) -> Option<&Part> {
        self.parts.get(&name.to_ascii_lowercase())
    }
}

impl Part {
    /// The name, in lower case.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens the part at its beginning. It may not have more than `max_bytes`.
    pub(super) fn open(&self, max_bytes: u64) -> Result<PartReader, ReadError> {
        let Self { bytes, compressed_bytes, .. } = *self;
        let is_expanding = bytes > MIN_EXPANSION_BYTES && bytes / MAX_EXPANSION > compressed_bytes;
        if bytes > max_bytes || is_expanding {
            let message = format!(
                "the part `{}` of the workbook expands from {compressed_bytes} to {bytes} bytes: expected at most {} \
                 MiB, and {MAX_EXPANSION} times the compressed size",
                self.name,
                max_bytes >> 20
            );
            return Err(expands(message));
        }
        let input = self.file.reader_at(self.start).take(compressed_bytes);
        let content = if self.is_deflated {
            Content::Deflated(Box::new(DeflateDecoder::new(input)))
        } else {
            Content::Stored(input)
        };
        Ok(PartReader { content, remaining: bytes, crc: Crc::new(), expected_crc: self.crc, budget: MAX_EVENT_BYTES })
    }
}

/// The content of a part.
#[derive(Debug)]
enum Content {
    Stored(Take<FileReader>),
    Deflated(Box<DeflateDecoder<Take<FileReader>>>),
}

/// Reads a part, and checks its size and its checksum.
#[derive(Debug)]
pub(super) struct PartReader {
    content: Content,
    remaining: u64,
    crc: Crc,
    expected_crc: u32,
    budget: usize,
}

impl PartReader {
    /// Allows the parser to read the next tag or text.
    pub(super) fn begin_event(&mut self) {
        self.budget = MAX_EVENT_BYTES;
    }
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message);
        if self.budget == 0 {
            return Err(invalid("a tag or a text is longer than 16 MiB"));
        }
        let length = buffer.len().min(self.budget);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let count = match &mut self.content {
            Content::Stored(content) => content.read(buffer)?,
            Content::Deflated(content) => content.read(buffer)?,
        };
        if count == 0 && !buffer.is_empty() {
            if self.remaining > 0 {
                return Err(invalid("a part is shorter than the directory of the archive says"));
            }
            if self.crc.sum() != self.expected_crc {
                return Err(invalid("the checksum of a part is wrong"));
            }
        }
        self.budget -= count;
        self.crc.update(buffer.get(..count).unwrap_or_default());
        let remaining = self.remaining.checked_sub(count as u64);
        self.remaining = remaining.ok_or_else(|| invalid("a part is longer than the directory of the archive says"))?;
        Ok(count)
    }
}
