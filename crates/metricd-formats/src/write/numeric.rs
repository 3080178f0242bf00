//! Decodes `numeric` as a decimal of a fixed scale, without losing a digit.

use metricd_execution::DeclaredDigits;

use super::Refusal;

/// The most digits of a decimal: more do not fit into 128 bits.
const MAX_DIGITS: u16 = 38;

/// The digits after the point of a `numeric` whose type declares none. PostgreSQL's averages and quotients of numbers
/// down to 0.0001 have at most as many.
const UNDECLARED_SCALE: u8 = 20;

/// The digits of the decimals of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimals {
    pub(super) precision: u8,
    pub(super) scale: u8,
    /// Whether the type of the column declares them.
    is_declared: bool,
}

impl Decimals {
    /// The decimals that hold every finite value of the type; `None` if no decimal does. Without declared digits, there
    /// are 18 before and 20 after the point.
    pub(super) fn of(declared: Option<DeclaredDigits>) -> Option<Self> {
        let Some(DeclaredDigits { precision, scale }) = declared else {
            return Some(Self { precision: 38, scale: UNDECLARED_SCALE, is_declared: false });
        };
        // A negative scale rounds before the point; a scale above the precision begins with zeros.
        let before = precision.checked_add_signed(-scale).unwrap_or(0);
        let after = u16::try_from(scale).unwrap_or(0);
        let precision = before.saturating_add(after).max(1);
        let small = |digits: u16| u8::try_from(digits).ok();
        (precision <= MAX_DIGITS)
            .then(|| Some(Self { precision: small(precision)?, scale: small(after)?, is_declared: true }))?
    }

    /// The value in units of the last digit.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<i128, Refusal> {
        let Numeric { weight, is_negative, digits } = Numeric::parse(bytes)?;
        let mut value = 0_i128;
        let mut exponent = i32::from(weight) * 4 + i32::from(self.scale);
        let mut digits = digits.iter().map(|digit| i128::from(u16::from_be_bytes(*digit)));
        let does_not_fit = || Refusal::Unrepresentable(self.too_many_digits());
        // While all four digits of a group are kept, each group shifts those before it.
        let mut last_exponent = exponent.max(0);
        for digit in digits.by_ref() {
            if exponent < 0 {
                // A group at the last digit, or after it.
                let cut = u32::try_from(-exponent).unwrap_or(u32::MAX);
                let unit = 10_i128.checked_pow(cut.min(4)).unwrap_or(1);
                if digit % unit != 0 {
                    return Err(does_not_fit());
                }
                if cut < 4 {
                    let shifted = value.checked_mul(10_i128.pow(4 - cut));
                    value = shifted.and_then(|value| value.checked_add(digit / unit)).ok_or_else(does_not_fit)?;
                    last_exponent = 0;
                }
            } else {
                value =
                    value.checked_mul(10_000).and_then(|value| value.checked_add(digit)).ok_or_else(does_not_fit)?;
                last_exponent = exponent;
            }
            exponent -= 4;
        }
        if value != 0 {
            let shift = u32::try_from(last_exponent).ok().and_then(|exponent| 10_i128.checked_pow(exponent));
            value = shift.and_then(|shift| value.checked_mul(shift)).ok_or_else(does_not_fit)?;
        }
        if value >= 10_i128.pow(u32::from(self.precision)) {
            return Err(does_not_fit());
        }
        Ok(if is_negative { -value } else { value })
    }

    fn too_many_digits(self) -> &'static str {
        if self.is_declared {
            "it has more digits than its type declares"
        } else {
            "a number has more than 18 digits before or 20 after the point, and the type `numeric` declares no digits: cast the \
             column to a type such as numeric(38,6) or round it in the SQL, or request `numbers=string`"
        }
    }
}

/// A finite `numeric`: the sum of `digits[i] * 10000 ^ (weight - i)`.
struct Numeric<'a> {
    weight: i16,
    is_negative: bool,
    digits: &'a [[u8; 2]],
}

impl<'a> Numeric<'a> {
    /// Parses the binary format, that of `numeric_send` in PostgreSQL's `numeric.c`: the number of digits, the weight of
    /// the first digit, the sign, the number of decimals to show, and the digits, each from 0 to 9999.
    fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        const POSITIVE: u16 = 0x0000;
        const NEGATIVE: u16 = 0x4000;
        const SPECIAL: [u16; 3] = [0xC000, 0xD000, 0xF000];

