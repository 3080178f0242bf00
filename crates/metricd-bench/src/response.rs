//! Parses HTTP/1.1 responses, as far as the servers that the benchmark starts need it.

use anyhow::{Context, Result, ensure};

/// The status of a response without a body, even if it has a `Content-Length`.
pub(crate) const NOT_MODIFIED: u16 = 304;

/// The head of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The size of the head, with the empty line at its end.
    pub(crate) size_bytes: usize,
    pub(crate) body_bytes: usize,
}

impl Head {
    /// Parses the head at the start of the bytes. `None` if the head is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&bytes[..end]).context("the head of a response is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3));
        let status = status.and_then(|status| status.parse().ok()).context("a response has no status")?;
        if status == NOT_MODIFIED {
            return Ok(Some(Self { status, size_bytes: end + 4, body_bytes: 0 }));
        }
        let mut lengths = lines.filter_map(|line| value_of("content-length", line));
        let length = lengths.next().context("a response has no Content-Length")?;
        ensure!(lengths.next().is_none(), "a response has two Content-Length headers");
        let body_bytes = length.parse().with_context(|| format!("a response has the Content-Length `{length}`"))?;
        Ok(Some(Self { status, size_bytes: end + 4, body_bytes }))
    }
}

/// The value of the header with this name.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    std::str::from_utf8(head).ok()?.split("\r\n").find_map(|line| value_of(name, line))
}

fn value_of<'a>(name: &str, line: &'a str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then_some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_status_and_length() {
        let bytes = b"HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-LENGTH:  17\r\n\r\n{\"a\"";
        assert_eq!(Head::parse(bytes).unwrap(), Some(Head { status: 200, size_bytes: 48, body_bytes: 17 }));
    }

    #[test]
    fn a_304_response_has_no_body() {
        for length in ["", "Content-Length: 17\r\n"] {
            let bytes = format!("HTTP/1.1 304 Not Modified\r\n{length}ETag: \"a\"\r\n\r\n");
            let expected = Head { status: 304, size_bytes: bytes.len(), body_bytes: 0 };
            assert_eq!(Head::parse(bytes.as_bytes()).unwrap(), Some(expected));
            assert_eq!(header(bytes.as_bytes(), "etag"), Some("\"a\""));
            assert_eq!(header(bytes.as_bytes(), "age"), None);
        }
    }

    #[test]
    fn an_incomplete_head_is_none() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(Head::parse(&bytes[..end]).unwrap(), None, "{end}");
        }
        assert!(Head::parse(bytes).unwrap().is_some());
    }

    #[test]
    fn malformed_heads_are_errors() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "ICY 200 OK\r\nContent-Length: 1\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert!(Head::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
