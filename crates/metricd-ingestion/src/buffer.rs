//! Reading a file piece by piece into a buffer, for readers that look ahead.

use std::io::{self, Read};

/// How much is read at once.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// What a UTF-8 file may begin with, and which is no part of its text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the next piece behind what the buffer holds. Returns whether the input has ended.
pub(crate) fn fill(buffer: &mut Vec<u8>, input: &mut impl Read) -> io::Result<bool> {
    let filled = buffer.len();
    buffer.resize(filled + READ_BYTES, 0);
    let read = loop {
        match input.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other,
        }
    };
    buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
    Ok(read? == 0)
}

/// The bytes without a byte-order mark at their beginning.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}
