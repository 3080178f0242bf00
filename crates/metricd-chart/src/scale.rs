//! From values to pixels, and ticks at numbers that a person would choose.

use crate::locale::Locale;
use crate::math::{between, real_of, truncated};
use crate::number;

/// A linear axis of numbers, whose ends are ticks.
#[derive(Debug, Clone)]
pub(crate) struct NumberScale {
    low: f64,
    high: f64,
    /// The pixels of `low` and `high`.
    from: f64,
    to: f64,
    pub(crate) ticks: Vec<NumberTick>,
}

/// A tick with its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NumberTick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// Numbers beyond these have two ticks, because steps between them are no floats.
const EXTREMES: std::ops::Range<f64> = 1e-290..1e300;

impl NumberScale {
    /// An axis that shows all values from the lowest to the highest, with at most so many ticks between its ends.
    ///
    /// Both ends are ticks. Equal values are drawn in the middle, or on zero.
    pub(crate) fn new(low: f64, high: f64, most: usize, locale: Locale) -> Self {
        let (low, high) = widened(low.min(high), low.max(high));
        let largest = low.abs().max(high.abs());
        if !EXTREMES.contains(&largest) || !(high - low).is_finite() || (high / 2.0 - low / 2.0) < largest * 1e-12 {
            let tick = |value| NumberTick { value, label: number::float(value, 0, locale) };
            return Self { low, high, from: 0.0, to: 1.0, ticks: vec![tick(low), tick(high)] };
        }
        let (units, exponent) = step((high - low) / real_of(most.max(1) as i128));
        let step = value_of(units, exponent);
        let (first, last) = (truncated((low / step + 1e-9).floor()), truncated((high / step - 1e-9).ceil()));
        let (suffix, shift) = magnitude(largest, locale);
        let tick = |index: i64| {
            let units = index * units;
            let label = number::scaled(units, exponent - shift, locale);
            let label = if units == 0 || suffix.is_empty() { label } else { format!("{label}\u{a0}{suffix}") };
            NumberTick { value: value_of(units, exponent), label }
        };
        let ticks: Vec<_> = (first..=last).map(tick).collect();
        Self {
            low: value_of(first * units, exponent),
            high: value_of(last * units, exponent),
            from: 0.0,
            to: 1.0,
            ticks,
        }
    }

    /// An axis that ends at these values, without ticks.
    pub(crate) fn exact(low: f64, high: f64) -> Self {
        let (low, high) = widened(low, high);
        Self { low, high, from: 0.0, to: 1.0, ticks: vec![] }
    }

