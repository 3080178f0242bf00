//! Decompresses files, as a layer below their format.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use flate2::read::MultiGzDecoder;

use crate::source::ContentFault;
use crate::{ReadError, ReadSeek, Reason};

/// The magic bytes of gzip.
const GZIP: &[u8] = b"\x1f\x8b";

/// The magic bytes of zstd.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// The size that any file may expand to.
const FREE_BYTES: u64 = 64 << 20;

/// The greatest ratio of the size of a file to its compressed size, if it is greater than [`FREE_BYTES`].
const MAX_RATIO: u64 = 1_000;

/// The content of a file that is compressed with gzip or zstd, and any other file as it is. The file is recognised by
/// its first bytes.
///
/// A reader of decompressed content can only seek to the beginning, which decompresses the file again.
///
/// # Errors
///
/// [`ReadError`] if the file cannot be read. Reading fails with [`Reason::FileExpands`] if the file expands to more
/// than 64 MiB and more than 1 000 times its size, and with [`Reason::FileMalformed`] if it is damaged.
pub fn decompress(mut file: Box<dyn ReadSeek>) -> Result<Box<dyn ReadSeek>, ReadError> {
    let mut beginning = Vec::new();
    file.by_ref().take(4).read_to_end(&mut beginning)?;
    file.rewind()?;
    let compression = match beginning.as_slice() {
        beginning if beginning.starts_with(GZIP) => Compression::Gzip,
        beginning if beginning.starts_with(ZSTD) => Compression::Zstd,
        _ => return Ok(file),
    };
    let stream = Some(Stream::new(compression, Counted { file, count: 0 })?);
    Ok(Box::new(Decompressed { compression, stream, written: 0 }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

/// A compressed file, and the number of bytes that were read from it.
struct Counted {
    file: Box<dyn ReadSeek>,
    count: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

enum Stream {
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
    Zstd(zstd::Decoder<'static, BufReader<Counted>>),
}

impl Stream {
    fn new(compression: Compression, file: Counted) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
            Compression::Zstd => Self::Zstd(zstd::Decoder::new(file)?),
        })
    }

    fn compressed_bytes(&self) -> u64 {
        match self {
            Self::Gzip(decoder) => decoder.get_ref().get_ref().count,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().count,
        }
    }

    fn into_file(self) -> Box<dyn ReadSeek> {
        match self {
            Self::Gzip(decoder) => decoder.into_inner().into_inner().file,
            Self::Zstd(decoder) => decoder.finish().into_inner().file,
        }
    }
}

/// Decompressed content.
struct Decompressed {
    compression: Compression,
    /// `None` after the file could not be reopened.
    stream: Option<Stream>,
    written: u64,
}

impl fmt::Debug for Decompressed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decompressed").field("compression", &self.compression).finish_non_exhaustive()
    }
}

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Err(io::ErrorKind::NotConnected.into()) };
        let result = match stream {
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
        };
        let count = result.map_err(|error| explain(error, self.compression))?;
        self.written += count as u64;
        if self.written > FREE_BYTES && self.written / MAX_RATIO > stream.compressed_bytes() {
            let message = format!(
                "the compressed file expands to more than {MAX_RATIO} times its size: decompress it if that is right"
            );
            return Err(ContentFault { reason: Reason::FileExpands, message }.into());
        }
        Ok(count)
    }
}

/// The error of damaged content. An error of the operating system is returned as it is.
fn explain(error: io::Error, compression: Compression) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
        return error;
    }
    let name = match compression {
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    let message = format!("the {name} data is damaged or ends early: {error}");
    ContentFault { reason: Reason::FileMalformed, message }.into()
}

impl Seek for Decompressed {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match position {
            SeekFrom::Current(0) => Ok(self.written),
            SeekFrom::Start(0) => {
                let Some(stream) = self.stream.take() else { return Err(io::ErrorKind::NotConnected.into()) };
                let mut file = stream.into_file();
                file.rewind()?;
                self.stream = Some(Stream::new(self.compression, Counted { file, count: 0 })?);
                self.written = 0;
                Ok(0)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a compressed file can only be read from its beginning: decompress it",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use flate2::Compression as Level;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(file: Vec<u8>) -> Result<Vec<u8>, ReadError> {
        let mut content = Vec::new();
        decompress(Box::new(Cursor::new(file)))?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn reason(file: Vec<u8>) -> Reason {
        match read(file).unwrap_err() {
            ReadError::Content { reason, .. } => reason,
            ReadError::Io(error) => panic!("{error}"),
        }
    }

    #[test]
    fn compressed_files_are_recognised_by_their_content() {
        let content = b"a,b\n1,2\n".repeat(1_000);
        assert_eq!(read(gzip(&content)).unwrap(), content);
        assert_eq!(read([gzip(b"a,b\n"), gzip(b"1,2\n")].concat()).unwrap(), b"a,b\n1,2\n");
        assert_eq!(read(zstd::encode_all(content.as_slice(), 1).unwrap()).unwrap(), content);
        assert_eq!(read(content.clone()).unwrap(), content);
        assert_eq!(read(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn a_compressed_file_can_be_read_again_from_its_beginning() {
        for file in [gzip(b"a,b\n"), zstd::encode_all(&b"a,b\n"[..], 1).unwrap()] {
            let mut file = decompress(Box::new(Cursor::new(file))).unwrap();
            for _ in 0..2 {
                let mut content = String::new();
                file.read_to_string(&mut content).unwrap();
                assert_eq!((content.as_str(), file.stream_position().unwrap()), ("a,b\n", 4));
                file.rewind().unwrap();
            }
            assert_eq!(file.seek(SeekFrom::End(0)).unwrap_err().kind(), io::ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let file = gzip(&b"a,b\n1,2\n".repeat(100));
        assert_eq!(reason(file[..file.len() - 9].to_vec()), Reason::FileMalformed);
        let mut damaged = file.clone();
        damaged[12] ^= 0xff;
        assert_eq!(reason(damaged), Reason::FileMalformed);
        let file = zstd::encode_all(&b"a,b\n1,2\n".repeat(100)[..], 1).unwrap();
        assert_eq!(reason(file[..file.len() - 4].to_vec()), Reason::FileMalformed);
    }

    #[test]
    fn a_file_that_expands_without_end_is_refused() {
        let file = zstd::encode_all(io::repeat(b'a').take(80 << 20), 1).unwrap();
        assert!(file.len() < 20_000);
        let mut content = decompress(Box::new(Cursor::new(file))).unwrap();
        let error = io::copy(&mut content, &mut io::sink()).unwrap_err();
        assert!(matches!(error.into(), ReadError::Content { reason: Reason::FileExpands, .. }));
        let small = zstd::encode_all(io::repeat(b'a').take(32 << 20), 1).unwrap();
        assert_eq!(read(small).unwrap().len(), 32 << 20);
    }
}
