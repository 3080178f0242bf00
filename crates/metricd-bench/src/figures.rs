//! The arithmetic.

use serde::Serialize;

/// What a request could reach if metricd itself took nothing: both rates one after the other.
pub(crate) fn floor(pgbench_tps: f64, http_rps: f64) -> f64 {
    1.0 / (1.0 / pgbench_tps + 1.0 / http_rps)
}

/// The middle one, or the mean of both where there are two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (None, _) => f64::NAN,
        (Some(&upper), 1) => upper,
        (Some(&upper), _) => f64::midpoint(sorted[middle - 1], upper),
    }
}

/// The rates of one round, measured one after the other.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Round {
    pub(crate) pgbench_tps: f64,
    pub(crate) http_rps: f64,
    pub(crate) metricd_rps: f64,
}

impl Round {
    pub(crate) fn floor(self) -> f64 {
        floor(self.pgbench_tps, self.http_rps)
    }

    pub(crate) fn ratio(self) -> f64 {
        self.metricd_rps / self.floor()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn the_floor_adds_the_times() {
        assert!(is_near(floor(2.0, 2.0), 1.0));
        assert!(is_near(floor(1_000.0, 4_000.0), 800.0));
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert!(is_near(median([3.0, 1.0, 100.0]), 3.0));
        assert!(is_near(median([4.0, 1.0]), 2.5));
        assert!(median([]).is_nan());
    }

    #[test]
    fn the_ratio_is_of_the_floor() {
        let round = Round { pgbench_tps: 1_000.0, http_rps: 4_000.0, metricd_rps: 720.0 };
        assert!(is_near(round.ratio(), 0.9));
    }
}
