//! Benchmarks of the guard, without a database: `cargo bench -p metricd-execution --bench guard`.
//!
//! The SQL is that of a typical metric, and two texts of the maximum size.

#![expect(clippy::expect_used, reason = "a benchmark fails by a panic")]

use divan::{Bencher, black_box};
use metricd_domain::SqlText;
use metricd_execution::{Allowed, Guard, Statement};

/// The maximum size of SQL, without the text around the list.
const LARGEST_BYTES: usize = 99_900;

fn main() {
    divan::main();
}

fn usual() -> String {
    "SELECT date, alert_type, sum(parts_flagged) AS parts FROM metrics WHERE date >= :since AND country = :country \
     GROUP BY date, alert_type ORDER BY date"
        .to_owned()
}

/// A long list of integers, as an author may paste it.
fn long_list() -> String {
    let numbers: Vec<_> = (10_000..).take(LARGEST_BYTES / 6).map(|number: u32| number.to_string()).collect();
    format!("SELECT count(*) AS n FROM orders WHERE order_id IN ({})", numbers.join(","))
}

/// A long expression of calls and operators.
fn long_expression() -> String {
    let term = "coalesce(a, 0) + ";
    format!("SELECT {}1 AS n FROM orders", term.repeat(LARGEST_BYTES / term.len()))
}

#[divan::bench(args = ["usual", "long list", "long expression"])]
fn parse_and_check(bencher: Bencher<'_, '_>, kind: &str) {
    let text = match kind {
        "usual" => usual(),
        "long list" => long_list(),
        _ => long_expression(),
    };
    let sql = SqlText::parse(text).expect("it is not too long");
    let guard = Guard::new(Allowed::default());
    bencher.bench(|| {
        let statement = Statement::parse(black_box(&sql)).expect("it is one statement");
        guard.check(&statement)
    });
}
