//! Finds the end of a chunked body (RFC 9112, section 7.1).

/// The position in a chunked body.
///
/// Accepts everything that the web server accepts, byte for byte. It may accept more of a body that the web server
/// refuses; such a request is the last one of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChunkedParser {
    /// In the digits of a chunk's size, with the size so far.
    Size(u64),
    /// After the digits, before the end of the line.
    Extension(u64),
    /// In a chunk, or in the line break after it, with this many bytes remaining.
    Data(u64),
    /// After the last chunk, in a trailer line.
    Trailer {
        /// Whether the line is empty so far; an empty line ends the body.
        is_empty: bool,
    },
    /// In the line break of a trailer line.
    LineFeed {
        /// Whether it ends the body.
        is_last: bool,
    },
    /// After the body.
    End,
}

impl Default for ChunkedParser {
    fn default() -> Self {
        Self::Size(0)
    }
}

impl ChunkedParser {
    /// Consumes the bytes and returns how many of them belong to the body.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while let Some(byte) = bytes.get(passed) {
            if let Self::Data(left) = self
                && *left > 1
            {
                // All but the last byte in one step.
                let taken = usize::try_from(*left - 1).unwrap_or(usize::MAX).min(bytes.len() - passed);
                (passed, *left) = (passed + taken, *left - taken as u64);
                continue;
            }
            *self = match (*self, byte) {
                (Self::End, _) => return passed,
                (Self::Size(0) | Self::Extension(0), b'\n') | (Self::LineFeed { is_last: false }, _) => {
                    Self::Trailer { is_empty: true }
                }
                (Self::Size(size) | Self::Extension(size), b'\n') => Self::Data(size.saturating_add(2)),
                (Self::Size(size), byte) => match char::from(*byte).to_digit(16) {
                    Some(digit) => Self::Size(size.saturating_mul(16).saturating_add(digit.into())),
                    None => Self::Extension(size),
                },
                (Self::Extension(size), _) => Self::Extension(size),
                (Self::Data(_), _) => Self::Size(0),
                (Self::Trailer { is_empty }, b'\r') => Self::LineFeed { is_last: is_empty },
                (Self::Trailer { .. }, _) => Self::Trailer { is_empty: false },
                (Self::LineFeed { is_last: true }, _) => Self::End,
            };
            passed += 1;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_after_its_last_chunk_and_trailers() {
        let body = [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
            "00A ;a=\"b\"\r\n0123456789\r\n000;x\r\n\r\n",
            "1\r\n\n\r\n0\r\nA: b\r\nC:\n d\r\n\r\n",
        ];
        for body in body {
            for next in ["GET / HTTP/1.1\r\n\r\n", "0\r\n\r\n", "\r\n"] {
                for size in [1, 2, 3, 1_000] {
                    let (text, mut chunked, mut passed) = (format!("{body}{next}"), ChunkedParser::default(), 0);
                    for piece in text.as_bytes().chunks(size) {
                        passed += chunked.pass(piece);
                    }
                    assert_eq!((passed, chunked), (body.len(), ChunkedParser::End), "{text:?} by {size}");
                }
            }
        }
    }

    #[test]
    fn a_chunk_size_that_overflows_never_ends() {
        let mut chunked = ChunkedParser::default();
        let body = format!("{}\r\n{}", "f".repeat(17), "0\r\n\r\n".repeat(100));
        assert_eq!(chunked.pass(body.as_bytes()), body.len());
        assert_ne!(chunked, ChunkedParser::End);
    }
}
