//! Passes pipelined requests to the web server one at a time.
//!
//! The web server decodes up to 16 pipelined requests before it answers the first, and answers each with properties of
//! the last one that it decoded: HTTP version, `Connection`, and no body after a `HEAD`. The gate therefore holds back
//! the next head until the previous response is written. It only delays bytes; parsing is up to the web server.

use super::chunked::ChunkedParser;
use super::connection::Connection;

/// How much of a header line is kept, without blanks: enough for the headers that give the body's length. Only leading
/// zeros make a length longer; it is then taken as shorter, so that nothing after the request passes.
const MAX_KEPT_LINE_BYTES: usize = 64;

/// The position in the requests of a connection.
#[derive(Debug)]
pub(super) enum Gate {
    /// In a head.
    Head(Head),
    /// In a body.
    Body {
        /// The remaining part of the body.
        body: Body,
        /// How many requests were answered before this one.
        answered: u64,
    },
    /// After a request, until more than `answered` requests are answered.
    Closed {
        /// How many requests were answered before this one.
        answered: u64,
    },
}

/// An incomplete head.
#[derive(Debug, Default)]
pub(super) struct Head {
    line: Vec<u8>,
    is_begun: bool,
    body: Body,
}

/// The framing of the body, with what remains of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Bytes(u64),
    Chunked(ChunkedParser),
}

impl Default for Body {
    fn default() -> Self {
        Self::Bytes(0)
    }
}

impl Body {
    /// Consumes the bytes and returns how many of them belong to the body.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::Bytes(left) => {
                let passed = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= passed as u64;
                passed
            }
            Self::Chunked(chunked) => chunked.pass(bytes),
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Bytes(0) | Self::Chunked(ChunkedParser::End))
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Gate {
    /// Whether bytes may pass. They may not while the client does not read its response.
    pub(super) fn is_open(&mut self, connection: &Connection) -> bool {
        if let Self::Closed { answered } = self {
            if connection.answered() <= *answered || connection.is_blocked() {
                return false;
            }
            *self = Self::default();
        }
        true
    }

    /// Returns how many of the next bytes may pass now.
    pub(super) fn pass(&mut self, bytes: &[u8], answered: u64) -> usize {
        let mut passed = 0;
        while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            match self {
                Self::Closed { .. } => return passed,
                Self::Body { body, answered } => {
                    passed += body.pass(rest);
                    if body.is_over() {
                        *self = Self::Closed { answered: *answered };
                    }
                }
                Self::Head(head) => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let (line, _) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
                    passed += line.len();
                    if let Some(body) = head.line(line, end.is_some()) {
                        *self = if body.is_over() { Self::Closed { answered } } else { Self::Body { body, answered } };
                    }
                }
            }
        }
        passed
    }
}

impl Head {
    /// Consumes a line, or a part of one; returns the framing of the body at the end of the head.
    fn line(&mut self, part: &[u8], is_complete: bool) -> Option<Body> {
        let room = MAX_KEPT_LINE_BYTES.saturating_sub(self.line.len());
        let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t');
        self.line.extend(part.iter().filter(|byte| !is_blank(byte)).take(room).map(u8::to_ascii_lowercase));
        if !is_complete {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        if line.is_empty() {
            // Empty lines before a request are ignored.
            return self.is_begun.then_some(self.body);
        }
        // For `CONNECT` and WebSocket upgrades the web server takes everything that follows as the body, does not need
        // it for the response, and then closes the connection.
        if !self.is_begun {
            self.is_begun = true;
        } else if line.starts_with(b"transfer-encoding:") {
            // The web server accepts no other coding, and none with a length.
            self.body = Body::Chunked(ChunkedParser::default());
        } else if let Some(length) = line.strip_prefix(b"content-length:")
            && let Ok(length) = std::str::from_utf8(length).unwrap_or_default().parse()
        {
            // The web server refuses a length that is not a number.
            self.body = Body::Bytes(length);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\ncontent-LENGTH:  5 \r\n\r\nhello";

    /// How many bytes of the text pass, in chunks of this size, while nothing is answered.
    fn passed(text: &str, size: usize) -> usize {
        let mut gate = Gate::default();
        let mut count = 0;
        for piece in text.as_bytes().chunks(size) {
            let taken = gate.pass(piece, 0);
            count += taken;
            if taken < piece.len() {
                break;
            }
        }
        count
    }

    #[test]
    fn exactly_one_request_passes_in_chunks_of_any_size() {
        let small = format!("\r\n\r\n{GET}");
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\nContent-Length: 3\r\n\r\nabc", "x".repeat(1_000));
        let bare = "GET / HTTP/1.1\nHost: x\n\n";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding:\tchunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
        let blanks = format!("POST / HTTP/1.1\r\nContent-Length:{}3\r\n\r\nabc", " ".repeat(100));
        let upgrade = "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n";
        let empty = "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        for first in [GET, POST, &small, &long, bare, empty, chunked, &blanks, upgrade] {
            for second in [GET, POST] {
                let text = format!("{first}{second}");
                for size in [1, 2, 3, 7, 64, text.len()] {
                    assert_eq!(passed(&text, size), first.len(), "{text:?} by {size}");
                }
            }
        }
    }

    #[test]
    fn nothing_passes_behind_a_request_whose_length_is_not_understood() {
        for header in ["Content-Length: x", "Content-Length: 3, 3"] {
            let head = format!("POST / HTTP/1.1\r\n{header}\r\n\r\n");
            assert_eq!(passed(&format!("{head}{GET}"), 4), head.len(), "{header}");
        }
        let zeros = format!("POST / HTTP/1.1\r\nContent-Length: {}3\r\n\r\n", "0".repeat(100));
        assert_eq!(passed(&format!("{zeros}abc{GET}"), 4), zeros.len());
    }

    #[test]
    fn the_next_request_passes_after_the_response_is_read() {
        let connection = Connection::new(None, Instant::now());
        let mut gate = Gate::default();
        assert!(gate.is_open(&connection));
        assert_eq!(gate.pass(GET.as_bytes(), connection.answered()), GET.len());
        connection.begin_request();
        assert!(!gate.is_open(&connection));
        connection.end_request();
        connection.mark_blocked();
        assert!(!gate.is_open(&connection));
        connection.record_written(1);
        assert!(gate.is_open(&connection));
        // This request is answered before its body has arrived.
        let (head, body) = POST.split_at(POST.len() - 5);
        assert_eq!(gate.pass(head.as_bytes(), connection.answered()), head.len());
        connection.begin_request();
        connection.end_request();
        assert!(gate.is_open(&connection));
        assert_eq!(gate.pass(format!("{body}{GET}").as_bytes(), connection.answered()), 5);
        assert!(gate.is_open(&connection));
    }
}
