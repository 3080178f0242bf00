//! Reads a file in chunks into a buffer, for readers that look ahead.

use std::io::{self, Read};

/// The size of a read, in bytes.
pub(crate) const READ_CHUNK_BYTES: usize = 64 << 10;

/// The byte-order mark of UTF-8, which is not part of the text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Appends the next chunk of the input to the buffer, and returns whether the input has ended.
pub(crate) fn fill(buffer: &mut Vec<u8>, input: &mut impl Read) -> io::Result<bool> {
    let filled = buffer.len();
    buffer.resize(filled + READ_CHUNK_BYTES, 0);
    let read = loop {
        match input.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
    Ok(read? == 0)
}

/// Strips a byte-order mark from the start of the bytes.
pub(crate) fn strip_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}
