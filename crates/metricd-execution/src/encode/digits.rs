//! Writes integers as decimal digits, without `fmt`, which would take a fifth of the time of a long result.

/// The two digits of each number below 100.
const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut index, mut tens, mut ones) = (0, b'0', b'0');
    while index < pairs.len() {
        pairs[index] = [tens, ones];
        (index, ones) = (index + 1, ones + 1);
        if ones > b'9' {
            (tens, ones) = (tens + 1, b'0');
        }
    }
    pairs
};

/// Writes a number.
pub(super) fn write_integer(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a number below 10 000, without leading zeros.
pub(super) fn write_short(number: u16, out: &mut Vec<u8>) {
    let zeros = usize::from(number < 1_000) + usize::from(number < 100) + usize::from(number < 10);
    let mut digits = four_digits(number);
    digits.rotate_left(zeros);
    // A copy of a fixed number of bytes needs no call.
    let end = out.len() + digits.len() - zeros;
    out.extend_from_slice(&digits);
    out.truncate(end);
}

/// The last two digits of the number.
pub(super) fn two_digits(number: u16) -> [u8; 2] {
    TWO_DIGITS[usize::from(number % 100)]
}

/// The last four digits of the number.
pub(super) fn four_digits(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (two_digits(number / 100), two_digits(number));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_requested_number_of_digits() {
        for number in 0..10_000_u16 {
            assert_eq!(four_digits(number), *format!("{number:04}").as_bytes());
            assert_eq!(two_digits(number), *format!("{:02}", number % 100).as_bytes());
            let mut out = b"x".to_vec();
            write_short(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{number}"));
        }
        assert_eq!(four_digits(12_345), *b"2345");
        let mut out = Vec::new();
        write_integer(i64::MIN, &mut out);
        assert_eq!(out, b"-9223372036854775808");
    }
}
