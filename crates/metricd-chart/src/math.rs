//! Conversions between numbers that say what happens at the limits.
//!
//! Only operations that IEEE 754 defines exactly are used on floats, in the whole crate: logarithms and powers of the
//! standard library may differ between machines, and with them the bytes of a drawing.

/// The nearest float.
#[expect(clippy::cast_precision_loss, reason = "numbers of rows, and of pixels")]
pub(crate) fn real(count: usize) -> f64 {
    count as f64
}

/// The nearest float.
#[expect(clippy::cast_precision_loss, reason = "a pixel is much larger")]
pub(crate) fn real_of(number: i128) -> f64 {
    number as f64
}

/// The float without its fraction; the nearest `i64` if it is outside its range, and 0 for NaN.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub(crate) fn truncated(number: f64) -> i64 {
    number as i64
}

/// The float without its fraction, at least 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(crate) fn count_of(number: f64) -> usize {
    number as usize
}

/// The difference of two times, which may exceed an `i64`.
pub(crate) fn between(from: i64, to: i64) -> i128 {
    i128::from(to) - i128::from(from)
}

/// The nearest `i64`.
pub(crate) fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}
