//! Whole numbers in decimal digits, without the machinery of `fmt`, which a long result would spend a fifth of its time in.

/// Writes the number.
pub(super) fn write_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the number, which is not negative, with zeros before it up to that many digits.
pub(super) fn write_padded(number: i64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_least_as_many_digits_as_asked_for() {
        let padded = |number, width| {
            let mut out = Vec::new();
            write_padded(number, width, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!([padded(0, 2), padded(7, 4), padded(12_345, 4)], ["00", "0007", "12345"]);
        assert_eq!([padded(7, 2), padded(10, 2), padded(99, 2), padded(100, 2)], ["07", "10", "99", "100"]);
        let mut out = Vec::new();
        write_integer(i64::MIN, &mut out);
        assert_eq!(out, b"-9223372036854775808");
    }
}