    /// The same axis on these pixels.
    pub(crate) fn on(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// The pixel of a value; that of the nearest end if it is outside.
    pub(crate) fn at(&self, value: f64) -> f64 {
        // Halves, because the difference of two floats may be infinite.
        let share = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.from + share * (self.to - self.from)
    }

    /// The pixel of zero, or of the end that is nearest to it.
    pub(crate) fn zero(&self) -> f64 {
        self.at(0.0)
    }
}

/// An interval of some length around the values.
fn widened(low: f64, high: f64) -> (f64, f64) {
    if low < high {
        (low, high)
    } else if low == 0.0 {
        (0.0, 1.0)
    } else {
        let half = low.abs() / 2.0;
        if half == 0.0 {
            (low.min(0.0), low.max(0.0))
        } else {
            (low.min(low - half).max(f64::MIN), (low + half).min(f64::MAX))
        }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least as large.
fn step(rough: f64) -> (i64, i32) {
    let exponent = number::exponent_of(rough);
    let mantissa = rough / number::power_of_ten(exponent);
    let fits = [1, 2, 5].into_iter().find(|units| real_of(i128::from(*units)) >= mantissa - 1e-9);
    fits.map_or((1, exponent + 1), |units| (units, exponent))
}

fn value_of(units: i64, exponent: i32) -> f64 {
    let units = real_of(units.into());
    if exponent < 0 { units / number::power_of_ten(-exponent) } else { units * number::power_of_ten(exponent) }
}

/// The suffix of an axis up to this number, and the power of ten that it stands for.
pub(crate) fn magnitude(largest: f64, locale: Locale) -> (&'static str, i32) {
    let [million, milliard, billion] = locale.convention().large;
    match largest {
        large if large >= 1e18 => ("", 0),
        large if large >= 1e12 => (billion, 12),
        large if large >= 1e9 => (milliard, 9),
        large if large >= 1e6 => (million, 6),
        _ => ("", 0),
    }
}

/// The lowest and highest value that an axis of lines has to show. Zero belongs to it if it is near: not farther from the
/// values than their range, so that they fill half the height.
pub(crate) fn with_near_zero(low: f64, high: f64) -> (f64, f64) {
    let range = high / 2.0 - low / 2.0;
    if low.total_cmp(&high).is_eq() {
        // Values without a range are compared with zero.
        (low.min(0.0), high.max(0.0))
    } else if low > 0.0 && low / 2.0 <= range {
        (0.0, high)
    } else if high < 0.0 && -high / 2.0 <= range {
        (low, 0.0)
    } else {
        (low, high)
    }
}

/// An axis of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TimeScale {
    pub(crate) low: i64,
    pub(crate) high: i64,
    from: f64,
    to: f64,
}

impl TimeScale {
    pub(crate) fn new(low: i64, high: i64, from: f64, to: f64) -> Self {
        Self { low, high, from, to }
    }

    /// The pixel of a time; that of the nearest end if it is outside. A single time is in the middle.
    pub(crate) fn at(&self, time: i64) -> f64 {
        let length = real_of(between(self.low, self.high));
        let share = if length > 0.0 { real_of(between(self.low, time)) / length } else { 0.5 };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    pub(crate) fn shows(&self, time: i64) -> bool {
        (self.low..=self.high).contains(&time)
    }

    pub(crate) fn pixels(&self) -> f64 {
        self.to - self.from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, most: usize) -> Vec<String> {
        NumberScale::new(low, high, most, Locale::of("en").unwrap()).ticks.into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_numbers_that_a_person_would_choose() {
        assert_eq!(labels(0.0, 97.0, 5), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(0.0, 1.0, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-3.0, 7.0, 5), ["−4", "−2", "0", "2", "4", "6", "8"]);
        assert_eq!(labels(0.0, 4_200.0, 4), ["0", "2,000", "4,000", "6,000"]);
        assert_eq!(labels(0.0, 1_000.0, 2), ["0", "500", "1,000"]);
        assert_eq!(labels(0.0, 3_400_000.0, 4), ["0", "1\u{a0}M", "2\u{a0}M", "3\u{a0}M", "4\u{a0}M"]);
        assert_eq!(
            labels(1_000_000.0, 1_000_400.0, 4),
            ["1.0000\u{a0}M", "1.0001\u{a0}M", "1.0002\u{a0}M", "1.0003\u{a0}M", "1.0004\u{a0}M"]
        );
        assert_eq!(labels(0.000_1, 0.000_4, 4), ["0.0001", "0.0002", "0.0003", "0.0004"]);
    }

    #[test]
    fn extreme_and_equal_values_have_an_axis() {
        assert_eq!(labels(5.0, 5.0, 4), ["2", "4", "6", "8"]);
        assert_eq!(labels(0.0, 0.0, 2), ["0.0", "0.5", "1.0"]);
        for (low, high) in [
            (-1e308, 1e308),
            (f64::MIN, f64::MAX),
            (5e-324, 1e-323),
            (5e-324, 5e-324),
            (1e308, 1e308),
            (1.0, 1.0 + f64::EPSILON),
        ] {
            let scale = NumberScale::new(low, high, 4, Locale::default()).on(100.0, 0.0);
            for value in [low, high, 0.0, f64::MAX] {
                assert!((0.0..=100.0).contains(&scale.at(value)), "{low} {high} {value}");
            }
            assert!(scale.ticks.len() >= 2 && scale.ticks.len() < 12);
        }
        let scale = NumberScale::new(-1e308, 1e308, 4, Locale::default()).on(100.0, 0.0);
        assert!((scale.at(0.0) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn zero_is_shown_if_it_is_near() {
        assert_eq!(with_near_zero(30.0, 100.0), (0.0, 100.0));
        assert_eq!(with_near_zero(50.0, 100.0), (0.0, 100.0));
        assert_eq!(with_near_zero(80.0, 100.0), (80.0, 100.0));
        assert_eq!(with_near_zero(-100.0, -20.0), (-100.0, 0.0));
        assert_eq!(with_near_zero(-5.0, 9.0), (-5.0, 9.0));
        assert_eq!(with_near_zero(7.0, 7.0), (0.0, 7.0));
    }
}
