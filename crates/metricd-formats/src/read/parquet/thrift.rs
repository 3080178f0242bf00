//! The compact protocol of Thrift, as far as footers and page headers need it. Nothing is allocated.
//!
//! See <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use std::io::{self, Read};

const MAX_NESTING: usize = 32;

/// The types of the compact protocol that are read here.
pub(super) const I32: u8 = 5;
pub(super) const I64: u8 = 6;
pub(super) const LIST: u8 = 9;
pub(super) const STRUCT: u8 = 12;

/// Reads Thrift and counts the bytes.
#[derive(Debug)]
pub(super) struct ThriftReader<R> {
    input: R,
    count: u64,
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "invalid Thrift")
}

impl<R: Read> ThriftReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, count: 0 }
    }

    /// The number of bytes that were read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        self.count += 1;
        Ok(byte[0])
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).ok_or_else(invalid)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid())
    }

    /// An integer of a field or an element.
    pub(super) fn integer(&mut self) -> io::Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// The next field of a structure: its number and type. `None` at the end of the structure.
    pub(super) fn field(&mut self, previous: i64) -> io::Result<Option<(i64, u8)>> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let id = match header >> 4 {
            0 => self.integer()?,
            delta => previous.checked_add(i64::from(delta)).ok_or_else(invalid)?,
        };
        Ok(Some((id, header & 0xf)))
    }

    /// The number of elements of a list, and their type.
    pub(super) fn list(&mut self) -> io::Result<(u64, u8)> {
        let header = self.byte()?;
        let size = match header >> 4 {
            15 => self.varint()?,
            size => size.into(),
        };
        Ok((size, header & 0xf))
    }

    /// Skips the value of a field.
    pub(super) fn skip(&mut self, kind: u8) -> io::Result<()> {
        match kind {
            // Booleans of fields are in the type.
            1 | 2 => Ok(()),
            other => self.skip_element(other, 0),
        }
    }

    fn skip_element(&mut self, kind: u8, depth: usize) -> io::Result<()> {
        if depth > MAX_NESTING {
            return Err(invalid());
        }
        match kind {
            1..=3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            LIST | 10 => {
                let (size, kind) = self.list()?;
                (0..size).try_for_each(|_| self.skip_element(kind, depth + 1))
            }
            11 => {
                let size = self.varint()?;
                let kinds = if size == 0 { 0 } else { self.byte()? };
                (0..size).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth + 1)?;
                    self.skip_element(kinds & 0xf, depth + 1)
                })
            }
            STRUCT => {
                let mut id = 0;
                while let Some((next, kind)) = self.field(id)? {
                    id = next;
                    if !matches!(kind, 1 | 2) {
                        self.skip_element(kind, depth + 1)?;
                    }
                }
                Ok(())
            }
            16 => self.skip_bytes(16),
            _ => Err(invalid()),
        }
    }

    fn skip_bytes(&mut self, length: u64) -> io::Result<()> {
        let copied = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
        self.count += copied;
        if copied < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
