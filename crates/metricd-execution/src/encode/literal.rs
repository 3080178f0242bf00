//! Short texts that are written for each row.
//!
//! A result has many of them. A copy of variable length is a function call, which costs more than the copying. So a
//! fixed number of bytes is copied inline, and the surplus is truncated.

/// Texts up to this length are copied as this many bytes.
const COPIED_BYTES: usize = 32;

/// Writes the first `count` of these bytes.
pub(super) fn push_short<const N: usize>(bytes: &[u8; N], count: usize, out: &mut Vec<u8>) {
    let end = out.len() + count;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// A text that is written many times.
#[derive(Debug)]
pub(super) enum Literal {
    Short { padded: [u8; COPIED_BYTES], count: usize },
    Long(Vec<u8>),
}

impl Literal {
    pub(super) fn new(text: Vec<u8>) -> Self {
        let mut padded = [0; COPIED_BYTES];
        match padded.get_mut(..text.len()) {
            Some(begin) => {
                begin.copy_from_slice(&text);
                Self::Short { padded, count: text.len() }
            }
            None => Self::Long(text),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Short { padded, count } => push_short(padded, *count, out),
            Self::Long(text) => out.extend_from_slice(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_is_written_whole() {
        for count in 0..100 {
            let text: Vec<u8> = (0..count).collect();
            let mut out = b"before".to_vec();
            Literal::new(text.clone()).write(&mut out);
            assert_eq!(out, [b"before", text.as_slice()].concat());
        }
    }
}
