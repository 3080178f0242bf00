//! Reads DER: values, each with a tag and a length before it.

/// The tags that are needed of certificates.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const UTC_TIME: u8 = 0x17;

/// Values that follow one another. The bytes come from the network before anything is verified: every method returns
/// `None` rather than trust a length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

impl<'a> Der<'a> {
    /// The next value, whatever its tag.
    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        self.next().map(|(_, value)| value)
    }

    /// The values within the next value.
    pub(super) fn inner(&mut self) -> Option<Self> {
        self.value().map(Self)
    }

    /// The next value if it has this tag; otherwise nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = self.clone();
        let (_, value) = ahead.next().filter(|(found, _)| *found == tag)?;
        *self = ahead;
        Some(value)
    }

    /// The next value with its tag and its length.
    pub(super) fn whole(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.next()?;
        before.get(..before.len() - self.0.len())
    }

    /// The bytes of a bit string that has no unused bits.
    pub(super) fn bits(&mut self) -> Option<&'a [u8]> {
        self.value()?.strip_prefix(&[0])
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    /// The next value and its tag.
    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first & 0x80 != 0 {
            // The number of bytes of the length. Three are enough for 16 MiB.
            let (bytes, behind) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| (1..=3).contains(&bytes.len()))?;
            length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = behind;
        }
        let (value, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        Some((tag, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_trusts_no_length() {
        let mut der = Der(&[0x30, 3, 1, 1, 0xff, 0x03, 2, 0, 9]);
        let mut inner = der.inner().unwrap();
        assert_eq!((inner.optional(0x02), inner.optional(BOOLEAN)), (None, Some(&[0xff][..])));
        assert_eq!((inner.value(), der.bits(), der.value()), (None, Some(&[9][..]), None));
        let long = [&[0x04, 0x82, 1, 0][..], &[7; 256]].concat();
        assert_eq!(Der(&long).value().map(<[u8]>::len), Some(256));
        assert_eq!(Der(&long).whole(), Some(&long[..]));
        for wrong in [&[][..], &[4], &[4, 1], &[4, 0x80], &[4, 0x84, 0, 0, 0, 1, 7], &[4, 0x82, 1], &[4, 0x81, 9, 1]] {
            assert_eq!(Der(wrong).value(), None, "{wrong:?}");
        }
    }
}