        let (head, digits) = bytes.split_first_chunk::<8>().ok_or(Refusal::Malformed)?;
        let [count, weight, sign, _scale] =
            [0, 2, 4, 6].map(|index| u16::from_be_bytes([head[index], head[index + 1]]));
        if SPECIAL.contains(&sign) {
            return Err(Refusal::Unrepresentable(
                "decimals have no NaN and no infinity: replace them in the SQL, or request `numbers=string`",
            ));
        }
        let (digits, rest) = digits.as_chunks();
        let is_digit = |digit: &[u8; 2]| u16::from_be_bytes(*digit) < 10_000;
        if ![POSITIVE, NEGATIVE].contains(&sign)
            || digits.len() != usize::from(count)
            || !rest.is_empty()
            || !digits.iter().all(is_digit)
        {
            return Err(Refusal::Malformed);
        }
        Ok(Self { weight: weight.cast_signed(), is_negative: sign == NEGATIVE, digits })
    }
}

#[cfg(test)]
mod tests {
    use metricd_execution::{Column, FieldType};
    use proptest::prelude::*;

    use super::*;

    fn numeric(weight: i16, is_negative: bool, scale: u16, digits: &[u16]) -> Vec<u8> {
        let head = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), u16::from(is_negative) << 14, scale];
        head.iter().chain(digits).flat_map(|part| part.to_be_bytes()).collect()
    }

    fn decimals(precision: u8, scale: u8) -> Decimals {
        Decimals { precision, scale, is_declared: true }
    }

    fn declared(precision: u16, scale: i16) -> Option<(u8, u8)> {
        Decimals::of(Some(DeclaredDigits { precision, scale }))
            .map(|Decimals { precision, scale, .. }| (precision, scale))
    }

    #[test]
    fn declared_digits_become_decimals_that_hold_them() {
        assert_eq!(declared(12, 2), Some((12, 2)));
        assert_eq!(declared(38, 38), Some((38, 38)));
        assert_eq!(declared(39, 0), None);
        assert_eq!(declared(3, 5), Some((5, 5)));
        assert_eq!(declared(3, -5), Some((8, 0)));
        assert_eq!(declared(1000, 1000), None);
        assert_eq!(declared(1, -1000), None);
    }

    #[test]
    fn every_digit_is_decoded_or_the_value_is_refused() {
        let decode = |decimals: Decimals, bytes: &[u8]| decimals.decode(bytes).ok();
        assert_eq!(decode(decimals(5, 2), &numeric(0, false, 2, &[123, 4500])), Some(12_345));
        assert_eq!(decode(decimals(5, 1), &numeric(0, false, 2, &[123, 4500])), None);
        assert_eq!(decode(decimals(4, 2), &numeric(0, false, 2, &[123, 4500])), None);
        assert_eq!(decode(decimals(38, 20), &numeric(-5, true, 20, &[1])), Some(-1));
        assert_eq!(decode(decimals(38, 20), &numeric(-6, false, 24, &[1])), None);
        assert_eq!(
            decode(decimals(38, 20), &numeric(4, false, 0, &[99, 9999, 9999, 9999, 9999])),
            Some(10_i128.pow(38) - 10_i128.pow(20))
        );
        assert_eq!(decode(decimals(38, 20), &numeric(4, false, 0, &[100])), None);
        assert_eq!(decode(decimals(38, 20), &numeric(i16::MAX, false, 0, &[1])), None);
        assert_eq!(decode(decimals(38, 20), &numeric(0, false, 0, &[])), Some(0));
        assert_eq!(decode(decimals(38, 20), &numeric(0, false, 0, &[10_000])), None);
        assert!(matches!(decimals(5, 2).decode(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), Err(Refusal::Unrepresentable(_))));
    }

    proptest! {
        #[test]
        fn decoded_decimals_are_what_is_printed(
            weight in -8_i16..10,
            is_negative: bool,
            digits in prop::collection::vec(prop_oneof![Just(0), 0_u16..10_000, (0_u16..100).prop_map(|digit| digit * 100)], 0..10),
            scale in 0_u8..=38,
        ) {
            let shown = 4 * u16::try_from((i16::try_from(digits.len()).unwrap() - weight).max(0)).unwrap();
            let bytes = numeric(weight, is_negative, shown, &digits);
            let column = Column { name: "n".into(), type_name: "numeric".into(), field_type: FieldType::Numeric(None) };
            let mut text = Vec::new();
            column.write_text(&bytes, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let (kept, cut) = fraction.split_at(fraction.len().min(usize::from(scale)));
            let units = format!("{whole}{kept:0<width$}", width = usize::from(scale));
            let is_exact = cut.bytes().all(|digit| digit == b'0');
            let expected = units.parse::<i128>().ok().filter(|value| is_exact && value.abs() < 10_i128.pow(38));
            prop_assert_eq!(decimals(38, scale).decode(&bytes).ok(), expected, "{}", text);
        }
    }
}
