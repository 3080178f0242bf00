//! The digits of a number as text.

use super::MINUS;
use crate::locale::Locale;

/// The sign, the digits before the point and those after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digits {
    pub(super) is_negative: bool,
    pub(super) whole: String,
    pub(super) fraction: String,
}

impl Digits {
    /// The digits of a text in plain notation.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        (!whole.is_empty() && are_digits(whole) && are_digits(fraction)).then(|| Self {
            is_negative,
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    /// Rounds half away from zero, and pads with zeros.
    pub(super) fn round(mut self, decimals: usize) -> Self {
        if self.fraction.len() > decimals {
            let rounds_up = self.fraction.as_bytes()[decimals] >= b'5';
            self.fraction.truncate(decimals);
            if rounds_up {
                let mut digits: Vec<u8> = self.whole.bytes().chain(self.fraction.bytes()).collect();
                let carries = !digits.iter_mut().rev().any(|digit| {
                    let fits = *digit < b'9';
                    *digit = if fits { *digit + 1 } else { b'0' };
                    fits
                });
                if carries {
                    digits.insert(0, b'1');
                }
                let split = digits.len() - decimals;
                self.whole = digits[..split].iter().map(|digit| char::from(*digit)).collect();
                self.fraction = digits[split..].iter().map(|digit| char::from(*digit)).collect();
            }
        }
        while self.fraction.len() < decimals {
            self.fraction.push('0');
        }
        let significant = self.whole.trim_start_matches('0');
        self.whole = if significant.is_empty() { "0".to_owned() } else { significant.to_owned() };
        self.is_negative &= self.whole.bytes().chain(self.fraction.bytes()).any(|digit| digit != b'0');
        self
    }

    pub(super) fn write(&self, locale: Locale) -> String {
        let convention = locale.convention();
        let mut text = String::new();
        if self.is_negative {
            text.push(MINUS);
        }
        let count = self.whole.len();
        for (index, digit) in self.whole.chars().enumerate() {
            if index > 0 && (count - index).is_multiple_of(3) && count >= convention.grouped_from {
                text.push_str(convention.group);
            }
            text.push(digit);
        }
        if !self.fraction.is_empty() {
            text.push_str(convention.point);
            text.push_str(&self.fraction);
        }
        text
    }

    pub(super) fn are_zero(&self) -> bool {
        self.whole.bytes().chain(self.fraction.bytes()).all(|digit| digit == b'0')
    }
}
