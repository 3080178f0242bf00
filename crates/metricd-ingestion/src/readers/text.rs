//! Decodes text files to UTF-8. Nothing is replaced: what the encoding does not allow is an error.

use std::fmt;
use std::io::{self, Read, Seek};

use encoding_rs::{Decoder, DecoderResult, Encoding, REPLACEMENT, UTF_8};

use crate::buffer::READ_CHUNK_BYTES;
use crate::source::ContentFault;
use crate::{ReadError, ReadSeek, Reason};

/// A text file as UTF-8. Without a declared encoding, bytes are passed on as they are, unless a byte order mark shows
/// UTF-16.
pub(super) struct TextInput {
    file: Box<dyn ReadSeek>,
    /// `None` for UTF-8, which the readers check.
    decoding: Option<Decoding>,
}

struct Decoding {
    encoding: &'static Encoding,
    decoder: Decoder,
    undecoded: Vec<u8>,
    decoded: String,
    /// The position in `decoded` of the text that was not read yet.
    start: usize,
    /// The number of bytes of the file before those in `undecoded`.
    offset: u64,
    has_ended: bool,
}

/// The encoding with this name.
pub(super) fn find_encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes())
        .filter(|encoding| *encoding != REPLACEMENT)
        .ok_or_else(|| format!("`{label}` is not an encoding: expected a name such as `windows-1252` or `utf-16le`"))
}

impl TextInput {
    /// Opens a file at its beginning. `label` is the name of its encoding.
    pub(super) fn open(mut file: Box<dyn ReadSeek>, label: Option<&str>) -> Result<Self, ReadError> {
        let encoding = label.map(find_encoding).transpose();
        let encoding = encoding.map_err(|message| ReadError::content(Reason::FileEncoding, message))?.unwrap_or(UTF_8);
        let mut beginning = Vec::new();
        file.by_ref().take(3).read_to_end(&mut beginning)?;
        file.rewind()?;
        // The mark is more reliable than the declaration.
        let encoding = Encoding::for_bom(&beginning).map_or(encoding, |(encoding, _)| encoding);
        let decoding = (encoding != UTF_8).then(|| Decoding::new(encoding));
        Ok(Self { file, decoding })
    }

    /// Returns to the beginning.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.decoding = self.decoding.take().map(|decoding| Decoding::new(decoding.encoding));
        self.file.rewind()
    }
}

impl Read for TextInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.decoding {
            None => self.file.read(buffer),
            Some(decoding) => decoding.read(&mut self.file, buffer),
        }
    }
}

impl fmt::Debug for TextInput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoding = self.decoding.as_ref().map_or(UTF_8, |decoding| decoding.encoding);
        formatter.debug_struct("TextInput").field("encoding", &encoding.name()).finish_non_exhaustive()
    }
}

impl Decoding {
    fn new(encoding: &'static Encoding) -> Self {
        Self {
            encoding,
            decoder: encoding.new_decoder_with_bom_removal(),
            undecoded: vec![0; READ_CHUNK_BYTES],
            decoded: String::new(),
            start: 0,
            offset: 0,
            has_ended: false,
        }
    }

    fn read(&mut self, file: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
        while self.start == self.decoded.len() && !self.has_ended {
            self.decode(file)?;
        }
        let decoded = &self.decoded.as_bytes()[self.start..];
        let count = decoded.len().min(buffer.len());
        buffer[..count].copy_from_slice(&decoded[..count]);
        self.start += count;
        Ok(count)
    }

    /// Decodes the next bytes of the file.
    fn decode(&mut self, file: &mut dyn Read) -> io::Result<()> {
        let count = file.read(&mut self.undecoded)?;
        self.decoded.clear();
        self.start = 0;
        let needed = self.decoder.max_utf8_buffer_length_without_replacement(count);
        self.decoded.reserve(needed.unwrap_or(4 * READ_CHUNK_BYTES));
        let bytes = &self.undecoded[..count];
        let (result, read) = self.decoder.decode_to_string_without_replacement(bytes, &mut self.decoded, count == 0);
        if let DecoderResult::Malformed(length, after) = result {
            let end = self.offset + read as u64 - u64::from(after);
            let byte = (end + 1).saturating_sub(u64::from(length));
            let message =
                format!("byte {byte} of the file is not {}: pass its encoding as `--encoding`", self.encoding.name());
            return Err(ContentFault { reason: Reason::FileEncoding, message }.into());
        }
        self.offset += count as u64;
        self.has_ended = count == 0;
        Ok(())
    }
}

/// The beginning of a file as text, if its first bytes show UTF-16.
pub(super) fn decoded_beginning(beginning: &[u8]) -> Option<String> {
    let (encoding, _) = Encoding::for_bom(beginning).filter(|(encoding, _)| *encoding != UTF_8)?;
    Some(encoding.decode_with_bom_removal(beginning).0.into_owned())
}
