//! Groups the statements of a snapshot batch into units of work and orders them.

use std::collections::VecDeque;
use std::time::Duration;

/// The maximum total cost of pipelined statements, in the planner's unit: some tens of milliseconds. If no more than
/// this is left next to the most expensive statement, a second connection is not worth it: sharing the snapshot takes
/// a millisecond.
const MAX_PIPELINED_COST: f64 = 10_000.0;

/// A statement, by its index in the batch, with its estimate.
#[derive(Debug, Clone, Copy)]
pub(super) struct EstimatedStatement {
    pub(super) index: usize,
    pub(super) cost: f64,
    /// Its time limit.
    pub(super) time: Duration,
}

/// What a connection runs in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// Statements with equal time limits that are pipelined.
    Pipelined(Vec<usize>),
    /// A statement that runs alone.
    Single(usize),
}

/// The units in the order in which several connections take them: the most expensive first, so that it is not what
/// all wait for at the end. Within a unit the cheapest is first.
pub(super) fn units(mut estimated: Vec<EstimatedStatement>) -> VecDeque<Unit> {
    estimated.sort_by(|left, right| left.time.cmp(&right.time).then(left.cost.total_cmp(&right.cost)));
    let mut units: Vec<(f64, Duration, Unit)> = Vec::new();
    for EstimatedStatement { index, cost, time } in estimated {
        match units.last_mut() {
            _ if cost > MAX_PIPELINED_COST => units.push((cost, time, Unit::Single(index))),
            Some((sum, unit_time, Unit::Pipelined(unit)))
                if *sum + cost <= MAX_PIPELINED_COST && *unit_time == time =>
            {
                *sum += cost;
                unit.push(index);
            }
            _ => units.push((cost, time, Unit::Pipelined(vec![index]))),
        }
    }
    units.sort_by(|(left, ..), (right, ..)| right.total_cmp(left));
    units.into_iter().map(|(_, _, unit)| unit).collect()
}

/// The number of connections worth using.
pub(super) fn useful_connections(estimated: &[EstimatedStatement], units: usize) -> usize {
    let costs = estimated.iter().map(|estimated| estimated.cost);
    let (sum, most_expensive) =
        costs.fold((0.0, 0.0_f64), |(sum, most_expensive), cost| (sum + cost, most_expensive.max(cost)));
    if sum - most_expensive > MAX_PIPELINED_COST { units } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimated(costs: &[f64]) -> Vec<EstimatedStatement> {
        let one =
            |(index, cost): (usize, &f64)| EstimatedStatement { index, cost: *cost, time: Duration::from_secs(5) };
        costs.iter().enumerate().map(one).collect()
    }

    #[test]
    fn cheap_statements_are_pipelined_up_to_a_total_cost() {
        assert_eq!(units(estimated(&[1.0, 3.0, 2.0])), [Unit::Pipelined(vec![0, 2, 1])]);
        assert_eq!(
            units(estimated(&[1.0, 6_000.0, 90_000.0, 10_000.0, 5_000.0, 20_000.0])),
            [
                Unit::Single(2),
                Unit::Single(5),
                Unit::Pipelined(vec![3]),
                Unit::Pipelined(vec![1]),
                Unit::Pipelined(vec![0, 4])
            ]
        );
        assert!(units(Vec::new()).is_empty());
    }

    #[test]
    fn statements_with_different_time_limits_are_not_pipelined() {
        let mut estimated = estimated(&[1.0, 2.0, 3.0]);
        estimated[1].time = Duration::from_secs(1);
        assert_eq!(units(estimated), [Unit::Pipelined(vec![0, 2]), Unit::Pipelined(vec![1])]);
    }

    #[test]
    fn further_connections_are_useful_if_much_is_left_next_to_the_most_expensive_statement() {
        for (costs, expected) in [
            ([1.0, 2.0, 3.0], 1),
            ([90_000.0, 5_000.0, 5_000.0], 1),
            ([90_000.0, 6_000.0, 5_000.0], 3),
            ([9_000.0, 9_000.0, 9_000.0], 3),
        ] {
            let estimated = estimated(&costs);
            assert_eq!(useful_connections(&estimated, units(estimated.clone()).len()), expected, "{costs:?}");
        }
    }
}
