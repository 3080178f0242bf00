//! Computes baselines, medians and goals.

use serde::Serialize;

/// The rate if metricd itself took no time: each request runs its SQL and then is served, one after the other.
pub(crate) fn baseline(pgbench_tps: f64, http_rps: f64) -> f64 {
    1.0 / (1.0 / pgbench_tps + 1.0 / http_rps)
}

/// The median: the middle value, or the mean of the two middle values. NaN if there are none.
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
    pub(crate) fn baseline(self) -> f64 {
        baseline(self.pgbench_tps, self.http_rps)
    }

    pub(crate) fn ratio(self) -> f64 {
        self.metricd_rps / self.baseline()
    }
}

/// The rates of one round of a pair.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct PairRound {
    pub(crate) first: f64,
    pub(crate) second: f64,
}

impl PairRound {
    pub(crate) fn ratio(self) -> f64 {
        self.second / self.first
    }
}

/// The expected ratio of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The ratio is at least this.
    AtLeast(f64),
    /// Neither rate is more than this many times the other.
    Within(f64),
}

impl Goal {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::Within(most) => (1.0 / most..=most).contains(&ratio),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    #[test]
    fn the_baseline_adds_the_times() {
        assert!(is_near(baseline(2.0, 2.0), 1.0));
        assert!(is_near(baseline(1_000.0, 4_000.0), 800.0));
    }

    #[test]
    fn the_median_does_not_depend_on_the_order() {
        assert!(is_near(median([3.0, 1.0, 100.0]), 3.0));
        assert!(is_near(median([4.0, 1.0]), 2.5));
        assert!(median([]).is_nan());
    }

    #[test]
    fn goals_compare_the_ratio() {
        assert!(is_near(PairRound { first: 2.0, second: 6.0 }.ratio(), 3.0));
        assert!(Goal::AtLeast(3.0).is_met(3.0) && !Goal::AtLeast(3.0).is_met(2.9));
        assert!([0.7, 1.0, 1.5].into_iter().all(|ratio| Goal::Within(1.5).is_met(ratio)));
        assert!(![0.6, 1.6, f64::NAN].into_iter().any(|ratio| Goal::Within(1.5).is_met(ratio)));
    }

    #[test]
    fn the_ratio_is_relative_to_the_baseline() {
        let round = Round { pgbench_tps: 1_000.0, http_rps: 4_000.0, metricd_rps: 720.0 };
        assert!(is_near(round.ratio(), 0.9));
    }
}
