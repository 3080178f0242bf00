//! Fewer points that draw the same line.

use crate::math::{real, truncated};

/// The most points of all lines of a drawing. At some 11 bytes each, they keep it under 200 KB.
pub(crate) const MAX_POINTS: usize = 14_000;

/// Keeps the first, lowest, highest and last point of each column of pixels, in their order: no extreme is lost.
///
/// A column is one pixel wide, or wider if the line shares [`MAX_POINTS`] with many others.
pub(crate) fn reduce(points: &[[f64; 2]], column: f64) -> Vec<[f64; 2]> {
    let mut kept = Vec::with_capacity(points.len().min(MAX_POINTS));
    let of = |point: &[f64; 2]| truncated(point[0] / column);
    for group in points.chunk_by(|left, right| of(left) == of(right)) {
        if group.len() <= 4 {
            kept.extend_from_slice(group);
            continue;
        }
        let by = |pick: fn(f64, f64) -> bool| {
            (1..group.len()).fold(0, |best, index| if pick(group[index][1], group[best][1]) { index } else { best })
        };
        let mut indexes = [0, by(|new, best| new < best), by(|new, best| new > best), group.len() - 1];
        indexes.sort_unstable();
        let mut previous = None;
        for index in indexes {
            if previous != Some(index) {
                kept.push(group[index]);
            }
            previous = Some(index);
        }
    }
    kept
}

/// The width of a column for so many lines over so many pixels.
pub(crate) fn column_for(lines: usize, pixels: f64) -> f64 {
    (real(lines) * pixels * 4.0 / real(MAX_POINTS)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_kept() {
        let points: Vec<_> = (0..10_000_u32)
            .map(|index| [f64::from(index) / 20.0, if index == 777 { 1.0 } else { 50.0 + f64::from(index % 7) }])
            .collect();
        let kept = reduce(&points, 1.0);
        assert!(kept.len() <= 2_000, "{}", kept.len());
        assert!(kept.contains(&points[777]));
        assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[9_999]));
        assert!(kept.windows(2).all(|pair| pair[0][0] <= pair[1][0]), "in their order");
        assert_eq!(reduce(&points[..4], 1.0), points[..4]);
    }
}
