//! Compares two kinds of requests, measured in turns.

use serde_json::{Value, json};

use crate::figures::{Goal, PairRound, median};
use crate::load::Target;

/// Two kinds of requests to compare.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) first: Side,
    pub(crate) second: Side,
    /// The expected ratio: the rate of the second divided by that of the first.
    pub(crate) goal: Option<Goal>,
    /// The unit of the rates: `metrics`, `pages` or `responses`.
    pub(crate) unit: &'static str,
}

/// One of the two kinds.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) target: Target,
    /// The number of units in each response.
    pub(crate) units_per_response: u32,
}

/// The measurements of a pair with this number of clients.
#[derive(Debug)]
pub(crate) struct PairCell {
    pub(crate) pair: Pair,
    pub(crate) clients: u32,
    rounds: Vec<PairRound>,
}

pub(crate) const TABLE_HEADER: &str =
    "first                        second                       unit       clients     first    second  ratio  goal\n";

impl PairCell {
    pub(crate) fn new(pair: Pair, clients: u32) -> Self {
        Self { pair, clients, rounds: Vec::new() }
    }

    /// Adds the measurements of a round, in requests per second.
    pub(crate) fn add(&mut self, first: f64, second: f64) {
        let units = |side: &Side, rate: f64| rate * f64::from(side.units_per_response);
        let Pair { first: first_side, second: second_side, .. } = &self.pair;
        self.rounds.push(PairRound { first: units(first_side, first), second: units(second_side, second) });
    }

    fn median(&self, of: impl Fn(&PairRound) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    fn ratio(&self) -> f64 {
        self.median(|round| round.ratio())
    }

    pub(crate) fn row(&self) -> String {
        let Pair { first, second, goal, unit } = &self.pair;
        let goal = goal.map(|goal| {
            let outcome = if goal.is_met(self.ratio()) { "met" } else { "missed" };
            match goal {
                Goal::AtLeast(least) => format!("at least {least}: {outcome}"),
                Goal::Within(most) => format!("within {most}: {outcome}"),
            }
        });
        let row = format!(
            "{:<28} {:<28} {unit:<10} {:>7} {:>9.0} {:>9.0} {:>6.2}  {}",
            first.name,
            second.name,
            self.clients,
            self.median(|round| round.first),
            self.median(|round| round.second),
            self.ratio(),
            goal.unwrap_or_default(),
        );
        row.trim_end().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        let Pair { first, second, goal, unit } = &self.pair;
        json!({
            "first": first.name,
            "second": second.name,
            "unit": unit,
            "clients": self.clients,
            "first_per_second": self.median(|round| round.first),
            "second_per_second": self.median(|round| round.second),
            "ratio": self.ratio(),
            "goal": goal,
            "is_met": goal.map(|goal| goal.is_met(self.ratio())),
            "rounds": self.rounds,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pair in which a response of the second side has ten units, with a goal that is met.
    pub(crate) fn cell() -> PairCell {
        let target = Target { address: "127.0.0.1:1".parse().unwrap(), requests: Vec::new() };
        let side =
            |name: &str, units_per_response| Side { name: name.to_owned(), target: target.clone(), units_per_response };
        let (first, second) = (side("single", 1), side("batch", 10));
        let mut cell = PairCell::new(Pair { first, second, goal: Some(Goal::AtLeast(3.0)), unit: "metrics" }, 8);
        for (first, second) in [(1_000.0, 400.0), (2_000.0, 600.0), (1_000.0, 300.0)] {
            cell.add(first, second);
        }
        cell
    }

    #[test]
    fn a_row_has_rates_in_units_and_the_median_ratio_of_the_rounds() {
        let row = cell().row();
        let columns: Vec<_> = row.split_whitespace().collect();
        assert_eq!(columns, ["single", "batch", "metrics", "8", "1000", "4000", "3.00", "at", "least", "3:", "met"]);
        assert_eq!(row.find("at least"), TABLE_HEADER.find("goal"), "{row}");
        assert_eq!(row.find("3.00").map(|at| at + 4), TABLE_HEADER.find("ratio").map(|at| at + 5), "{row}");
    }

    #[test]
    fn the_figures_show_whether_the_goal_is_met() {
        let json = cell().json();
        assert_eq!((&json["is_met"], &json["goal"]), (&true.into(), &json!({"at_least": 3.0})));
        assert_eq!(json["rounds"].as_array().map(Vec::len), Some(3));
    }
}
